"""Flags that several commands share."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

__all__ = ["Common"]


@dataclass(frozen=True, kw_only=True)
class Common:
    """Flags of every command that computes."""

    device: str = "cpu"
    """Where to compute: cpu, cuda or cuda:N."""
    seed: int = 0
    """Seed of every random draw of this command."""
    threads: int | None = None
    """CPU threads; by default as many as torch chooses."""
    json: Annotated[bool, arg(help="Print one JSON object to stdout instead of a table.")] = False

    def set_up(self) -> None:
        """Apply the thread count and refuse a device that is not there."""
        import torch

        from medconsist.errors import RefusedInputError

        if self.threads is not None:
            if self.threads < 1:
                msg = f"--threads must be 1 or more, got {self.threads}."
                raise RefusedInputError(msg)
            torch.set_num_threads(self.threads)
        kind = self.device.split(":")[0]
        if kind not in ("cpu", "cuda"):
            msg = f"--device must be cpu, cuda or cuda:N, got {self.device!r}."
            raise RefusedInputError(msg)
        if kind == "cuda" and not torch.cuda.is_available():
            msg = f"--device {self.device} was asked for, but no CUDA device is here; use cpu."
            raise RefusedInputError(msg)
