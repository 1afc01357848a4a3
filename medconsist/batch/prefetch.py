"""The next inputs on a fast disk, while the cases before them are computed."""

import hashlib
import logging
import shutil
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

from medconsist._atomic import make_folder, storage_errors, sweep
from medconsist._digests import sha256_of_path
from medconsist._writers import writer_tag
from medconsist.batch.work import Case
from medconsist.errors import CorruptInputError, RefusedInputError

__all__ = ["Prefetch"]

_PREFIX = "medconsist-prefetch-"
_CHUNK = 8 * 2**20
_AHEAD = 64  # cases that are looked at for the next copies

logger = logging.getLogger(__name__)


class Prefetch:
    """Copies inputs that will be needed next into a local folder, within a number of bytes.

    A copy is read again and compared by sha256 with what was read from the slow disk; it is
    removed when its case is over. A case whose copy is not there yet is read where it lies, and
    so is one that cannot be copied: nothing waits for a copy, and none can fail a case.

    Parameters
    ----------
    folder
        On a fast disk; a folder of this run is made in it and removed.
    budget_bytes
        Most bytes of all copies at once.

    Raises
    ------
    RefusedInputError
        The budget is not positive.
    StorageError
        The folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> fast = Prefetch(Path(tempfile.mkdtemp()), budget_bytes=2**30)
    >>> fast.take(Case(id="c7"), coming=()).copy, fast.close()
    ('', None)
    """

    def __init__(self, folder: Path, *, budget_bytes: float | int) -> None:
        if not 1 <= budget_bytes < float("inf"):
            msg = f"--prefetch-gib must be positive and finite, got {budget_bytes} bytes."
            raise RefusedInputError(msg)
        make_folder(folder)
        sweep(folder, f"{_PREFIX}*")
        self._folder = folder / f"{_PREFIX}{writer_tag()}"
        self._budget = budget_bytes
        self._closed = False
        self._copies: dict[str, tuple[Future[Path], int]] = {}
        self._pool = ThreadPoolExecutor(1)  # slow disks are slower for two readers

    def take(self, case: Case, *, coming: Iterable[Case]) -> Case:
        """Return the case with its copy, if that is ready, and begin to copy those that come."""
        copy = self._copies.get(case.id)
        found = None if copy is None else _ready(copy[0])
        if found is None:
            self._drop(case.id)
        for one in islice(coming, _AHEAD):
            self._begin(one)
        return case if found is None else replace(case, copy=str(found))

    def give_back(self, case: Case) -> Case:
        """Remove the copy of a case that is over; return the case without it."""
        self._drop(case.id)
        return replace(case, copy="")

    def close(self) -> None:
        """Remove all copies."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._copies.clear()

    def _begin(self, case: Case) -> None:
        held = sum(size for _, size in self._copies.values())
        if case.id in self._copies or not case.one_file or not case.size:
            return
        if held + case.size > self._budget:
            return
        future = self._pool.submit(self._copy, case)
        self._copies[case.id] = (future, case.size)

    def _copy(self, case: Case) -> Path:
        source = Path(case.input)
        folder = self._folder / case.id
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        target = folder / source.name  # readers go by the suffix
        digest, written = hashlib.sha256(), 0
        with storage_errors(target), source.open("rb") as slow, target.open("wb") as fast:
            while chunk := slow.read(_CHUNK):
                digest.update(chunk)
                written += fast.write(chunk)
                if written > case.size or self._closed:
                    msg = f"{source} grows while it is copied, or the batch is over."
                    raise CorruptInputError(msg)
        if sha256_of_path(target) != digest.hexdigest():
            msg = f"{target} is not the bytes of {source}; the disk of --prefetch is at fault."
            raise CorruptInputError(msg)
        return target

    def _drop(self, case: str) -> None:
        entry = self._copies.pop(case, None)
        if entry is None:
            return
        entry[0].cancel()
        # In the one thread that copies: after the copy, should it be under way.
        self._pool.submit(shutil.rmtree, self._folder / case, ignore_errors=True)


def _ready(future: "Future[Path]") -> Path | None:
    if not future.done() or future.cancelled():
        return None
    error = future.exception()
    if error is not None:
        logger.warning("read where it lies: %s", error)
        return None
    return future.result()
