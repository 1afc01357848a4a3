"""Fetch the files of a data set: what has come stays, and nothing counts that is not verified."""

import fcntl
import hashlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medconsist._atomic import atomic_write_bytes, make_folder, storage_errors, sync
from medconsist._records import Record, read_record
from medconsist.errors import (
    CorruptInputError,
    MedconsistError,
    RefusedInputError,
    StorageError,
)
from medconsist.manifests.dataset import DatasetFile
from medconsist.manifests.fetch_http import Answer, BrokenError, GoneError, open_at

__all__ = ["FetchLimits", "Fetched", "fetch_files"]

_CHUNK = 2**20
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class FetchLimits:
    """How long to try.

    Parameters
    ----------
    attempts
        Connections in a row that may bring nothing new before a file is given up.
    wait_s
        Before the second of them; doubles each time, 60 s at most [s].
    timeout_s
        A connection that is silent for so long is broken [s].
    spare_bytes
        Free space that is to be left on the disk.

    Raises
    ------
    RefusedInputError
        A number is out of range.

    Examples
    --------
    >>> FetchLimits().attempts
    6
    """

    attempts: int = 6
    wait_s: float | int = 1.0
    timeout_s: float | int = 60.0
    spare_bytes: int = 2**30

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.wait_s < 0 or self.timeout_s <= 0 or self.spare_bytes < 0:
            msg = f"{self} is out of range: attempts from 1, times and bytes from 0."
            raise RefusedInputError(msg)


@dataclass(frozen=True)
class Fetched:
    """A file that is there and verified.

    Parameters
    ----------
    path
        Where.
    fresh
        False if it was there before.

    Examples
    --------
    >>> Fetched(Path("a.tif"), fresh=True).fresh
    True
    """

    path: Path
    fresh: bool


class _State(Record):
    """Of which file the bytes are that have come; ``validator`` is what the server calls it."""

    url: str
    validator: str | None = None


def fetch_files(
    files: Sequence[DatasetFile],
    out: Path,
    *,
    limits: FetchLimits | None = None,
    said: Callable[[str], None] = lambda _: None,
) -> list[Fetched]:
    """Fetch files one after the other; what is there and verifies is not fetched again.

    A broken transfer goes on where it stopped, in this call or in the next one, if the server
    still has the same file (``If-Range``) and allows it (RFC 9110, sections 13.1.5 and 14);
    otherwise it begins again. A file gets its name when its digest is right. Bytes with another
    digest are set aside as ``.<name>.mismatch-<random>``.

    Parameters
    ----------
    files
        Each with a sha256 or md5.
    out
        Folder; made if it is not there.
    limits
        How long to try.
    said
        Called with a sentence now and then.

    Raises
    ------
    RefusedInputError
        A file has no digest, the server refuses it, or another process fetches it.
    CorruptInputError
        What came, or what lies there already, is another file.
    StorageError
        The disk is full, or would be.
    MedconsistError
        The connection broke again and again; what has come stays for the next call.
    """
    limits = limits or FetchLimits()
    for file in files:
        if file.sha256 is None and file.md5 is None:
            msg = f"{file.path} has neither sha256 nor md5: nobody could tell whether it is whole."
            raise RefusedInputError(msg)
    make_folder(out)
    there = {file.path for file in files if _is_there(out / file.path, file)}
    _refuse_full(out, [file for file in files if file.path not in there], limits)
    fetched = list[Fetched]()
    for number, file in enumerate(files, start=1):
        fresh = file.path not in there
        if fresh:
            said(f"file {number} of {len(files)}: {file.path} ...")
            _Transfer(file, out / file.path, limits, said).run()
        fetched.append(Fetched(out / file.path, fresh=fresh))
    return fetched


def _is_there(path: Path, file: DatasetFile) -> bool:
    if not path.exists():
        return False
    if not path.is_file() or not _verifies(path, file):
        msg = f"{path} is there and is not the file that was to be fetched; move it away."
        raise CorruptInputError(msg)
    return True


def _verifies(path: Path, file: DatasetFile) -> bool:
    kind, wanted = ("sha256", file.sha256) if file.sha256 else ("md5", file.md5)
    with storage_errors(path, doing="read"), path.open("rb") as opened:
        # md5 is what the source publishes; it is no defence against intent, and not called one.
        digest = hashlib.file_digest(opened, lambda: hashlib.new(kind, usedforsecurity=False))
    return digest.hexdigest() == wanted


def _refuse_full(out: Path, files: Sequence[DatasetFile], limits: FetchLimits) -> None:
    parts = (_part(out / file.path) for file in files)
    held = sum(part.stat().st_size for part in parts if part.is_file())
    needed = sum(file.bytes or 0 for file in files) - held
    _refuse_bytes(out, needed, limits)


def _refuse_bytes(folder: Path, needed: int, limits: FetchLimits) -> None:
    free = shutil.disk_usage(folder).free
    if needed > 0 and needed + limits.spare_bytes > free:
        msg = (
            f"{needed / 1e9:.1f} GB are to come and {free / 1e9:.1f} GB are free in {folder}; "
            f"{limits.spare_bytes / 1e9:.1f} GB shall be left. Free space, or fetch less."
        )
        raise StorageError(msg)


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


