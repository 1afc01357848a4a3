"""Make a case manifest of what lies in folders."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medconsist._atomic import atomic_write_bytes, make_folder, storage_errors
from medconsist._digests import sha256_of_path
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.manifests.across import problems_across
from medconsist.manifests.cases import CaseRow
from medconsist.manifests.files import files_below
from medconsist.manifests.naming import Naming
from medconsist.manifests.problem import HEADER_ROW
from medconsist.manifests.rows import KnownRow
from medconsist.manifests.write import manifest_bytes

__all__ = ["Built", "build_manifest"]

_HEADER = ".hea"  # of WFDB


@dataclass(frozen=True)
class Built:
    """A manifest that was written.

    Parameters
    ----------
    path
        The file.
    rows
        As it holds them.
    sentences
        How the ids were made, and what was left out.

    Examples
    --------
    >>> Built(Path("m.csv"), rows=(), sentences=()).rows
    ()
    """

    path: Path
    rows: tuple[CaseRow, ...]
    sentences: tuple[str, ...]


def build_manifest(
    folders: Sequence[Path],
    *,
    patterns: Sequence[str],
    out: Path,
    patient_from: str | None = None,
    hashes: bool = False,
) -> Built:
    r"""Write a manifest of the files below folders; the same files give the same bytes.

    Parameters
    ----------
    folders
        Searched with all that is below them; see `files_below`.
    patterns
        Of the names of files, e.g. ``["*.svs"]``; `KINDS` has lists of them.
    out
        The manifest (.csv). One that is there is not replaced by another one: it may hold labels.
    patient_from
        See `Naming`.
    hashes
        Whether to read every file for its sha256.

    Raises
    ------
    MissingInputError
        No folder, or no file was found.
    RefusedInputError
        Ids cannot be made by this rule, or ``out`` holds another manifest.
    StorageError
        Something could not be read or written; what was there stays.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "p7").mkdir()
    >>> (folder / "p7" / "s1.svs").touch()
    >>> build_manifest([folder], patterns=["*.svs"], out=folder / "m.csv").path.read_text()
    'path,patient,case,item\np7/s1.svs,p7,p7,s1\n'
    """
    found, left_out = _found(folders, patterns, out)
    naming = Naming(patient_from)
    named = [naming.name(folder, path) for folder, path in found]
    naming.require_sound()
    rows = tuple(
        CaseRow(
            row=number,
            path=Path(os.path.realpath(ids.path.parent), ids.path.name),
            patient=ids.patient,
            case=ids.case,
            item=ids.item,
            sha256=_sha256(ids.path) if hashes else None,
        )
        for number, ids in enumerate(filter(None, named), start=HEADER_ROW + 1)
    )
    data = manifest_bytes(rows, out)
    _require_sound(rows)
    _write(out, data)
    return Built(out, rows, (*naming.sentences, *left_out))


def _found(
    folders: Sequence[Path], patterns: Sequence[str], out: Path
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Return folder and file pairs, each file once, and sentences about those left out."""
    pairs = list(_pairs(folders, patterns))
    headers = {path.with_suffix("") for _, path in pairs if path.suffix.lower() == _HEADER}
    alone = [
        (folder, path)
        for folder, path in pairs
        if path.suffix.lower() == _HEADER or path.with_suffix("") not in headers
    ]
    once = dict[str, tuple[Path, Path]]()
    for folder, path in alone:
        once.setdefault(os.path.realpath(path), (folder, path))
    doubles, described = len(alone) - len(once), len(pairs) - len(alone)
    once.pop(os.path.realpath(out), None)
    if not once:
        places, wanted = _joined(folders), _joined(patterns)
        msg = f"no file below {places} fits {wanted}; name other folders, --kind or --pattern."
        raise MissingInputError(msg)
    said = []
    if described:
        said.append(f"Files whose WFDB header (.hea) is listed: {described}; it stands for them.")
    if doubles:
        said.append(
            f"Files found again by a link or another folder: {doubles}; each is listed once."
        )
    return list(once.values()), said


def _pairs(folders: Sequence[Path], patterns: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    if not folders:
        msg = "no folder was named; give one or more folders."
        raise MissingInputError(msg)
    for folder in folders:
        yield from ((folder, path) for path in files_below(folder, patterns))


def _sha256(path: Path) -> str:
    with storage_errors(path, doing="read"):
        return sha256_of_path(path.resolve())


def _require_sound(rows: Sequence[CaseRow]) -> None:
    known = [
        KnownRow(
            row.row, row.path, {name: getattr(row, name) for name in ("patient", "case", "item")}
        )
        for row in rows
    ]
    first = next(problems_across(known), None)
    if first is not None:
        msg = (
            f"the files cannot be listed as they are: {first.sentence} Say how ids are named by "
            "--patient-from, with the groups patient, case and item."
        )
        raise RefusedInputError(msg)


def _write(out: Path, data: bytes) -> None:
    if out.exists() and (not out.is_file() or out.read_bytes() != data):
        msg = (
            f"{out} is there and differs from what was found; it stays. Name another --out, or "
            "move it away."
        )
        raise RefusedInputError(msg)
    make_folder(out.parent)
    atomic_write_bytes(out, data)


def _joined(words: Iterable[object]) -> str:
    return ", ".join(map(str, words))
