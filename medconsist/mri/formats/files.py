"""What every reader asks of a file: that it is there, that it fits the budget, what it is."""

from pathlib import Path

from medconsist.errors import BudgetError, MissingInputError, RefusedInputError

__all__ = ["check_budget", "require_file"]

_MIB = 2**20
_RAISE = "If the file is sound, raise the budget (--budget-gib)."


def require_file(path: Path, *, hint: str = "Check the path.") -> None:
    """Refuse a path that is not a regular file.

    Raises
    ------
    MissingInputError
        If nothing is there.
    RefusedInputError
        If it is a folder, a pipe or a device.
    """
    if path.is_file():
        return
    if path.exists():
        msg = f"{path} is not a regular file; allowed: a file on disk. {hint}"
        raise RefusedInputError(msg)
    msg = f"{path} does not exist. {hint}"
    raise MissingInputError(msg)


def check_budget(
    path: Path, claimed_bytes: int, budget_bytes: int, *, remedy: str = _RAISE
) -> None:
    """Refuse a header that claims more bytes than the budget, before anything is read.

    Raises
    ------
    BudgetError
        If ``claimed_bytes > budget_bytes``.
    """
    if claimed_bytes > budget_bytes:
        msg = (
            f"{path.name} claims {claimed_bytes / _MIB:.6g} MiB, more than the memory budget of "
            f"{budget_bytes / _MIB:.6g} MiB. {remedy}"
        )
        raise BudgetError(msg)
