"""Finished parts of a long table, kept in its folder so that a run that was killed goes on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medconsist._atomic import atomic_write_bytes, make_folder, storage_errors
from medconsist._digests import canonical_json, plain_json, sha256_of_bytes
from medconsist._records import Record, read_record
from medconsist.errors import RefusedInputError

__all__ = ["KeptFolder"]

_SHOWN = 3


class _Settings(Record):
    """The first file of the folder: whose it is."""

    settings: dict[str, Any]


class _Part(Record):
    """One finished part."""

    settings_sha256: str
    value: dict[str, Any]


class KeptFolder:
    """A folder that belongs to one table: its settings, and JSON of each part that is finished.

    Every file is written whole or not at all; a part is computed once.

    Parameters
    ----------
    path
        New, empty, or of the same settings.
    settings
        All that decides the parts, as JSON takes it.

    Raises
    ------
    RefusedInputError
        The folder is of other settings (names the first that differ), or holds other files.
    StorageError
        It cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = KeptFolder(Path(tempfile.mkdtemp()) / "table", {"seed": 0})
    >>> folder.part("cell a", lambda: {"ssim": 0.9})
    {'ssim': 0.9}
    >>> folder.part("cell a", lambda: {"ssim": 0.1})
    {'ssim': 0.9}
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self._settings = plain_json(settings, "settings")
        self._sha256 = sha256_of_bytes(canonical_json(self._settings))
        first = path / "settings.json"
        if first.is_file():
            self._refuse_other(first)
        else:
            make_folder(path)
            self._refuse_strange()
            atomic_write_bytes(first, canonical_json({"settings": self._settings}))

    def part(self, name: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return the part of that name, computed and written first where it is not there."""
        found = self.find(name)
        if found is not None:
            return found
        made = plain_json(make(), name)
        make_folder(self._file(name).parent)
        part = {"settings_sha256": self._sha256, "value": made}
        atomic_write_bytes(self._file(name), canonical_json(part))
        return self.find(name) or made  # as a later run will read it, keys sorted

    def find(self, name: str) -> dict[str, Any] | None:
        """Return the part of that name, or None where it is not finished.

        Raises
        ------
        RefusedInputError
            Its file is damaged, or of other settings.
        """
        file = self._file(name)
        if not file.is_file():
            return None
        with storage_errors(file, doing="read"):
            part = read_record(_Part, file.read_bytes(), source=str(file))
        if part.settings_sha256 != self._sha256:
            msg = f"{file} is of a table of other settings; delete it, and it is made again."
            raise RefusedInputError(msg)
        return part.value

    def _file(self, name: str) -> Path:
        spelled = "".join(one if one.isalnum() or one in "-._/" else "_" for one in name)
        return self.path / "parts" / f"{spelled}.json"

    def _refuse_strange(self) -> None:
        strange = sorted(path.name for path in self.path.iterdir() if path.name[0] != ".")
        if strange:
            msg = (
                f"{self.path} holds {', '.join(strange[:_SHOWN])} and no table of ours; give an "
                "empty or a new folder."
            )
            raise RefusedInputError(msg)

    def _refuse_other(self, first: Path) -> None:
        was = read_record(_Settings, first.read_bytes(), source=str(first)).settings
        names = sorted(was.keys() | self._settings.keys())
        other = [name for name in names if was.get(name) != self._settings.get(name)]
        if other:
            said = ", ".join(other[:_SHOWN])
            msg = (
                f"{self.path} holds a table of other settings ({said}); give another folder, or "
                "the settings of that one."
            )
            raise RefusedInputError(msg)
