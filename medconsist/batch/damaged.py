"""Stored results that are not as they were written: found, and set aside to be made again."""

from collections.abc import Collection, Iterator

from medconsist.errors import CorruptResultError
from medconsist.results.ids import is_key
from medconsist.results.store import ResultStore

__all__ = ["is_damaged", "set_damaged_aside"]


def is_damaged(store: ResultStore, case: str, key: str) -> bool:
    """Say whether a byte of a result is not as it was written; reads all of them.

    Raises
    ------
    MissingInputError
        There is no such result.
    StorageError
        The disk cannot be read, which says nothing of the result.
    """
    try:
        stored = store.read(case, key)
        for role in stored.roles():
            stored.file(role)
    except CorruptResultError:
        return True
    return False


def set_damaged_aside(store: ResultStore, cases: Collection[str]) -> list[str]:
    """Rename each damaged result of these cases to ``.quarantine-<key>-...``, its bytes kept.

    Its key can then be written again. Results that verify stay.

    Returns
    -------
    list[str]
        ``case/key`` of each.

    Raises
    ------
    StorageError
        The disk cannot be read or written.
    """
    damaged = [place for place in _places(store, cases) if is_damaged(store, *place)]
    for case, key in damaged:
        store.quarantine(case, key)
    return [f"{case}/{key}" for case, key in damaged]


def _places(store: ResultStore, cases: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield case and key of every result, also of those whose ``result.json`` is gone."""
    for case in sorted(set(cases)):
        folder = store.case_path(case)
        names = (path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else ()
        for key in sorted(filter(is_key, names)):
            yield case, key
