"""The trained encoder as one file, without the projection, for `load_network`."""

from pathlib import Path

from medconsist.errors import RefusedInputError
from medconsist.training.fit import Fitted
from medconsist.training.weights import save_weights
from medconsist.wsi.simclr.network import SimclrNetwork
from medconsist.wsi.simclr.objective import SimclrObjective

__all__ = ["save_simclr_encoder"]


def save_simclr_encoder(path: Path, fitted: Fitted, objective: SimclrObjective) -> str:
    """Write the student's backbone, with torchvision's names, and how tiles were shown to it.

    Parameters
    ----------
    path
        ``*.safetensors``; replaced if it exists.
    fitted
        The finished run.
    objective
        What it was trained by.

    Returns
    -------
    str
        sha256 of the file.

    Raises
    ------
    RefusedInputError
        The run trained another kind of network.
    StorageError
        The disk is full or not writable.
    """
    if not isinstance(fitted.network, SimclrNetwork):
        msg = f"got a {type(fitted.network).__name__}; allowed: what SimclrObjective trained."
        raise RefusedInputError(msg)
    backbone, shown = fitted.network.student.backbone, objective.preprocessing()
    tile = {"pixels": shown.input_px, "mpp": shown.mpp, "mean": shown.mean, "std": shown.std}
    return save_weights(
        path,
        backbone.state_dict(),
        architecture={**backbone.config.as_dict(), "method": "simclr", "input": tile},
        about=objective.about() | {"steps": str(fitted.step)},
    )
