"""What the commands on models of bags share: bags, labels, split, and where all that came from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

from medconsist.errors import RefusedInputError
from medconsist.manifests.case_manifest import read_case_manifest
from medconsist.manifests.cases import CaseManifest
from medconsist.results.finding import Finding
from medconsist.training.draws import generator_for
from medconsist.wsi.bags.header import EncoderRecord
from medconsist.wsi.mil.assumption import assumption_tests
from medconsist.wsi.mil.audit import (
    copies_across,
    patients_apart,
    sites_apart,
    split_unaltered,
)
from medconsist.wsi.mil.card import MilCard, SpaceRecord
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.feature_bags import Unit, feature_bags
from medconsist.wsi.mil.methods import MethodChoice
from medconsist.wsi.mil.models.choice import MODELS, make_model
from medconsist.wsi.mil.sealed import SealedParts, sealed_parts
from medconsist.wsi.mil.site_probe import label_by_site, shortcut, site_from_features
from medconsist.wsi.mil.sources import CaseSource, Classes, StudyBags, study_bags
from medconsist.wsi.mil.training_run import Provenance

__all__ = ["Desk", "assumption_lines", "audit_of"]

_DIGITS = 12  # of a sha256, as people compare them


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Bags and labels of one round of a frozen split.

    Parameters
    ----------
    manifest
        With patient, case and the label of each slide.
    split
        File of the frozen split.
    classes
        Names, in the order of their numbers, as the label column has them.
    column
        Of the labels.
    round
        Of the split.
    bags, study
        Folder of results and its study; or
    features, unit
        a file of features, and what a row of it stands for.

    Raises
    ------
    RefusedInputError
        Both or neither of ``bags`` and ``features``.

    Examples
    --------
    ::

        desk = Desk(manifest=Path("cases.csv"), split=Path("split.json"),
                    classes=("normal", "tumour"), bags=Path("results"))
        desk.parts.train.labels
    """

    manifest: Path
    split: Path
    classes: tuple[str, ...]
    column: str = "label"
    round: int = 0
    bags: Path | None = None
    study: str = "wsi"
    features: Path | None = None
    unit: Unit | None = None

    def __post_init__(self) -> None:
        if (self.bags is None) == (self.features is None):
            msg = "give --bags RESULTS or --features FILE, one of the two."
            raise RefusedInputError(msg)
        if self.features is not None and self.unit not in get_args(Unit):
            msg = f"--features needs --unit {'|'.join(get_args(Unit))}: no file says what a row is."
            raise RefusedInputError(msg)

    @cached_property
    def rows(self) -> CaseManifest:
        """The manifest, checked; the slides themselves are not needed."""
        return read_case_manifest(self.manifest, files=False)

    @cached_property
    def source(self) -> CaseSource:
        """The bags."""
        if self.bags is not None:
            return study_bags(self.bags, self.study)
        assert self.features is not None  # noqa: S101  one of the two, see above
        assert self.unit is not None  # noqa: S101
        return feature_bags(self.features, self.rows, unit=self.unit)

    @cached_property
    def parts(self) -> SealedParts:
        """Training and validation with labels, the test without."""
        classes = Classes(self.classes, column=self.column)
        return sealed_parts(
            self.source, self.rows, split=self.split, classes=classes, number=self.round
        )

    @property
    def validation(self) -> Cohort:
        """The validation part.

        Raises
        ------
        RefusedInputError
            The split has none.
        """
        if self.parts.validation is None:
            msg = (
                f"{self.split} has no validation part, and checkpoint, threshold and temperature "
                "come from there. Make a split with one."
            )
            raise RefusedInputError(msg)
        return self.parts.validation

    @property
    def space(self) -> SpaceRecord:
        """What the features are."""
        if isinstance(self.source, StudyBags):
            return SpaceRecord.of(self.source.opened(0).bags[0].header, self.source.dim)
        return SpaceRecord(dim=self.source.dim)

    @property
    def origin(self) -> str:
        """Where the features come from, in words."""
        return f"study {self.study}" if self.features is None else f"file {self.features.name}"

    def provenance(self, *, tests: tuple[str, ...] = ()) -> Provenance:
        """Return where all this comes from, for a card."""
        return Provenance(
            space=self.space,
            study=self.origin,
            split_sha256=self.parts.split.sha256,
            fold=self.round,
            tests=tests,
        )

    def require(self, card: MilCard, *, model: Path) -> None:
        """Refuse a model of another split, round, classes or features than these.

        Parameters
        ----------
        card
            Of the model.
        model
            Its folder, for the sentence.

        Raises
        ------
        RefusedInputError
            Names what differs. A model of another split may have been trained on these cases.
        """
        was = {
            "split": card.split_sha256,
            "round": card.fold,
            "classes": card.classes,
            **dict(card.space),
        }
        here = {
            "split": self.parts.split.sha256,
            "round": self.round,
            "classes": self.classes,
            **dict(self.space),
        }
        for name, value in was.items():
            if value != here[name]:
                msg = (
                    f"{model} was trained with {name} {_short(value)}, and here it is "
                    f"{_short(here[name])}; give split, round, classes and features as they were "
                    "for its training."
                )
                raise RefusedInputError(msg)


