"""Who is learned from and who is judged, patient by patient: folds, or every pair left out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64
from pydantic import Field, model_validator

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import Record, make_record
from medconsist.errors import RefusedInputError
from medconsist.manifests.cases import CaseRow
from medconsist.manifests.split import make_split
from medconsist.manifests.split_balance import Group, shared_out
from medconsist.manifests.split_record import Fraction, SplitPlan
from medconsist.timeseries.window_set import UNKNOWN, WindowTable

__all__ = ["PatientRound", "Rounds", "RoundsPlan", "digest_of_patients", "make_rounds", "pairs_of"]

_TWO = 2


class RoundsPlan(Record):
    """How patients are dealt.

    Parameters
    ----------
    kind
        ``"folds"``: each fold is the test once; ``"pairs"``: each pair of a positive and a negative
        patient is, which gives an area that compares scores of one model only. ``"given"``: one
        round that was dealt elsewhere (`medconsist.timeseries.published_splits`).
    folds, repeats
        Of folds; each test fold must hold every class.
    validation
        Share of the patients beside the test that a supervised model chooses its checkpoint with;
        None leaves nobody for that. Never of the test.
    blocks
        Of pairs: None learns a representation for each pair, on all others. A number deals the
        patients into as many blocks, and a pair's representation is learned on all patients of the
        blocks that hold neither of them: ``blocks (blocks - 1) / 2`` trainings instead of one a
        pair, each on fewer patients. The probe is fitted on all others in both.
    seed
        Of the dealing.

    Examples
    --------
    >>> RoundsPlan(kind="pairs", blocks=4).blocks
    4
    """

    kind: Literal["folds", "pairs", "given"] = "folds"
    folds: Annotated[int, Field(ge=2, le=100)] = 4
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    validation: Fraction | None = None
    blocks: Annotated[int, Field(ge=3, le=100)] | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _fits(self) -> "RoundsPlan":
        if self.kind != "pairs" and self.blocks is not None:
            msg = "blocks are for pairs; folds learn a representation on each training set"
            raise ValueError(msg)
        return self


class PatientRound(Record):
    """One way to learn and to judge.

    Parameters
    ----------
    repeat, number
        Its place; the number is that of the fold, or of the pair.
    train
        Patients whose labels are learned from.
    learn
        Patients whose signals a representation may see, without labels: ``train`` or some of it.
    validation, test
        Patients who choose a checkpoint, and who are judged.

    Examples
    --------
    >>> PatientRound(repeat=0, number=1, train=("a",), learn=("a",), test=("b",)).name
    'repeat 0, round 1'
    """

    repeat: int
    number: int
    train: tuple[str, ...]
    learn: tuple[str, ...]
    validation: tuple[str, ...] = ()
    test: tuple[str, ...]

    @property
    def name(self) -> str:
        """As sentences call it."""
        return f"repeat {self.repeat}, round {self.number}"

    @model_validator(mode="after")
    def _nobody_twice(self) -> "PatientRound":
        counted = Counter([*self.train, *self.validation, *self.test])
        twice = sorted(name for name, count in counted.items() if count > 1)
        if twice:
            msg = f"{self.name}: patient {twice[0]} is in two parts"
            raise ValueError(msg)
        if not set(self.learn) <= set(self.train):
            stranger = sorted(set(self.learn) - set(self.train))[0]
            msg = f"{self.name}: a representation would see patient {stranger}, not in training"
            raise ValueError(msg)
        if not (self.train and self.learn and self.test):
            msg = f"{self.name}: nobody to train on, to learn from or to judge"
            raise ValueError(msg)
        return self


class Rounds(Record):
    """Frozen rounds.

    Parameters
    ----------
    plan
        What made them.
    patients_sha256
        Of id and class of each patient.
    fingerprint
        Of the windows they were made for; empty where there is none.
    blocks
        Of the representation, for pairs.
    rounds
        One or more.
    notes
        What should be known.
    sha256
        Of all the rest, as canonical JSON.

    Examples
    --------
    See `make_rounds`.
    """

    format: Literal["medconsist-rounds-1"] = "medconsist-rounds-1"
    plan: RoundsPlan
    patients_sha256: str
    fingerprint: str = ""
    blocks: tuple[tuple[str, ...], ...] = ()
    rounds: tuple[PatientRound, ...]
    notes: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def seal(self) -> str:
        """The sha256 that this record should carry."""
        return sha256_of_bytes(canonical_json(self.model_dump(mode="json", exclude={"sha256"})))


@dataclass(frozen=True)
class _Known:
    """The patients with a label, by name, and their classes."""

    names: tuple[str, ...]
    labels: tuple[str, ...]

    def groups(self, chosen: set[str] | None = None) -> list[Group]:
        return [
            Group(name, (name,), {f"label {label}": 1, "patients": 1})
            for name, label in zip(self.names, self.labels, strict=True)
            if chosen is None or name in chosen
        ]


def make_rounds(
    table: WindowTable, plan: RoundsPlan | None = None, *, fingerprint: str = ""
) -> Rounds:
    """Deal the patients who have windows and a label; the same table and plan give the same rounds.

    Folds are those of `manifests.split.make_split`, with one row a patient.

    Parameters
    ----------
    table
        Of all windows.
    plan
        None takes the defaults of `RoundsPlan`.
    fingerprint
        Of the windows.

    Raises
    ------
    RefusedInputError
        One patient or one class only, a test fold without a class, pairs of other than two
        classes, too few patients for the parts, or a plan of given rounds.

    Examples
    --------
    >>> zero, one = np.zeros(4, np.int64), np.arange(4)
    >>> table = WindowTable(patient=one, trial=one, start=zero, label=one % 2, sites=(None,) * 4,
    ...                     patients=("a", "b", "c", "d"), classes=("control", "case"))
    >>> [one.test for one in make_rounds(table, RoundsPlan(folds=2)).rounds]
    [('b', 'c'), ('a', 'd')]
    """
    plan = plan or RoundsPlan()
    if plan.kind == "given":
        msg = "rounds of kind 'given' are not dealt here; take folds or pairs."
        raise RefusedInputError(msg)
    known = _known(table)
    blocks: tuple[tuple[str, ...], ...] = ()
    if plan.kind == "folds":
        rounds = tuple(_folds(known, plan))
    else:
        blocks = _blocks(known, plan, table.classes)
        rounds = tuple(_pair_rounds(known, plan, blocks, _pairs(known, table.classes)))
    made = make_record(
        Rounds,
        plan=plan,
        patients_sha256=digest_of_patients(table),
        fingerprint=fingerprint,
        blocks=blocks,
        rounds=rounds,
        notes=tuple(_notes(table, known)),
    )
    return made.model_copy(update={"sha256": made.seal})


def pairs_of(
    rounds: Rounds, table: WindowTable, labels: Int64[npt.NDArray[np.int64], " patients"]
) -> tuple[PatientRound, ...]:
    """Return the rounds of all pairs of two classes after the patients were relabelled.

    The blocks stay, so that no representation is learned anew where there are blocks.

    Parameters
    ----------
    rounds
        Of pairs.
    table
        That they were made of.
    labels
        Another class for each patient, in {-1, 0, 1}.
    """
    known = _known(table)
    of_name = dict(zip(table.patients, labels.tolist(), strict=True))
    named = tuple(table.classes[of_name[name]] for name in known.names)
    other = _Known(known.names, named)
    return tuple(_pair_rounds(other, rounds.plan, rounds.blocks, _pairs(other, table.classes)))


def digest_of_patients(table: WindowTable) -> str:
    """Return the sha256 of id and class of all patients who have both, sorted."""
    known = _known(table)
    return sha256_of_bytes(canonical_json(sorted(zip(known.names, known.labels, strict=True))))


def _known(table: WindowTable) -> _Known:
    labels = table.patient_labels
    chosen = [number for number in np.argsort(table.patients) if labels[number] != UNKNOWN]
    classes = sorted({int(labels[number]) for number in chosen})
    if len(chosen) < _TWO or len(classes) < _TWO:
        names = [table.classes[one] for one in classes]
        msg = (
            f"{len(chosen)} patients with windows and a label, of the classes {names}; allowed: "
            "two patients or more, of two classes or more."
        )
        raise RefusedInputError(msg)
    return _Known(
        tuple(table.patients[number] for number in chosen),
        tuple(table.classes[labels[number]] for number in chosen),
    )


def _folds(known: _Known, plan: RoundsPlan) -> Iterator[PatientRound]:
    rows = [
        CaseRow(row=place, path=Path(f"/{place}"), item=name, case=name, patient=name, label=label)
        for place, (name, label) in enumerate(zip(known.names, known.labels, strict=True))
    ]
    split = make_split(
        rows,
        SplitPlan(
            seed=plan.seed, folds=plan.folds, repeats=plan.repeats, validation=plan.validation
        ),
    )
    label_of = dict(zip(known.names, known.labels, strict=True))
    for one in split.rounds:
        for part, patients in (("test", one.test), ("training", one.train)):
            lacking = sorted(set(known.labels) - {label_of[name] for name in patients})
            if lacking:
                msg = (
                    f"{one.name}: the {part} patients ({len(patients)}) hold none of class "
                    f"{lacking[0]}; take fewer folds, or leave pairs out."
                )
                raise RefusedInputError(msg)
        yield make_record(
            PatientRound,
            repeat=one.repeat,
            number=one.fold or 0,
            train=one.train,
            learn=one.train,
            validation=one.validation,
            test=one.test,
        )


def _pairs(known: _Known, classes: Sequence[str]) -> list[tuple[str, str]]:
    named = list(zip(known.names, known.labels, strict=True))
    positive, negative = ([n for n, label in named if label == one] for one in classes[::-1])
    return list(product(positive, negative))


def _blocks(known: _Known, plan: RoundsPlan, classes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    counts = {name: known.labels.count(name) for name in classes}
    if len(counts) != _TWO or min(counts.values()) < _TWO:
        msg = (
            f"patients by class: {counts}; to leave pairs out takes two classes of two "
            "patients or more each. Use folds."
        )
        raise RefusedInputError(msg)
    if plan.blocks is None:
        return ()
    if plan.blocks > len(known.names):
        msg = f"{plan.blocks} blocks of {len(known.names)} patients; allowed: as many or fewer."
        raise RefusedInputError(msg)
    shares = [1 / plan.blocks] * plan.blocks
    return shared_out(known.groups(), shares, draw=f"{plan.seed} blocks")


def _pair_rounds(
    known: _Known,
    plan: RoundsPlan,
    blocks: Sequence[tuple[str, ...]],
    pairs: Sequence[tuple[str, str]],
) -> Iterator[PatientRound]:
    block_of = {name: number for number, block in enumerate(blocks) for name in block}
    for number, pair in enumerate(pairs):
        rest = set(known.names) - set(pair)
        validation: tuple[str, ...] = ()
        if plan.validation is not None:
            shares = [plan.validation, 1 - plan.validation]
            draw = f"{plan.seed} {sorted(pair)} validation"
            validation, _ = shared_out(known.groups(rest), shares, draw=draw)
        train = rest - set(validation)
        unseen = set[str]()
        if blocks:
            two = {block_of[name] for name in pair}
            # two of one block: the next block is left out too, for the same size of training
            two |= {(min(two) + 1) % len(blocks)} if len(two) == 1 else set()
            unseen = {name for block in two for name in blocks[block]}
        yield make_record(
            PatientRound,
            repeat=0,
            number=number,
            train=tuple(sorted(train)),
            learn=tuple(sorted(train - unseen)),
            validation=tuple(sorted(validation)),
            test=pair,
        )


def _notes(table: WindowTable, known: _Known) -> Iterator[str]:
    without = len(set(table.patient.tolist())) - len(known.names)
    if without:
        yield f"{without} patients have windows and no label; they are in no part."
    least, count = min(Counter(known.labels).items(), key=lambda one: one[1])
    if count < 10:
        yield f"Only {count} patients are of class {least}: most methods will tie."
