"""Bags by case: those of a study, read where they lie, and the labels of a manifest."""

from abc import abstractmethod
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from medconsist._ids import nearest
from medconsist.errors import MissingInputError, NoTissueError, RefusedInputError
from medconsist.manifests.case_facts import CaseFacts, case_facts
from medconsist.manifests.cases import CaseManifest, CaseRow
from medconsist.manifests.problem import problem_at
from medconsist.wsi.bags.bag_file import BagFacts, read_bag_facts
from medconsist.wsi.bags.bag_store import BAG_ROLE, BagEntry, CaseBag, case_bag, current_bags
from medconsist.wsi.bags.same_tiles import same_tiles
from medconsist.wsi.mil.cohort import BagInfo, BagSource, Cohort

__all__ = [
    "CaseSource",
    "Classes",
    "StudyBags",
    "bags_of_cases",
    "cohort_of",
    "infos_of",
    "study_bags",
]

_OPEN = 64  # cases whose files stay open: a process may have about a thousand


class CaseSource(BagSource):
    """A source that knows which case each of its bags is."""

    @property
    @abstractmethod
    def cases(self) -> tuple[str, ...]:
        """The case of each bag, each once."""

    @property
    def patients(self) -> Mapping[str, str]:
        """The patient of a case, where the source says so itself."""
        return {}


class StudyBags(CaseSource):
    """The features of a study: one bag a case, of all its slides, memory-mapped in fp16.

    Heads of all files are checked when it is made; a row is read when it is asked for. Not for
    several threads at a time.

    Parameters
    ----------
    entries
        Of one study and one encoder, one for each slide.
    verify
        Compare every byte with its sha256 first, which reads everything once. That also rules out
        NaN: the writer of bags refuses it.

    Raises
    ------
    MissingInputError
        There is no entry.
    NoTissueError
        A case without any tile; names it.
    RefusedInputError
        Several encoders, feature lengths, or sizes of tiles; names two slides.
    CorruptResultError
        A byte differs from what was stored.

    Examples
    --------
    ::

        source = study_bags(Path("results"), "camelyon")
        cohort = cohort_of(source, manifest, Classes(("normal", "tumour")))
    """

    def __init__(self, entries: Sequence[BagEntry], *, verify: bool = True) -> None:
        if not entries:
            msg = "there are no features to read. Run medconsist wsi embed first."
            raise MissingInputError(msg)
        grouped = defaultdict[str, list[BagEntry]](list)
        for entry in entries:
            grouped[entry.case].append(entry)
        self._entries = {case: tuple(grouped[case]) for case in sorted(grouped)}
        facts = {
            case: [_facts(entry, verify=verify) for entry in self._entries[case]]
            for case in self._entries
        }
        self._dim = _refuse_mixed([one for case in facts.values() for one in case])
        self._sizes = tuple(sum(one.tiles for one in facts[case]) for case in facts)
        _refuse_empty(self.cases, self._sizes)
        for case, of_case in self._entries.items():
            _refuse_owners(case, of_case)
        self._open = OrderedDict[str, CaseBag]()

    @property
    def dim(self) -> int:
        """Length of a feature."""
        return self._dim

    @property
    def cases(self) -> tuple[str, ...]:
        """The case of each bag, sorted."""
        return tuple(self._entries)

    @property
    def patients(self) -> Mapping[str, str]:
        """The patient of each case whose result names one."""
        said = {case: entries[0].patient for case, entries in self._entries.items()}
        return {case: patient for case, patient in said.items() if patient is not None}

    @property
    def encoder(self) -> str | None:
        """The sha256 of the encoder's weights."""
        return next(iter(self._entries.values()))[0].encoder_sha256

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self._entries)

    def instances(self, bag: int) -> int:
        """Return how many tiles all slides of a case have."""
        return self._sizes[bag]

    def rows(
        self, bag: int, which: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n_or_all dim"]:
        """Return features of these tiles, or of all, in fp16."""
        opened = self.opened(bag)
        if which is not None:
            return opened.rows(which)
        parts = [one.features for one in opened.bags if len(one)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def opened(self, bag: int) -> CaseBag:
        """Return the slides of a case with their headers and places, for maps."""
        case = self.cases[bag]
        if case not in self._open:
            self._open[case] = case_bag(self._entries[case], verify=False)
        self._open.move_to_end(case)
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)
        return self._open[case]


@dataclass(frozen=True)
class Classes:
    """Which labels of a manifest are which class.

    Parameters
    ----------
    names
        Of the classes, in the order of their numbers; two or more.
    column
        Of the manifest.
    values
        Label to name of a class, for labels that are no such name themselves.

    Raises
    ------
    RefusedInputError
        Fewer than two classes, one twice, or a value of no class.

    Examples
    --------
    >>> Classes(("normal", "tumour"), values={"itc": "tumour"}).number("itc")
    1
    """

    names: tuple[str, ...]
    column: str = "label"
    values: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.values.values()) - set(self.names))
        if len(self.names) < 2 or len(set(self.names)) != len(self.names) or unknown:
            msg = (
                f"got the classes {list(self.names)} and labels for {unknown[:5]}; give two or "
                "more classes, each once, and labels for these alone."
            )
            raise RefusedInputError(msg)

    def number(self, label: str) -> int | None:
        """Return the number of the class of a label; None for a label of none."""
        name = self.values.get(label, label)
        return self.names.index(name) if name in self.names else None


