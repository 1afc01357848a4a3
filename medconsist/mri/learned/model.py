"""Trained networks: shipped with the package, or from a weights file."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import torch

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.mri.learned.networks import architecture_from, make_network
from medconsist.mri.methods import CgSense, CompressedSensing, Zerofilled
from medconsist.mri.reconstruction_network import ReconstructionNetwork
from medconsist.results.schema import ModelRecord
from medconsist.training.weights import StoredWeights, read_weights

__all__ = ["SHIPPED", "LearnedModel", "build_network", "load_model"]

SHIPPED = ("cirim", "rim", "irim", "cirim-explicit")
_CLASSICAL = tuple(str(kind.name) for kind in (CompressedSensing, CgSense, Zerofilled))


@dataclass(frozen=True, eq=False)
class LearnedModel:
    """A network and what is known of it.

    Parameters
    ----------
    network
        On the CPU, in evaluation mode; its weights are not to be changed.
    name
        E.g. ``"cirim"``: of a shipped model, or the file's name without suffix.
    sha256
        Of the weights file.
    about
        What the file says of its training.

    Examples
    --------
    >>> "cirim" in SHIPPED
    True
    """

    network: ReconstructionNetwork
    name: str
    sha256: str
    about: dict[str, str]

    @property
    def simulation_trained(self) -> bool:
        """Whether the network has seen nothing but scans of the simulator."""
        return self.about.get("trained_on") == "simulation"

    @property
    def record(self) -> ModelRecord:
        """What a result says of the model."""
        about = self.about
        return ModelRecord(
            name=self.name,
            sha256=self.sha256,
            card=about.get("card"),
            trained_on=about.get("trained_on"),
        )


def load_model(source: Path | str) -> LearnedModel:
    """Return a shipped network by its name, or the network of a weights file.

    Parameters
    ----------
    source
        A name of `SHIPPED`, or a path to a ``.safetensors`` file that `medconsist` wrote.

    Raises
    ------
    MissingInputError
        There is no such file.
    RefusedInputError
        The file is not one of ours, its weights do not belong to its architecture, or it is named
        as a classical method, for which its images would be taken.
    UnsafeFileError, TruncatedFileError
        As their names say.
    """
    if isinstance(source, str) and source in SHIPPED:
        return _shipped(source)
    path = Path(source)
    if not path.exists():
        msg = (
            f"weights {str(source)!r} are neither a file nor shipped; allowed: a .safetensors "
            f"file, or one of {', '.join(SHIPPED)}."
        )
        raise MissingInputError(msg)
    if path.stem in _CLASSICAL:
        msg = (
            f"the weights {path.name} are named as a classical method, for which their images "
            f"would be taken; allowed: any name but {', '.join(_CLASSICAL)}. Rename the file."
        )
        raise RefusedInputError(msg)
    return _model(read_weights(path), path.stem, str(path))


@cache
def _shipped(name: str) -> LearnedModel:
    path = Path(str(files("medconsist.mri") / "weights" / f"{name}.safetensors"))
    return _model(read_weights(path), name, path.name)


def _model(stored: StoredWeights, name: str, file: str) -> LearnedModel:
    network = build_network(stored, file)
    return LearnedModel(network, name, stored.sha256, stored.about)


def build_network(stored: StoredWeights, file: str) -> ReconstructionNetwork:
    """Return the network that stored weights belong to.

    Raises
    ------
    RefusedInputError
        An architecture that is not known, or tensors that do not fit it.
    """
    config = architecture_from(stored.architecture, file)
    if config.blocks > len(stored.state):  # before a million of them are built
        msg = f"{file} claims {config.blocks} blocks and holds {len(stored.state)} tensors."
        raise RefusedInputError(msg)
    with torch.device("meta"):
        network = make_network(config)
    _check_fit(stored.state, network.state_dict(), file)
    network.load_state_dict(stored.state, assign=True)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as in Cirim
    return network.eval().requires_grad_(requires_grad=False)


def _check_fit(state: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], file: str) -> None:
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    wrong = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & state.keys())
        if state[name].shape != wanted[name].shape or state[name].dtype != torch.float32
    ]
    if missing or unknown or wrong:
        parts = {"missing": missing, "unknown": unknown, "of another shape or type": wrong}
        said = "; ".join(
            f"{what}: {', '.join(names[:3])}" for what, names in parts.items() if names
        )
        msg = f"the weights of {file} do not belong to the architecture that it names ({said})."
        raise RefusedInputError(msg)
