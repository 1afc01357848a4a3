"""Data manifests: where a public data set is, whose it is, and what its file names say."""

import json
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

import medconsist
from medconsist._atomic import storage_errors
from medconsist._ids import nearest
from medconsist._records import Record, read_record
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.manifests.naming import Naming
from medconsist.manifests.published_split import PublishedSplit
from medconsist.manifests.stand_in import StandIn

__all__ = ["Dataset", "DatasetFile", "Example", "Fact", "datasets", "named_dataset", "read_dataset"]

_PACKAGE = Path(medconsist.__file__).parent
_FOLDERS = (_PACKAGE / "_bundled" / "data_manifests", _PACKAGE.parent / "data_manifests")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_DAY = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def _below(text: str) -> str:
    path = PurePosixPath(text)
    if path.as_posix() != text or not all(map(_NAME.fullmatch, path.parts)):
        msg = "a path below the folder, of names that begin with a letter or digit, e.g. a/b.tif"
        raise ValueError(msg)
    return text


def _web(text: str) -> str:
    parts = urlsplit(text)
    parts.port  # noqa: B018  one out of range is refused here
    if (
        re.search(r"\s", text)
        or parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.username is not None
    ):
        msg = "an address that begins with https:// or http://, without a user name or spaces"
        raise ValueError(msg)
    return text


def _day(text: str) -> str:
    if not _DAY.fullmatch(text):
        msg = "a year, month or day as ISO 8601 writes it: 2023, 2023-01 or 2023-01-11"
        raise ValueError(msg)
    return text


def _naming(text: str) -> str:
    Naming(text)
    return text


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
OldDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class DatasetFile(Record):
    """One file that can be fetched.

    Parameters
    ----------
    path
        Where it goes below the folder.
    url
        Of the file itself.
    sha256, md5
        Of its bytes; one of the two is needed to fetch it. Some sources publish md5 alone, which
        shows damage but no intent.
    bytes
        Its size; unknown is allowed.

    Examples
    --------
    >>> DatasetFile(path="a/b.tif", url="https://example.org/b.tif").bytes is None
    True
    """

    path: Annotated[str, AfterValidator(_below)]
    url: Annotated[str, AfterValidator(_web)]
    sha256: Digest | None = None
    md5: OldDigest | None = None
    bytes: Annotated[int, Field(ge=0)] | None = None


class Fact(Record):
    """Something that is known of a data set, and from where.

    Parameters
    ----------
    what
        A sentence.
    source
        A DOI, page or file.
    verified
        Whether that source was read for this sentence; else it is from memory or hearsay.

    Examples
    --------
    >>> Fact(what="399 slides.", source="doi:10.1001/jama.2017.14585", verified=False).verified
    False
    """

    what: str
    source: str
    verified: bool


class Example(Record):
    """A path below the folder, and what the rule makes of it; None if it is no case.

    Examples
    --------
    >>> Example(path="masks/tumor_001_mask.tif").patient is None
    True
    """

    path: str
    patient: str | None = None
    item: str | None = None