class _Transfer:
    """One file on its way."""

    def __init__(
        self, file: DatasetFile, target: Path, limits: FetchLimits, said: Callable[[str], None]
    ) -> None:
        self._file = file
        self._target = target
        self._part = _part(target)
        self._record = target.with_name(f".{target.name}.part.json")
        self._limits = limits
        self._said = said
        self._resumed = False  # whether bytes of several answers are in the part

    def run(self) -> None:
        make_folder(self._target.parent)
        with self._alone():
            self._bring()
            if not _verifies(self._part, self._file) and self._resumed:
                self._said(f"{self._file.path} does not verify; it is fetched again in one piece")
                self._forget()
                self._bring()
            self._seal()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with storage_errors(self._part):
            file = self._part.open("ab")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = f"another process fetches {self._target}; wait for it."
                raise RefusedInputError(msg) from error
            yield

    def _bring(self) -> None:
        """Connect until the file is whole, or nothing new comes any more."""
        best, barren = self._size(), 0
        while True:
            try:
                self._connect()
            except GoneError:
                self._forget()  # what has come is longer than what is there now
                fault = "the server says that there is less of it than has come"
            except BrokenError as error:
                fault = str(error)
            else:
                return
            barren = 0 if self._size() > best else barren + 1
            best = max(best, self._size())
            if barren >= self._limits.attempts:
                msg = (
                    f"{self._file.url} broke off {barren} times in a row: {fault}. The "
                    f"{self._size():,} bytes that have come are kept; run the same command again."
                )
                raise MedconsistError(msg)
            self._said(f"{self._file.path}: {fault}; trying again ...")
            time.sleep(min(self._limits.wait_s * 2 ** max(barren - 1, 0), _LONGEST_WAIT_S))

    def _connect(self) -> None:
        """Read one answer to its end."""
        state = self._state()
        size = self._size()
        if size and size == self._file.bytes:
            self._resumed = True
            return
        begin = size if state is not None else 0
        with open_at(
            self._file.url,
            begin=begin,
            validator=None if state is None else state.validator,
            timeout_s=self._limits.timeout_s,
        ) as answer:
            self._refuse_size(answer)
            if answer.begin == 0:
                self._forget()
                self._remember(answer)
            self._resumed |= answer.begin > 0
            self._write(answer)

    def _write(self, answer: Answer) -> None:
        most = self._file.bytes if self._file.bytes is not None else answer.total
        with storage_errors(self._part):
            file = self._part.open("r+b")
        with file:
            file.seek(answer.begin)
            while chunk := answer.read(_CHUNK):
                if most is not None and file.tell() + len(chunk) > most:
                    msg = f"{self._file.url} brings more than {most:,} bytes; it is another file."
                    raise CorruptInputError(msg)
                _refuse_bytes(self._target.parent, len(chunk), self._limits)
                with storage_errors(self._part):
                    file.write(chunk)
            with storage_errors(self._part):
                file.flush()
        if most is not None and self._size() < most:
            msg = f"it ended after {self._size():,} of {most:,} bytes"
            raise BrokenError(msg)

    def _refuse_size(self, answer: Answer) -> None:
        known = self._file.bytes
        if known is not None and answer.total is not None and answer.total != known:
            msg = (
                f"{self._file.url} has {answer.total:,} bytes, and the manifest says {known:,}: "
                "it is another file, or another version of it."
            )
            raise CorruptInputError(msg)
        if answer.total is not None:
            _refuse_bytes(self._target.parent, answer.total - answer.begin, self._limits)

    def _seal(self) -> None:
        if not _verifies(self._part, self._file):
            aside = self._target.with_name(f".{self._target.name}.mismatch-{secrets.token_hex(4)}")
            with storage_errors(aside):
                self._part.replace(aside)
                self._record.unlink(missing_ok=True)
            msg = (
                f"{self._file.url} is not the file of the manifest: its digest is another one. "
                f"What came is set aside as {aside}."
            )
            raise CorruptInputError(msg)
        with storage_errors(self._target):
            sync(self._part)
            self._part.replace(self._target)
            sync(self._target.parent)
            self._record.unlink(missing_ok=True)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _state(self) -> _State | None:
        """Return what is known of the bytes that have come; None if they cannot be gone on with."""
        if not self._record.is_file():
            return None
        with storage_errors(self._record, doing="read"):
            data = self._record.read_bytes()
        try:
            state = read_record(_State, data, source=str(self._record))
        except RefusedInputError:
            return None
        return state if state.url == self._file.url else None

    def _remember(self, answer: Answer) -> None:
        state = _State(url=self._file.url, validator=answer.validator)
        atomic_write_bytes(self._record, state.model_dump_json().encode())

    def _forget(self) -> None:
        with storage_errors(self._part):
            self._record.unlink(missing_ok=True)
            with self._part.open("r+b") as file:
                file.truncate(0)
        self._resumed = False
