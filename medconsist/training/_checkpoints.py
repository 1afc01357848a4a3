"""The checkpoint file of a run, as Lightning writes and reads it."""

import io
import pickle  # only for the name of its error
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist.errors import CorruptResultError

__all__ = ["CheckpointFiles"]


class CheckpointFiles(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all, and are read without pickle."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: object = None,  # noqa: ARG002  Lightning's
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        atomic_write_bytes(Path(path), buffer.getvalue())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = "cpu",  # noqa: ANN401  torch's union
        weights_only: bool | None = True,  # noqa: ARG002, FBT001, FBT002  Lightning's; always True
    ) -> dict[str, Any]:
        try:
            with storage_errors(Path(path), doing="read"):
                return dict(torch.load(path, map_location=map_location, weights_only=True))
        except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
            msg = f"{path} cannot be read: {error}. Remove it to start this run again."
            raise CorruptResultError(msg) from error
