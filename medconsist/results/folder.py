"""The folder of one finished result: ``root/study/case/key``, read and verified, never changed."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from medconsist._atomic import storage_errors
from medconsist._digests import sha256_of_path
from medconsist.errors import CorruptResultError, MissingInputError, StorageError
from medconsist.results.schema import ArrayRecord, Result, read_result

__all__ = ["RESULT_NAME", "ResultFolder"]

RESULT_NAME = "result.json"


@dataclass(frozen=True)
class ResultFolder:
    """Where one result lies, with all its names known to be safe.

    Parameters
    ----------
    root
        Folder of all studies.
    study, case, key
        The three folders below it.

    Examples
    --------
    >>> ResultFolder(Path("results"), study="demo", case="head", key="0" * 64).path.parent.name
    'head'
    """

    root: Path
    study: str
    case: str
    key: str

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.root / self.study / self.case / self.key

    def read(self) -> Result:
        """Return the verified content of ``result.json``; its arrays are not looked at.

        Raises
        ------
        MissingInputError
            If there is no such result.
        CorruptResultError
            If it is not as written, or belongs to another folder.
        StorageError
            If the disk cannot be read.
        """
        file = self.path / RESULT_NAME
        if not self.path.is_dir():
            msg = f"There is no result {self.path}. Run the job, or choose another key."
            raise MissingInputError(msg)
        if not file.is_file() or file.is_symlink():
            msg = f"{file} is missing, so this result cannot be trusted. {self.advice}"
            raise CorruptResultError(msg)
        with storage_errors(file, doing="read"):
            data = file.read_bytes()
        result = read_result(data, source=str(file))
        if (result.study, result.case, result.key) != (self.study, self.case, self.key):
            msg = (
                f"{file} belongs to {result.study}/{result.case}/{result.key}. It was moved or "
                f"renamed. {self.advice}"
            )
            raise CorruptResultError(msg)
        return result

    def array_path(self, record: ArrayRecord) -> Path:
        """Return the path of an array whose bytes are as recorded.

        Raises
        ------
        CorruptResultError
            If a byte differs, or a file is missing.
        """
        path = self.path / record.path
        with storage_errors(path, doing="read"):
            seen = sha256_of_path(path)
        if seen != record.sha256:
            msg = f"{path} is not as it was written: sha256 {seen}, not {record.sha256}."
            raise CorruptResultError(msg)
        return path

    def problems(self) -> list[str]:
        """Verify every byte that the result names; return one sentence for each fault."""
        try:
            result = self.read()
        except (MissingInputError, StorageError) as error:
            return [str(error)]
        found: list[str] = []
        for record in result.arrays:
            try:
                self.array_path(record)
            except StorageError as error:
                found.append(str(error))
        return found

    @property
    def advice(self) -> str:
        """What to do about a corrupt result."""
        root = shlex.quote(str(self.root))
        return (
            f"Set it aside by: medconsist batch retry {root} --study {self.study} --case "
            f"{self.case}; then run the job again."
        )
