"""Flags that several commands share."""

import re
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

__all__ = ["Common", "Computing"]

_DEVICES = re.compile(r"cpu|cuda(?::(\d+))?")
_SEEDS = 2**32  # room for the stride between the scans of a series


@dataclass(frozen=True, kw_only=True)
class Common:
    """Flags of every command that draws or computes."""

    seed: int = 0
    """Seed of every random draw of this command."""
    threads: int | None = None
    """CPU threads; by default as many as torch chooses."""
    json: Annotated[bool, arg(help="Print one JSON object to stdout instead of a table.")] = False

    def set_up(self) -> None:
        """Apply the thread count; refuse a seed out of range."""
        import torch

        from medconsist.errors import RefusedInputError

        if self.threads is not None:
            if self.threads < 1:
                msg = f"--threads must be 1 or more, got {self.threads}."
                raise RefusedInputError(msg)
            torch.set_num_threads(self.threads)
        if not 0 <= self.seed < _SEEDS:
            msg = f"--seed must lie in 0..{_SEEDS - 1}, got {self.seed}."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True)
class Computing(Common):
    """Flags of the commands that can compute on a GPU."""

    device: str = "cpu"
    """Where to compute: cpu, cuda or cuda:N."""

    def set_up(self) -> None:
        """As `Common`; also refuse a device that is not there."""
        super().set_up()
        self._refuse_device()

    def _refuse_device(self) -> None:
        import torch

        from medconsist.errors import RefusedInputError

        asked = _DEVICES.fullmatch(self.device)
        if asked is None:
            msg = f"--device must be cpu, cuda or cuda:N, got {self.device!r}."
            raise RefusedInputError(msg)
        count = torch.cuda.device_count()
        if self.device != "cpu" and int(asked[1] or 0) >= count:
            here = f"only cuda:0 to cuda:{count - 1} are" if count else "no CUDA device is"
            msg = f"--device {self.device} was asked for, but {here} here; use one that is, or cpu."
            raise RefusedInputError(msg)
