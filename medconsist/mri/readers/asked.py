"""What the caller of a reader says that no file says."""

from dataclasses import dataclass
from typing import Literal

from medconsist.errors import RefusedInputError

__all__ = ["Asked", "FirstAxis", "refuse_first_axis"]

FirstAxis = Literal["slices", "readout"]


@dataclass(frozen=True)
class Asked:
    """Memory, frame and meaning of the first axis; see `read_kspace`.

    Examples
    --------
    >>> Asked(2**30).frame is None
    True
    """

    budget_bytes: int
    frame: int | None = None
    first_axis: FirstAxis | None = None


def refuse_first_axis(asked: Asked, *, name: str) -> None:
    """Refuse a meaning of the first axis for a layout that has it fixed.

    Raises
    ------
    RefusedInputError
        If one was asked for.
    """
    if asked.first_axis is not None:
        msg = (
            f"--first-axis goes with NumPy arrays and fastMRI's layout alone; what the axes of "
            f"{name} are is fixed by its layout. Leave it out."
        )
        raise RefusedInputError(msg)
