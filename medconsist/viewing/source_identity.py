"""Whose case this is: what its results say, against one another and against the source files.

A result stores the opaque id of its patient and the sha256 of its inputs; what a file says of its
patient is not stored beside it. So the file is asked again (`source_patient`), where it still lies
with the same bytes. An id that a hospital gave and a pseudonym are two names of one person, and
two names that differ are no mismatch by themselves. A mismatch is:

- a fastMRI file that names another one than the result: its reader takes over the id of the file;
- a file that names another patient of the study;
- two files of one kind, of results of one case, that name two patients; up to eight are asked.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from medconsist.errors import MedconsistError
from medconsist.results.input_places import InputPlaces
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore
from medconsist.viewing.source_patient import SourcePatient, kind_of_source, patient_of_source

__all__ = ["MOST_BYTES", "SourceReport", "case_conflicts", "identity_of_file", "source_conflicts"]
__all__ += ["source_report"]

MOST_BYTES = 2**31
"""A larger source file is not asked: to know that it is the one of a result, every byte is read."""

_UNKNOWN = "source not asked: this result does not say which file it is of"
_SHOWN = 64  # letters of an id in a sentence
_MOST_OTHERS = 8  # sources of the case's other results that are asked; each may be a process
# The patient field of plain EDF is free text, which differs from visit to visit; each fastMRI file
# is compared with its own result.
_COMPARED = frozenset({"ISMRMRD", "EDF+", "DICOM"})


_Source = tuple[str, SourcePatient | None]


@dataclass(frozen=True)
class SourceReport:
    """What the source files say of whose result it is.

    Parameters
    ----------
    conflicts
        One sentence for each that names another patient.
    asked
        Role of each input, and whether its file was asked and what that is worth.

    Examples
    --------
    >>> SourceReport((), (("slide", "source not asked: its bytes have changed since"),)).conflicts
    ()
    """

    conflicts: tuple[str, ...]
    asked: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Asked:
    """One file: whom it names, or why it was not asked."""

    said: SourcePatient | None = None
    why_not: str = ""


def case_conflicts(result: Result, others: Iterable[Result]) -> list[str]:
    """Return one sentence for each patient that another result of the case names.

    Parameters
    ----------
    result
        On the screen.
    others
        All results of its case that can be read.
    """
    named = {other.patient for other in others if other.patient is not None}
    if result.patient is None:
        named = named if len(named) > 1 else set()
    return [
        f"this result is of patient {result.patient or 'unknown'}, another one of case "
        f"{result.case} of patient {other}"
        for other in sorted(named - {result.patient})
    ]


def source_conflicts(
    store: ResultStore,
    result: Result,
    *,
    others: Sequence[Result] = (),
    patients: Callable[[], Collection[str]] = frozenset,
    names: bool = False,
) -> list[str]:
    """Return one sentence for each source file that names another patient; see `source_report`."""
    report = source_report(store, result, others=others, patients=patients, names=names)
    return list(report.conflicts)


def source_report(
    store: ResultStore,
    result: Result,
    *,
    others: Sequence[Result] = (),
    patients: Callable[[], Collection[str]] = frozenset,
    names: bool = False,
) -> SourceReport:
    """Return what the source files say of whose result it is.

    A file that is not where it was, that is larger than `MOST_BYTES` or that cannot be read says
    nothing, and the report says so.

    Parameters
    ----------
    store, result
        What is asked about.
    others
        Results of its case: a prediction of a slide has the source of the slide's other results.
    patients
        Gives all patients of the study; called where a file names somebody.
    names
        Whether a sentence repeats what the file says: the id that a hospital gave is for roles
        that may see identity.
    """
    places = _places(store.inputs.path)
    own = {role: _ask(places, digest) for role, digest in _sources(result, others).items()}
    found, asked = [], []
    for role, one in own.items():
        conflict = _conflict(role, one, result, patients, names=names)
        found += conflict
        asked.append((role, _words(one, result, is_doubted=bool(conflict))))
    found += _between(own, result, others, places, names=names)
    return SourceReport(tuple(found), tuple(asked) or (("input", _UNKNOWN),))


def identity_of_file(path: Path) -> str | None:
    """Return the patient that a source file names, None where it names none that can be read."""
    try:
        said = patient_of_source(path)
    except MedconsistError:
        return None
    return None if said is None else said.id


@lru_cache(maxsize=64)
def _places(path: Path) -> InputPlaces:
    """Return the places of a study; kept, so that a file is hashed once and not at every look."""
    return InputPlaces(path)


def _sources(result: Result, others: Iterable[Result]) -> dict[str, str]:
    """Return role to sha256 of what may be a file with a patient: of its own, or of the item's."""
    if "slide" in result.inputs or not any(role.startswith("bag_") for role in result.inputs):
        return dict(result.inputs)
    slides = {
        one.inputs["slide"] for one in others if one.item == result.item and "slide" in one.inputs
    }
    return {"slide": slides.pop()} if len(slides) == 1 else {}


