"""The panels of a results folder: the history of a study is read once, and again when it grew."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from medconsist.results.alarm import alarms_beside
from medconsist.results.history import HistoryLine
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore
from medconsist.viewing.trust_panel import TrustPanel, trust_panel
from medconsist.viewing.trust_panel_history import SiteHistory, history_of_lines

__all__ = ["SitePanels"]

_KEPT = 256  # results whose comparison is remembered
_STUDIES = 16

_K = TypeVar("_K")
_V = TypeVar("_V")
_Stamp = tuple[int, int]
_Compared = tuple[SiteHistory, tuple[str, ...]]


class SitePanels:
    """Makes trust panels against the history of each study; one serves all threads and readers.

    Whoever asks may see the result: this asks for no rights. What is compared are the scores of
    other cases as numbers; no id of another patient is in a panel, but the alarm of a stream names
    the cases of its study that raised it.

    Parameters
    ----------
    root
        Folder of all studies.

    Examples
    --------
    ::

        SitePanels(Path("results")).panel(result).headline
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._turn = threading.Lock()
        self._lines: OrderedDict[str, tuple[_Stamp, tuple[HistoryLine, ...]]] = OrderedDict()
        self._compared: OrderedDict[tuple[str, str, _Stamp], _Compared] = OrderedDict()

    def panel(self, result: Result, *, unreadable: Sequence[str] = ()) -> TrustPanel:
        """Return the panel of a result, see `trust_panel`.

        Raises
        ------
        StorageError
            The history of its study cannot be read.
        """
        history, stream = self.compared(result)
        return trust_panel(result, history=history, stream=stream, unreadable=unreadable)

    def compared(self, result: Result) -> _Compared:
        """Return the earlier cases of a result, and what the alarm of its stream says."""
        with self._turn:
            stamp, lines = self._read(result.study)
            known = (result.study, result.content_sha256, stamp)
            if known not in self._compared:
                found = history_of_lines(lines, result), alarms_beside(lines, result)
                self._compared[known] = found
                _bound(self._compared, _KEPT)
            return self._compared[known]

    def _read(self, study: str) -> tuple[_Stamp, tuple[HistoryLine, ...]]:
        history = ResultStore(self.root, study).history
        stamp = _stamp(history.path)
        known = self._lines.get(study)
        if known is not None and known[0] == stamp:
            return known
        self._lines[study] = stamp, history.read().lines
        _bound(self._lines, _STUDIES)
        return self._lines[study]


def _stamp(path: Path) -> _Stamp:
    """Return size and time of change; the file is only ever appended to."""
    if not path.exists():
        return 0, 0
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def _bound(kept: OrderedDict[_K, _V], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
