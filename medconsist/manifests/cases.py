"""What a row of a manifest says: one file, and whose it is."""

from pathlib import Path

from pydantic import Field

from medconsist._records import Record

__all__ = ["CaseManifest", "CaseRow"]


class CaseRow(Record):
    """One file to work on.

    Parameters
    ----------
    row
        As a spreadsheet counts: the header is row 1.
    path
        Absolute; a link is not followed, so that its name stays.
    item, case, patient
        Ids. An empty item is the name of the file without its suffix, an empty case is the item,
        an empty patient is the case.
    sha256
        Of the file, or None; compared by ``medconsist manifest check --hash`` only.
    site
        Where the file comes from, or None.
    mpp
        Microns per pixel [um/px] that override what the slide says, or None.
    label
        Of any kind, or None.
    split
        ``train``, ``validation``, ``test`` or ``fold-N``, or None.
    own
        Cells of the user's own columns, by name (``x_...``).

    Examples
    --------
    >>> CaseRow(row=2, path=Path("/a/s1.svs"), item="s1", case="c7", patient="c7").mpp is None
    True
    """

    row: int
    path: Path
    patient: str
    case: str
    item: str
    sha256: str | None = None
    site: str | None = None
    mpp: float | None = None
    label: str | None = None
    split: str | None = None
    own: dict[str, str] = Field(default_factory=dict)


class CaseManifest(Record):
    """The rows of one file, in its order.

    Parameters
    ----------
    rows
        One or more.
    path
        The file.
    sha256
        Of its bytes.
    columns
        As its header names them.
    notes
        What was found and is no fault: separator, absolute paths, where ids are from.

    Examples
    --------
    >>> row = CaseRow(row=2, path=Path("/a/s1.svs"), item="s1", case="c7", patient="c7")
    >>> CaseManifest(rows=(row,), path=Path("m.csv"), sha256="0" * 64).patients
    1
    """

    rows: tuple[CaseRow, ...]
    path: Path
    sha256: str
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def cases(self) -> int:
        """How many cases."""
        return len({row.case for row in self.rows})

    @property
    def patients(self) -> int:
        """How many patients."""
        return len({row.patient for row in self.rows})
