"""All finished cases in memory, kept fresh by when their folders last changed."""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medconsist._atomic import storage_errors
from medconsist._ids import is_id
from medconsist.errors import CorruptResultError, MedconsistError
from medconsist.results.folder import RESULT_NAME
from medconsist.results.store import ResultStore
from medconsist.viewing.case_line import CaseLine, ResultFacts, facts_of

__all__ = ["CaseIndex"]

_CURRENT = "current"
_MANY = 1_000  # results that were read at once; fewer are few objects
_SETTLED_NS = 2_000_000_000  # the coarsest clock of a common file system, FAT, ticks every 2 s

Stamp = tuple[int, ...]
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _Read:
    """One result as it was read; a stamp of None is read again each time."""

    stamp: Stamp | None
    facts: ResultFacts | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One case as it was seen; ``line`` is None for a folder without a finished result."""

    stamp: Stamp
    is_settled: bool
    pointer: str
    results: Mapping[str, _Read]
    line: CaseLine | None


class CaseIndex:
    """The cases of a results folder, each ``result.json`` read and verified once.

    The first call reads every ``result.json`` of a study (its seal is verified, no array is looked
    at). A later call looks at the time of change of each case folder and of its ``current``, and
    reads what is new. A ``result.json`` that is overwritten in place, which no program of this
    house does, is noticed when it is opened or after `forget`. Nothing is kept on the disk: names
    of patients stay in the results folder, and a list can never be older than its process.

    One index serves all threads and readers; each call names the studies that its reader may see.

    Parameters
    ----------
    root
        Folder of all studies.
    clock_ns
        Gives nanoseconds since 1970, as the clock of the disk does.

    Examples
    --------
    >>> import tempfile
    >>> CaseIndex(Path(tempfile.mkdtemp())).lines(["brain"])
    ()
    """

    def __init__(self, root: Path, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.root = root
        self._clock_ns = clock_ns
        self._studies: dict[str, dict[str, _Seen]] = {}
        self._turns: dict[str, threading.Lock] = {}

    def lines(self, studies: Iterable[str], *, told: Told | None = None) -> tuple[CaseLine, ...]:
        """Return one line for every case of these studies, sorted by study and case.

        A result that cannot be read has its line too, which says why.

        Parameters
        ----------
        studies
            Those that the reader may see.
        told
            Called with how many cases of a study were read and how many are to be read; what was
            read stays if it raises. It must not ask the index itself.

        Raises
        ------
        RefusedInputError
            If a study is no safe name.
        StorageError
            If the folder of a study cannot be listed.
        """
        found: list[CaseLine] = []
        for study in sorted(set(studies)):
            store = ResultStore(self.root, study)
            with self._turns.setdefault(study, threading.Lock()):
                found += self._lines(store, told)
        return tuple(found)

    def forget(self) -> None:
        """Let the next call read every ``result.json`` again."""
        self._studies = {}

    def _lines(self, store: ResultStore, told: Told | None) -> list[CaseLine]:
        seen = self._studies.setdefault(store.study, {})
        now_ns = self._clock_ns()  # before any look at the disk
        stamps = _stamps(self.root / store.study, seen)
        for gone in seen.keys() - stamps.keys():
            del seen[gone]
        stale = [case for case, stamp in stamps.items() if not _is_fresh(seen.get(case), stamp)]
        for count, case in enumerate(stale, start=1):
            before = seen[case].results if case in seen else {}
            results, line = _look(store, case, before)
            is_settled = _is_lasting(results, line) and _is_old(stamps[case], now_ns)
            pointer = str(self.root / store.study / case / _CURRENT)
            seen[case] = _Seen(stamps[case], is_settled, pointer, results, line)
            if told is not None:
                told(count, len(stale))
        if len(stale) >= _MANY:
            # They stay as long as the process: each full collection would walk through all of
            # them, for half a second in the middle of a list. What is replaced is freed as before.
            gc.collect()
            gc.freeze()
        return [line for case in sorted(seen) if (line := seen[case].line) is not None]


def _is_fresh(seen: _Seen | None, stamp: Stamp) -> bool:
    return seen is not None and seen.is_settled and seen.stamp == stamp


def _is_lasting(results: Mapping[str, _Read], line: CaseLine | None) -> bool:
    """Say whether nothing failed that may be better in a moment: a file, or the whole listing."""
    return line is None or (bool(results) and all(one.stamp for one in results.values()))


def _is_old(stamp: Stamp, now_ns: int) -> bool:
    """Say whether a change after this look would give another time of change."""
    folder_ns, _, pointer_ns, _ = stamp
    return now_ns - max(folder_ns, pointer_ns) > _SETTLED_NS


def _stamps(folder: Path, seen: Mapping[str, _Seen]) -> dict[str, Stamp]:
    """Return for each case when its folder changed and its number, then those of its pointer."""
    found: dict[str, Stamp] = {}
    with storage_errors(folder, doing="read"):
        if not folder.is_dir():
            return found
        with os.scandir(folder) as entries:
            for entry in entries:
                known = seen.get(entry.name)
                if not entry.is_dir() or (known is None and not is_id(entry.name)):
                    continue
                pointer = f"{entry.path}/{_CURRENT}" if known is None else known.pointer
                try:
                    own = entry.stat()
                except FileNotFoundError:  # removed since the listing
                    continue
                stamp = (own.st_mtime_ns, own.st_ino, *_file_stamp(pointer))
                # one that was kept is no new object for the garbage collector
                found[entry.name] = known.stamp if known and known.stamp == stamp else stamp
    return found


def _file_stamp(path: str) -> Stamp:
    """Return time of change and number of a file, zeros where it cannot be looked at."""
    try:
        own = os.stat(path)  # noqa: PTH116  of each case of each list, in half the time
    except OSError:
        return (0, 0)
    return (own.st_mtime_ns, own.st_ino)


def _look(
    store: ResultStore, case: str, before: Mapping[str, _Read]
) -> tuple[dict[str, _Read], CaseLine | None]:
    """Return the results of a case and its line; a file that did not change is not read again."""
    path = store.case_path(case)
    try:
        with storage_errors(path, doing="read"):
            keys = store.keys(case)
            current, problem = _current(store, case)
    except MedconsistError as error:
        return {}, CaseLine(case, None, None, n_results=0, problem=str(error), study=store.study)
    if not keys:
        return {}, None
    results = {key: _read(store, case, key, before.get(key)) for key in keys}
    shown = results.get(current or "")
    if shown is None:
        shown = _Read(None, None, problem or _why_none(case, current, len(keys)))
    return results, _line(store.study, case, list(results.values()), shown)


def _current(store: ResultStore, case: str) -> tuple[str | None, str]:
    """Return the key to show, or why there is none."""
    try:
        return store.current(case), ""
    except CorruptResultError as error:
        return None, str(error)


def _why_none(case: str, current: str | None, n_keys: int) -> str:
    if current is None:
        return f"Case {case!r} has {n_keys} finished results, and none was chosen to be shown."
    return f"Case {case!r} is to show result {current[:8]}, which is not there."


def _read(store: ResultStore, case: str, key: str, before: _Read | None) -> _Read:
    file = store.case_path(case) / key / RESULT_NAME
    stamp = None
    try:
        with storage_errors(file, doing="read"):
            own = file.stat()
        stamp = (own.st_mtime_ns, own.st_ino, own.st_size)
        if before is not None and before.stamp == stamp:
            return before
        return _Read(stamp, facts_of(store.read(case, key).result))
    except CorruptResultError as error:
        return _Read(stamp, None, str(error))
    except MedconsistError as error:  # the disk: it may be better in a moment
        return _Read(None, None, str(error))


def _line(study: str, case: str, results: list[_Read], shown: _Read) -> CaseLine:
    readable = [one.facts for one in results if one.facts is not None]
    return CaseLine(
        case,
        patient=None if shown.facts is None else shown.facts.patient,
        item=None if shown.facts is None else shown.facts.item,
        n_results=len(results),
        problem=shown.problem,
        study=study,
        items=tuple(sorted({one.item for one in readable if one.item is not None})),
        n_unreadable=len(results) - len(readable),
        current=shown.facts,
    )