class Dataset(Record):
    r"""What must be known of a data set before it is used.

    Parameters
    ----------
    name, title
        Short for commands, long for people.
    page, doi
        The page to begin at, and the DOI of the data or of its paper.
    how
        How to get the files.
    license
        As its source says it.
    citation
        What to cite.
    creators
        Who made the data: persons or institutions.
    published
        When the data were first published: a year, month or day; None where that is not known.
    slides, recordings, kspace
        Names of its files, for ``medconsist manifest build --pattern``: of slides, of signals or of
        k-space, one of the three.
    reader
        Which module of ``medconsist.mri.readers`` opens its k-space; None where none does.
    patient_from
        Rule for ``medconsist manifest build --patient-from``, searched in the path.
    patients
        Whether that rule finds patients: ``named`` in the path, ``one slide each``, or ``unknown``:
        then files of one patient may fall on both sides of a split.
    examples
        Paths, and what the rule makes of them; tested.
    facts
        What else to know.
    stand_ins
        Parts of published designs that its files can be taken for.
    splits
        Of patients, as others published them.
    files
        What ``medconsist manifest fetch`` fetches; where a source publishes no list, empty.

    Examples
    --------
    >>> Dataset(name="d", title="D", page="https://example.org", how="", license="", citation="",
    ...         slides=("*.svs",), patient_from=r"(?P<patient>P\d+)_", patients="named").files
    ()
    """

    name: str
    title: str
    page: Annotated[str, AfterValidator(_web)]
    doi: str | None = None
    how: str
    license: str
    citation: str
    creators: tuple[str, ...] = ()
    published: Annotated[str, AfterValidator(_day)] | None = None
    slides: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()
    kspace: tuple[str, ...] = ()
    reader: Literal["cc359", "cmrxrecon", "fastmri", "ismrmrd", "skm_tea"] | None = None
    patient_from: Annotated[str, AfterValidator(_naming)]
    patients: Literal["named", "one slide each", "unknown"]
    examples: tuple[Example, ...] = ()
    facts: tuple[Fact, ...] = ()
    stand_ins: tuple[StandIn, ...] = ()
    splits: tuple[PublishedSplit, ...] = ()
    files: tuple[DatasetFile, ...] = ()

    def split(self, name: str) -> PublishedSplit:
        """Return the published split of this name.

        Raises
        ------
        MissingInputError
            There is none; names those that there are.
        """
        known = {one.name: one for one in self.splits}
        if name not in known:
            msg = f"{self.name} has no published split {name!r}. {nearest(name, known)}"
            raise MissingInputError(msg)
        return known[name]

    @model_validator(mode="after")
    def _one_kind(self) -> "Dataset":
        if sum(map(bool, (self.slides, self.recordings, self.kspace))) != 1:
            msg = "name the files by slides, by recordings or by kspace, one of the three"
            raise ValueError(msg)
        if self.reader is not None and not self.kspace:
            msg = f"reader {self.reader!r} opens k-space; name the files by kspace"
            raise ValueError(msg)
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """Names of its files, of whichever kind they are."""
        return (*self.slides, *self.recordings, *self.kspace)

    @property
    def text(self) -> str:
        """For a terminal."""
        doi = () if self.doi is None else (f"doi:{self.doi}",)
        build = f"--pattern {' '.join(self.patterns)} --patient-from '{self.patient_from}'"
        facts = (f"{'' if one.verified else 'not verified: '}{one.what}" for one in self.facts)
        reader = {"reader": self.reader or "none, convert the files"} if self.kspace else {}
        about = {
            "get": self.how,
            "license": self.license,
            "cite": self.citation,
            "patients": self.patients,
            "build": build,
            **reader,
        }
        return "\n".join(
            [
                f"{self.name}: {self.title}",
                f"  {' '.join((self.page, *doi))}",
                *(f"  {what}: {text}" for what, text in about.items()),
                *(f"  - {fact}" for fact in facts),
                *(f"  - {one.text}" for one in self.stand_ins),
                *(f"  - {one.text}" for one in self.splits),
            ]
        )


def read_dataset(path: Path) -> Dataset:
    """Return the data set that a TOML file describes.

    Raises
    ------
    MissingInputError
        There is no such file.
    RefusedInputError
        It is no TOML, a key is not known, or a value is not allowed; names file and key.
    """
    if not path.is_file():
        msg = f"there is no data manifest {path}."
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"):
        data = path.read_bytes()
    try:
        values = tomllib.loads(data.decode())
        text = json.dumps(values)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        msg = f"{path} is no TOML of texts and numbers: {error}."
        raise RefusedInputError(msg) from error
    dataset = read_record(Dataset, text, source=str(path))
    paths = [file.path for file in dataset.files]
    twice = next((one for one in paths if paths.count(one) > 1), None)
    if twice is not None:
        msg = f"{path}: two files would be {twice}; give each a path of its own."
        raise RefusedInputError(msg)
    return dataset


def datasets() -> dict[str, Dataset]:
    """Return the data sets that come with the program, by name."""
    folder = next((one for one in _FOLDERS if one.is_dir()), _FOLDERS[-1])
    found = (read_dataset(path) for path in sorted(folder.glob("*.toml")))
    return {one.name: one for one in found}


def named_dataset(name: str) -> Dataset:
    """Return the data set of this name, or of this file (.toml).

    Raises
    ------
    MissingInputError
        There is none; names the nearest.
    RefusedInputError
        The file is at fault, see `read_dataset`.
    """
    if name.endswith(".toml"):
        return read_dataset(Path(name))
    known = datasets()
    if name not in known:
        msg = f"there is no data set {name!r}. {nearest(name, known)}"
        raise MissingInputError(msg)
    return known[name]
