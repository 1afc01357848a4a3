"""What one alarm is tried on: how its cases are made, and whether it was raised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medconsist.results.schema import Result
from medconsist.viewing.alarm_raised import raised_alarms

__all__ = ["Entry", "Spot", "raised_by"]


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where one case is made.

    Parameters
    ----------
    room
        An empty folder of its own.
    shared
        What was made once for all cases, see `Entry.needs`; not to be changed.
    seed
        Of this case alone.

    Examples
    --------
    >>> Spot(room=Path("a"), shared=Path("b"), seed=1).rng.integers(2) in (0, 1)
    True
    """

    room: Path
    shared: Path
    seed: int

    @property
    def rng(self) -> np.random.Generator:
        """A fresh generator of NumPy."""
        return np.random.default_rng(self.seed)

    @property
    def generator(self) -> torch.Generator:
        """A fresh generator of torch."""
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One alarm.

    Parameters
    ----------
    unit
        What a case is.
    n
        Cases of each kind.
    make
        Name in `FAULT_CASES` to what makes one; None from it: this case is none of its kind.
    raised
        Whether the alarm was raised for what was made.
    needs
        Make, once, in an empty folder of their own name, what the cases share.

    Examples
    --------
    >>> entry = Entry(unit="scan", n=3, make={"clean": lambda spot: 1}, raised=lambda made: False)
    >>> entry.needs
    ()
    """

    unit: str
    n: int
    make: Mapping[str, Callable[[Spot], Any]]
    raised: Callable[[Any], bool]
    needs: tuple[Callable[[Path], None], ...] = ()


def raised_by(alarm: str) -> Callable[[Result], bool]:
    """Return whether a result raises an alarm, as the trust panel asks it."""
    return partial(_is_raised, alarm)


def _is_raised(alarm: str, result: Result) -> bool:
    return alarm in raised_alarms(result)
