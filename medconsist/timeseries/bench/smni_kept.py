"""What a method of ``medconsist bench ts-smni`` took and gave, kept over runs that were killed."""

from pathlib import Path
from time import process_time

from medconsist._atomic import atomic_write_bytes, make_folder
from medconsist._digests import canonical_json
from medconsist._records import Record, read_record
from medconsist.errors import RefusedInputError
from medconsist.results.bench import BenchRow, BenchTable

__all__ = ["Kept", "Stopwatch"]


class Kept(Record):
    """The file of one method.

    Parameters
    ----------
    settings
        sha256 of what decides its rows.
    seconds
        Of one core, over all runs.
    rows
        Empty until the method is judged.

    Examples
    --------
    >>> Kept(settings="0" * 64).rows
    ()
    """

    settings: str
    seconds: float = 0.0
    rows: tuple[BenchRow, ...] = ()


class Stopwatch:
    """Counts the seconds of a core of this process, and adds them to those of earlier runs.

    Parameters
    ----------
    path
        Of the file, new or of the same settings.
    settings
        See `Kept`.

    Raises
    ------
    RefusedInputError
        The file is damaged, or of other settings.

    Examples
    --------
    >>> Stopwatch(Path("new/comet.json"), "0" * 64).rows
    ()
    """

    def __init__(self, path: Path, settings: str) -> None:
        self._path = path
        self._kept = Kept(settings=settings)
        if path.is_file():
            self._kept = read_record(Kept, path.read_bytes(), source=str(path))
        if self._kept.settings != settings:
            msg = (
                f"{path} is of a table of other sizes, seed or windows; give another folder, or "
                "the same sizes."
            )
            raise RefusedInputError(msg)
        self._started = process_time()

    @property
    def rows(self) -> tuple[BenchRow, ...]:
        """What was found; empty until `finish`."""
        return self._kept.rows

    @property
    def seconds(self) -> float:
        """Of all runs up to now; those of a method that is done stand still."""
        return self._kept.seconds + (0 if self.rows else process_time() - self._started)

    def lap(self) -> None:
        """Write down what was spent; a run that is killed loses the time since then only."""
        self._write(self._kept.model_copy(update={"seconds": self.seconds}))

    def finish(self, table: BenchTable) -> None:
        """Write down what was found."""
        self._write(self._kept.model_copy(update={"seconds": self.seconds, "rows": table.rows}))

    def _write(self, kept: Kept) -> None:
        make_folder(self._path.parent)
        atomic_write_bytes(self._path, canonical_json(kept.model_dump(mode="json")))
        self._kept, self._started = kept, process_time()
