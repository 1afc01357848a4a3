"""Ids out of paths, by a rule that is said and never a guess."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from medconsist.errors import RefusedInputError

__all__ = ["Named", "Naming"]

_NOT_SAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NOT_FIRST = re.compile(r"^[^A-Za-z0-9]+")
_GROUPS = ("patient", "case", "item")


@dataclass(frozen=True)
class Named:
    """A file and its ids.

    Examples
    --------
    >>> Named(Path("/a/p7/s1.svs"), patient="p7", case="p7", item="s1").item
    's1'
    """

    path: Path
    patient: str
    case: str
    item: str


class Naming:
    r"""The rule that makes ids, and what it did.

    Parameters
    ----------
    pattern
        Regular expression with the group ``(?P<patient>...)``, and ``case`` and ``item`` where the
        path names them, searched in the path below the folder. None takes the folder that a file
        lies in as patient; a file that lies in no folder of its own is a patient of its own.

    Raises
    ------
    RefusedInputError
        The pattern is no regular expression, or has no group patient or other groups.

    Examples
    --------
    >>> naming = Naming(r"(?P<patient>P\d+)_")
    >>> naming.name(Path("/a"), Path("/a/P07_s 1.svs"))
    Named(path=PosixPath('/a/P07_s 1.svs'), patient='P07', case='P07', item='P07_s-1')
    """

    def __init__(self, pattern: str | None = None) -> None:
        self._pattern = None if pattern is None else _compiled(pattern)
        self._sources = defaultdict[tuple[str, ...], set[str]](set)
        self._unmatched = list[str]()
        self._changed = dict[str, str]()
        self._alone = 0

    def name(self, folder: Path, path: Path) -> Named | None:
        """Return the ids of a file below ``folder``; None if the pattern is not found in it."""
        below = path.relative_to(folder).as_posix()
        if self._pattern is None:
            return self._by_folder(folder, path)
        found = self._pattern.search(below)
        if found is None or not found["patient"]:
            self._unmatched.append(below)
            return None
        texts = {name: text for name, text in found.groupdict().items() if text}
        return self._named(path, texts, {name: texts.get(name, "") for name in _GROUPS})

    def require_sound(self) -> None:
        """Refuse files without a patient, and two names that would become one id.

        Raises
        ------
        RefusedInputError
            Says which.
        """
        if self._unmatched:
            msg = (
                f"--patient-from does not fit {self._unmatched[0]!r} (and "
                f"{len(self._unmatched) - 1} more files); widen it, or narrow --pattern."
            )
            raise RefusedInputError(msg)
        for (what, value), sources in self._sources.items():
            if len(sources) > 1:
                first, second = sorted(sources)[:2]
                msg = (
                    f"{first!r} and {second!r} would both be {what} {value}, and nobody said that "
                    "they are one; say how patients are named by --patient-from REGEX."
                )
                raise RefusedInputError(msg)

    @property
    def sentences(self) -> tuple[str, ...]:
        """How the ids were made."""
        if self._pattern is not None:
            groups = self._pattern.groupindex
            case = "the same" if "case" not in groups else "its group case"
            item = "the name of the file" if "item" not in groups else "its group item"
            how = f"Patient: the group of {self._pattern.pattern}; case: {case}; item: {item}."
        else:
            how = "Patient and case: the folder that a file lies in; item: the name of the file."
        said = [how]
        if self._alone:
            said.append(
                f"Files without a folder of their own: {self._alone}; each is a patient and a case "
                "named after the file."
            )
        if self._changed:
            text, value = min(self._changed.items())
            said.append(
                f"Names with characters that ids may not hold: {len(self._changed)}; they became "
                f"'-', e.g. {text!r} is {value!r}."
            )
        return tuple(said)

    def _by_folder(self, folder: Path, path: Path) -> Named:
        if path.parent == folder:
            self._alone += 1
            return self._named(path, {"patient": path.stem}, {"patient": str(path.with_suffix(""))})
        owner = path.parent
        return self._named(path, {"patient": owner.name}, {"patient": str(owner)})

    def _named(self, path: Path, texts: dict[str, str], sources: dict[str, str]) -> Named:
        patient = self._id("patient", texts["patient"], sources["patient"])
        case = self._id("case", texts["case"], sources["case"]) if "case" in texts else patient
        item = self._id("item", texts["item"], sources["item"]) if "item" in texts else None
        return Named(path, patient, case, item or self._id("item", path.stem, path.stem))

    def _id(self, what: str, text: str, source: str) -> str:
        value = _NOT_FIRST.sub("", _NOT_SAFE.sub("-", text)).rstrip("-")
        if not value:
            msg = f"the name {text!r} holds no letter or digit that an id may hold; rename it."
            raise RefusedInputError(msg)
        if value != text:
            self._changed[text] = value
        if what != "item":
            self._sources[what, value].add(source)
        return value


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        msg = f"--patient-from {pattern!r} is no regular expression: {error}."
        raise RefusedInputError(msg) from error
    groups = set(compiled.groupindex)
    if "patient" not in groups or not groups <= set(_GROUPS):
        msg = (
            f"--patient-from {pattern!r} names the groups {sorted(groups)}; it needs "
            "(?P<patient>...), and may have (?P<case>...) and (?P<item>...)."
        )
        raise RefusedInputError(msg)
    return compiled