def study_bags(
    root: Path, study: str, *, encoder_sha256: str | None = None, verify: bool = True
) -> StudyBags:
    """Return the bags of a study, of each slide the current result of its case.

    Parameters
    ----------
    root, study
        Where the results lie.
    encoder_sha256
        Only bags of these weights; None for all, which then must be of one encoder.
    verify
        See `StudyBags`.

    Raises
    ------
    MissingInputError, NoTissueError, RefusedInputError, CorruptResultError
        See `StudyBags`.
    """
    return StudyBags(current_bags(root, study, encoder_sha256=encoder_sha256), verify=verify)


def cohort_of(
    source: CaseSource, manifest: CaseManifest | Sequence[CaseRow], classes: Classes
) -> Cohort:
    """Return the cases of a manifest with their labels; bags of other cases are left out.

    Parameters
    ----------
    source
        Must have a bag for each case of the manifest.
    manifest
        Or its rows.
    classes
        See `Classes`.

    Raises
    ------
    MissingInputError
        A case has no bag; names it and its row.
    RefusedInputError
        A label is missing or of no class, or source and manifest name two patients of a case; each
        with its row.

    Examples
    --------
    See `StudyBags`.
    """
    rows = manifest.rows if isinstance(manifest, CaseManifest) else manifest
    facts = case_facts(rows, label=classes.column)
    infos = infos_of(facts, classes)
    return Cohort(source, bags_of_cases(source, facts), infos, classes.names)


def infos_of(facts: Sequence[CaseFacts], classes: Classes) -> tuple[BagInfo, ...]:
    """Return cases with the numbers of their classes.

    Raises
    ------
    RefusedInputError
        A label is missing or of no class; names row and column.
    """
    return tuple(
        BagInfo(case=one.case, patient=one.patient, label=_label(one, classes), site=one.site)
        for one in facts
    )


def bags_of_cases(source: CaseSource, facts: Sequence[CaseFacts]) -> tuple[int, ...]:
    """Return the number of the bag of each case.

    Raises
    ------
    MissingInputError
        A case has no bag.
    RefusedInputError
        Source and manifest name two patients of a case.
    """
    known = {case: number for number, case in enumerate(source.cases)}
    missing = [one for one in facts if one.case not in known]
    if missing:
        row = missing[0].rows[0] if missing[0].rows else None
        fault = (
            f"case {missing[0].case} has no features ({len(missing)} of {len(facts)} cases have "
            "none); embed its slides, or take its rows out of the manifest."
        )
        raise MissingInputError(problem_at(row, "case", fault).sentence)
    said = source.patients
    for one in facts:
        if said.get(one.case, one.patient) != one.patient:
            fault = (
                f"case {one.case} is of patient {one.patient} here, and of {said[one.case]} where "
                "its features were made; correct the manifest, or embed it again."
            )
            raise RefusedInputError(problem_at(min(one.rows), "patient", fault).sentence)
    return tuple(known[one.case] for one in facts)


def _label(facts: CaseFacts, classes: Classes) -> int:
    row = min(facts.rows) if facts.rows else None
    if facts.label is None:
        fault = f"case {facts.case} has no label; fill it in, or take its rows out."
        raise RefusedInputError(problem_at(row, classes.column, fault).sentence)
    number = classes.number(facts.label)
    if number is None:
        hint = nearest(facts.label, [*classes.names, *classes.values])
        fault = f"{facts.label!r} of case {facts.case} is none of the classes. {hint}"
        raise RefusedInputError(problem_at(row, classes.column, fault).sentence)
    return number


def _facts(entry: BagEntry, *, verify: bool) -> BagFacts:
    path = entry.stored.file(BAG_ROLE) if verify else entry.path
    return read_bag_facts(path)


def _refuse_mixed(facts: Sequence[BagFacts]) -> int:
    first = facts[0]
    for one in facts[1:]:
        pair = f"{first.header.slide} and {one.header.slide}"
        if one.header.encoder != first.header.encoder or one.dim != first.dim:
            msg = (
                f"the slides {pair} were embedded by two encoders: "
                f"{_encoder(first)} and {_encoder(one)}; take one, by its sha256."
            )
            raise RefusedInputError(msg)
        engines = first.header.engine, one.header.engine
        if not same_tiles(first.header.grid, one.header.grid, engines=engines):
            msg = (
                f"the slides {pair} were tiled in two ways: {_grid(first)} and {_grid(one)}; embed "
                "all with one size of tile and one step."
            )
            raise RefusedInputError(msg)
    return first.dim


def _grid(facts: BagFacts) -> str:
    grid = facts.header.grid
    mpp = "unknown" if grid.target_mpp is None else f"{grid.target_mpp:g}"
    return f"tiles of {grid.tile_px} px, step {grid.step_px} px, {mpp} um/px"


def _encoder(facts: BagFacts) -> str:
    record = facts.header.encoder
    weights = "without weights" if record.sha256 is None else f"sha256 {record.sha256[:8]}"
    return f"{record.name} ({weights}, {record.precision}, length {facts.dim})"


def _refuse_empty(cases: Sequence[str], sizes: Sequence[int]) -> None:
    empty = [case for case, size in zip(cases, sizes, strict=True) if not size]
    if empty:
        msg = (
            f"case {empty[0]} has no tile with tissue ({len(empty)} such cases); look at its "
            "tissue mask, or take it out of the study."
        )
        raise NoTissueError(msg)


def _refuse_owners(case: str, entries: Sequence[BagEntry]) -> None:
    slides = [entry.slide for entry in entries]
    patients = sorted({entry.patient or "unknown" for entry in entries})
    twice = sorted({str(slide) for slide in slides if slides.count(slide) > 1})
    if twice or len(patients) > 1:
        msg = (
            f"case {case} has results of the patients {', '.join(patients)} and several of the "
            f"slides {twice[:5]}; choose the current one, by encoder or by study."
        )
        raise RefusedInputError(msg)