def assumption_lines(choice: MethodChoice, *, seed: int) -> tuple[str, ...]:
    """Return how a kind of model does on the tests of Raff and Holt, as lines for its card.

    Of MHIM-MIL the plain model below it is tested; INS, PANTHER and the probe are not.
    """
    name = choice.base if choice.name.startswith("mhim") else choice.name
    if name not in MODELS or name == "transmil":  # that one takes minutes
        return (f"MIL assumption (Raff and Holt): {name} was not tested.",)
    options = dict(choice.options)
    results = assumption_tests(
        lambda size, generator: make_model(name, size, generator=generator, **options), seed=seed
    )
    return tuple(f"MIL assumption, {name}: {one.line()}" for one in results)


def audit_of(desk: Desk, *, seed: int = 0) -> tuple[Finding, ...]:
    """Return everything that can be found without labels of the test.

    The split as it was frozen; patients and sites across parts, near-duplicate slides, and whether
    the site can be told from the features and goes with the label. Where the split is altered
    nothing else is looked at; what cannot be judged is a warning that says why.

    Raises
    ------
    MedconsistError
        Split, manifest or features are not there, or cannot be read.
    """
    split = split_unaltered(desk.split, desk.rows)
    if not split.passed:
        return (split,)
    parts = desk.parts.by_name
    sites = sites_apart(parts)
    return (
        split,
        patients_apart(parts),
        copies_across(parts),
        sites,
        *_site_findings(desk, sites, seed),
    )


def _short(value: object) -> str:
    if isinstance(value, EncoderRecord):
        return f"{value.name} ({_short(value.sha256)}, {value.precision})"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "unknown" if value is None else str(value)[:_DIGITS]


def _site_findings(desk: Desk, sites: Finding, seed: int) -> Iterator[Finding]:
    """Yield what a probe says of the sites, and whether they are a shortcut to the label."""
    parts = desk.parts.by_name
    everything = Cohort(
        desk.source,
        tuple(number for cohort in parts.values() for number in cohort.numbers),
        tuple(info for cohort in parts.values() for info in cohort.infos),
        desk.classes,
    )
    try:
        probe = site_from_features(everything, generator=generator_for(seed, 0))
        # of the test no label is known here, so that it is left out
        association = label_by_site(everything.infos, generator=generator_for(seed, 1))
    except RefusedInputError as error:
        sentence = f"Whether the site is a shortcut to the label cannot be judged: {error}"
        yield Finding(name="shortcut", passed=False, sentence=sentence, weight="warning")
        return
    yield from (probe, association, shortcut(probe, association, sites))