def _ask(places: InputPlaces, digest: str) -> _Asked:
    lies = places.unchecked(digest)
    if not lies:
        return _Asked(why_not="it is not known where it lies, or not there any more")
    try:
        if all(kind_of_source(path) is None for path in lies):
            return _Asked(why_not="a file of its kind has no field for a patient")
        path = places.find(digest, most_bytes=MOST_BYTES)
        if path is not None:
            said = patient_of_source(path)
            return _Asked(said, "" if said else "a file of its kind has no field for a patient")
        if all(path.stat().st_size > MOST_BYTES for path in lies):
            return _Asked(why_not=f"it is larger than {MOST_BYTES // 2**30} GiB")
    except (MedconsistError, OSError):  # what is wrong may be said in words of the file
        return _Asked(why_not="its header cannot be read")
    return _Asked(why_not="its bytes have changed since")


def _conflict(
    role: str,
    one: _Asked,
    result: Result,
    patients: Callable[[], Collection[str]],
    *,
    names: bool,
) -> list[str]:
    said = None if one.said is None else one.said.id
    if one.said is None or said is None or said == result.patient:
        return []
    shown = result.patient or "nothing"
    who = f"patient {said[:_SHOWN]}" if names else "another patient"
    if one.said.kind == "fastMRI":
        return [f"the file of {role} says {who}, the result says {shown}"]
    if said in patients():
        of = f"{who}, who is another one of this study" if names else f"{who} of this study"
        return [f"the file of {role} says {of}, the result says {shown}"]
    return []


def _words(one: _Asked, result: Result, *, is_doubted: bool) -> str:
    if one.said is None:
        return f"source not asked: {one.why_not}"
    if one.said.id is None:
        return f"source asked ({one.said.kind}): it names nobody"
    if one.said.id == result.patient:
        return f"source asked ({one.said.kind}): it names this patient"
    if is_doubted:
        return f"source asked ({one.said.kind}): it names another patient"
    return (
        f"source asked ({one.said.kind}): it names its patient by another id. A pseudonym is not "
        "told from a mix-up by that; compared were the patients of this study and the other "
        "sources of this case"
    )


def _between(
    own: dict[str, _Asked],
    result: Result,
    others: Sequence[Result],
    places: InputPlaces,
    *,
    names: bool,
) -> list[str]:
    """Compare the files of a case with one another, kind by kind."""
    mine = [(role, one.said) for role, one in own.items() if _is_compared(one.said)]
    found = [_two(mine[0], two, "", names=names) for two in mine[1:] if _differ(mine[0], two)]
    seen = {*result.inputs.values(), *_sources(result, others).values()}
    rest = {
        digest: (role, other)
        for other in others
        for role, digest in other.inputs.items()
        if mine and digest not in seen and places.unchecked(digest)
    }
    for digest, (role, other) in list(rest.items())[:_MOST_OTHERS]:
        theirs = (role, _ask(places, digest).said)
        whose = f" of item {other.item}" if other.item else " of another result"
        found += [_two(one, theirs, whose, names=names) for one in mine if _differ(one, theirs)][:1]
    return found


def _is_compared(said: SourcePatient | None) -> bool:
    return said is not None and said.id is not None and said.kind in _COMPARED


def _differ(one: _Source, other: _Source) -> bool:
    """Say whether two files follow one kind of rules and name two patients."""
    mine, theirs = one[1], other[1]
    if mine is None or theirs is None or not (_is_compared(mine) and _is_compared(theirs)):
        return False
    return mine.kind == theirs.kind and mine.id != theirs.id


def _two(one: _Source, other: _Source, whose: str, *, names: bool) -> str:
    ids = [("" if said is None else said.id or "")[:_SHOWN] for _, said in (one, other)]
    kind = "" if one[1] is None else f"{one[1].kind} "
    told = f": {ids[0]} and {ids[1]}" if names else ""
    return (
        f"the {kind}file of {one[0]} and that of {other[0]}{whose} of the same case name two "
        f"patients{told}"
    )
