"""A split as it is stored: who is trained on, who validates, who is the test, and what was counted.

A patient is an id, whole: two are one if and only if their ids are equal.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from medconsist._records import Record

__all__ = ["PARTS", "Counts", "PartName", "Patient", "Round", "Split", "SplitPlan"]

PartName = Literal["train", "validation", "test"]
PARTS: tuple[PartName, ...] = ("train", "validation", "test")
Fraction = Annotated[float, Field(gt=0, lt=1)]


class SplitPlan(Record):
    """How to split.

    Parameters
    ----------
    seed
        Of the draw.
    group
        What stays on one side: a ``"patient"``, or all of a ``"site"`` (and with it every patient
        who was there, and every other site of theirs).
    test
        Share of the patients that is held out; not used with ``folds``.
    validation
        Share of those who are not the test: chooses checkpoint, threshold and temperature. None
        leaves nobody for that: for a protocol that chooses nothing.
    folds
        None holds one test set out. A number makes as many folds, each of them the test once; the
        others are then split into training and validation (nested).
    repeats
        How many times all that is drawn anew.
    label
        Column whose values are balanced: ``label`` or one of your own, ``x_...``.
    given
        ``"test"``: the patients whose rows say ``test`` in the column ``split`` are the test, as a
        data set defines it; only training and validation are drawn.

    Examples
    --------
    >>> SplitPlan(folds=5, group="site").validation
    0.2
    """

    seed: int = 0
    group: Literal["patient", "site"] = "patient"
    test: Fraction = 0.2
    validation: Fraction | None = 0.2
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    label: str = "label"
    given: Literal["ignored", "test"] = "ignored"

    @model_validator(mode="after")
    def _one_way(self) -> "SplitPlan":
        if self.given == "test" and self.folds is not None:
            msg = "a given test set and folds exclude each other; leave one of them out, and draw "
            msg += "repeats of training and validation beside a given test set"
            raise ValueError(msg)
        return self


class Patient(Record):
    """What the split holds of a patient: no label.

    Parameters
    ----------
    cases
        Case to the first 16 digits of the sha256 of what the manifest said of it.
    sites
        Sorted; empty where none is known.

    Examples
    --------
    >>> Patient(cases={"c1": "0" * 16}).sites
    ()
    """

    cases: dict[str, str]
    sites: tuple[str, ...] = ()


class Counts(Record):
    """What a part holds.

    Parameters
    ----------
    patients, cases, sites
        How many.
    labels
        Cases by label; ``(none)`` for those without.

    Examples
    --------
    >>> Counts(patients=1, cases=2, sites=1, labels={"tumour": 2}).cases
    2
    """

    patients: int
    cases: int
    sites: int
    labels: dict[str, int]


class Round(Record):
    """One way to train, validate and test.

    Parameters
    ----------
    repeat, fold
        Its place; fold is None where there are no folds.
    train, validation, test
        Patients, sorted.
    counts
        Of each part.

    Examples
    --------
    >>> one = Round(repeat=0, train=("p1",), validation=(), test=("p2",), counts={})
    >>> one.name, one.part("test")
    ('repeat 0', ('p2',))
    """

    repeat: int
    fold: int | None = None
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    counts: dict[PartName, Counts]

    @property
    def name(self) -> str:
        """As sentences call it."""
        return f"repeat {self.repeat}" + ("" if self.fold is None else f", fold {self.fold}")

    def part(self, name: PartName) -> tuple[str, ...]:
        """Return the patients of a part."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    @model_validator(mode="after")
    def _nobody_twice(self) -> "Round":
        owner = dict[str, str]()
        for name in PARTS:
            for patient in self.part(name):
                if patient in owner:
                    msg = f"{self.name}: patient {patient} is in {owner[patient]} and in {name}"
                    raise ValueError(msg)
                owner[patient] = name
        return self


class Split(Record):
    """A frozen split.

    Parameters
    ----------
    plan
        What made it.
    manifest_sha256
        Of what the manifest said of all cases (`digest_of_cases`), not of its bytes: rows may be
        sorted, and files moved.
    patients
        By id.
    rounds
        One or more.
    notes
        What should be known: a part without a class, unlabelled cases, ids that begin alike.
    sha256
        Of all the rest, as canonical JSON.

    Examples
    --------
    See `medconsist.manifests.split.make_split`.
    """

    format: Literal["medconsist-split-1"] = "medconsist-split-1"
    plan: SplitPlan
    manifest_sha256: str
    patients: dict[str, Patient]
    rounds: tuple[Round, ...]
    notes: tuple[str, ...] = ()
    sha256: str = ""

    def cases(self, number: int, part: PartName) -> tuple[str, ...]:
        """Return the cases of a part of a round, sorted."""
        patients = self.rounds[number].part(part)
        return tuple(sorted(case for patient in patients for case in self.patients[patient].cases))

    @model_validator(mode="after")
    def _whole(self) -> "Split":
        fault = next(self._faults(), None)
        if fault is not None:
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        if not self.rounds:
            yield "there is no round"
        yield from self._case_twice()
        for one in self.rounds:
            placed = {patient for part in PARTS for patient in one.part(part)}
            lost, unknown = set(self.patients) - placed, placed - set(self.patients)
            if lost or unknown:
                yield (
                    f"{one.name}: {len(lost)} patients are in no part and {len(unknown)} are not "
                    f"known (first: {sorted(lost | unknown)[0]})"
                )
            elif not one.train or not one.test:
                yield f"{one.name}: train or test is empty"
            elif self.plan.group == "site":
                yield from self._torn_sites(one)

    def _case_twice(self) -> Iterator[str]:
        owner = dict[str, str]()
        for patient, known in self.patients.items():
            for case in known.cases:
                if owner.setdefault(case, patient) != patient:
                    yield f"case {case} is of the patients {owner[case]} and {patient}"

    def _torn_sites(self, one: Round) -> Iterator[str]:
        owner = dict[str, str]()
        for part in PARTS:
            for site in sorted({s for name in one.part(part) for s in self.patients[name].sites}):
                if owner.setdefault(site, part) != part:
                    yield f"{one.name}: site {site} is in {owner[site]} and in {part}"
