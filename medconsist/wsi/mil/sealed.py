"""The test set without its labels, until somebody asks for them by name, and that is written down.

This is a guard against accidents, not a lock: who holds the manifest can read its labels. It makes
the ordinary way to them one that leaves a line: when, by whom, for which weights.
"""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from medconsist._atomic import make_folder, storage_errors
from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import Record, make_record, read_record
from medconsist.errors import CorruptResultError, RefusedInputError
from medconsist.manifests.case_facts import CaseFacts, case_facts
from medconsist.manifests.cases import CaseManifest
from medconsist.manifests.split import read_split
from medconsist.manifests.split_record import PartName, Split
from medconsist.results.append_only import append_line, locked
from medconsist.results.ids import safe_key
from medconsist.wsi.mil.cohort import BagInfo, Cohort
from medconsist.wsi.mil.sources import CaseSource, Classes, bags_of_cases, infos_of

__all__ = ["Opening", "SealedParts", "Unsealed", "openings_of", "sealed_parts"]

_NOTHING = "0" * 64


class Opening(Record):
    """One line of the record of openings: the labels of a test set were read.

    Parameters
    ----------
    number
        From 1.
    round
        Of the split.
    split_sha256, model_sha256
        Which test set, and for which weights.
    who, when
        As the caller says; UTC.
    previous
        The sha256 of the line before, zeros for the first: a line cannot be taken out unseen, but
        the last ones can.

    Examples
    --------
    >>> Opening(number=1, round=0, split_sha256="0" * 64, model_sha256="1" * 64, who="an",
    ...         when="2026-11-22T12:00:00+00:00", previous="0" * 64).number
    1
    """

    schema_version: Literal[1] = 1
    number: int = Field(ge=1)
    round: int = Field(ge=0)
    split_sha256: str
    model_sha256: str
    who: str = Field(min_length=1)
    when: str
    previous: str


@dataclass(frozen=True, eq=False)
class Unsealed:
    """The test set with its labels, and how often it was opened.

    Parameters
    ----------
    test
        The cohort.
    opening
        The line that was written.
    times
        How often this test set was opened, this time among them.
    models
        For how many different weights.

    Examples
    --------
    >>> Unsealed.__dataclass_params__.frozen
    True
    """

    test: Cohort
    opening: Opening
    times: int
    models: int

    @property
    def sentence(self) -> str:
        """What a report of this test must say."""
        said = f"The test set has been opened {self.times} {'time' if self.times == 1 else 'times'}"
        if self.times == 1:
            return f"{said}: these are its first numbers."
        if self.models == 1:
            return f"{said}, for the same weights."
        return (
            f"{said}, for {self.models} different weights: choosing among them by these numbers "
            "makes them too good."
        )


@dataclass(frozen=True, eq=False)
class SealedParts:
    """Training and validation with labels, the test without.

    Parameters
    ----------
    train, validation
        Validation is None where the split has none.
    test
        Its ``labels`` raise, and each label is None.
    split, number
        And the round of it.
    log
        Where openings are written: beside the split.

    Examples
    --------
    ::

        parts = sealed_parts(source, manifest, split=Path("split.json"), classes=classes)
        parts.test.labels  # RefusedInputError
        opened = parts.unseal(final=True, model_sha256=weights, who="an")
    """

    train: Cohort
    validation: Cohort | None
    test: Cohort
    split: Split
    number: int
    log: Path
    _facts: tuple[CaseFacts, ...] = field(repr=False)
    _classes: Classes = field(repr=False)

    @property
    def by_name(self) -> dict[str, Cohort]:
        """The parts that there are, by name, as the audit takes them."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: cohort for name, cohort in named.items() if cohort is not None}

    def unseal(self, *, final: bool, model_sha256: str, who: str) -> Unsealed:
        """Write an opening down, then return the test set with its labels.

        Parameters
        ----------
        final
            Must be True: training, threshold and temperature are done.
        model_sha256
            Of the weights that will be tested.
        who
            Name of the person or job.

        Raises
        ------
        RefusedInputError
            ``final`` is False, the sha256 is none, nobody is named, or a label is missing.
        CorruptResultError
            The record of openings was altered.
        StorageError
            It cannot be written; the labels stay sealed.
        """
        if not final:
            msg = (
                "the labels of the test set are sealed; choose model, threshold and temperature on "
                "the validation set, then run medconsist wsi evaluate --final."
            )
            raise RefusedInputError(msg)
        infos = infos_of(self._facts, self._classes)
        opening, before = _written(self, safe_key(model_sha256), who)
        mine = [one for one in before if _same_test(one, opening)] + [opening]
        return Unsealed(
            replace(self.test, infos=infos),
            opening,
            times=len(mine),
            models=len({one.model_sha256 for one in mine}),
        )


def sealed_parts(
    source: CaseSource,
    manifest: CaseManifest,
    *,
    split: Path,
    classes: Classes,
    number: int = 0,
) -> SealedParts:
    """Return the parts of one round of a frozen split.

    Parameters
    ----------
    source
        Has a bag for each case.
    manifest
        That the split was made of, unchanged.
    split
        Its file.
    classes
        Must take the column that the split balanced, so that a changed label is seen.
    number
        Of the round.

    Raises
    ------
    MissingInputError
        There is no such split, or a case has no bag.
    CorruptResultError
        The split was altered.
    RefusedInputError
        The manifest changed, there is no such round, or a label of training or validation is
        missing or of no class.
    """
    frozen = read_split(split, manifest)
    if frozen.plan.label != classes.column:
        msg = (
            f"the split balanced the column {frozen.plan.label!r}, and the labels are taken from "
            f"{classes.column!r}; make a split with this column."
        )
        raise RefusedInputError(msg)
    if not 0 <= number < len(frozen.rounds):
        msg = f"there is no round {number} in {split}; allowed are 0 to {len(frozen.rounds) - 1}."
        raise RefusedInputError(msg)
    facts = {one.case: one for one in case_facts(manifest.rows, label=classes.column)}

    def of(part: PartName) -> tuple[CaseFacts, ...]:
        return tuple(facts[case] for case in frozen.cases(number, part))

    def labelled(part: PartName) -> Cohort:
        return _cohort(source, of(part), infos_of(of(part), classes), classes)

    test = tuple(BagInfo(case=one.case, patient=one.patient, site=one.site) for one in of("test"))
    return SealedParts(
        train=labelled("train"),
        validation=labelled("validation") if frozen.rounds[number].validation else None,
        test=_cohort(source, of("test"), test, classes),
        split=frozen,
        number=number,
        log=split.with_name(f"{split.stem}.openings.jsonl"),
        _facts=of("test"),
        _classes=classes,
    )


def openings_of(log: Path) -> tuple[Opening, ...]:
    """Return all openings of the test sets of a split; none if it was never opened.

    Raises
    ------
    CorruptResultError
        A line was altered, or one is missing between others.
    """
    if not log.exists():
        return ()
    with storage_errors(log, doing="read"), locked(log, os.O_RDONLY, fcntl.LOCK_SH):
        return _read(log)


def _cohort(
    source: CaseSource, facts: Sequence[CaseFacts], infos: Sequence[BagInfo], classes: Classes
) -> Cohort:
    return Cohort(source, bags_of_cases(source, facts), tuple(infos), classes.names)


def _written(parts: SealedParts, model: str, who: str) -> tuple[Opening, tuple[Opening, ...]]:
    make_folder(parts.log.parent)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    with storage_errors(parts.log), locked(parts.log, flags, fcntl.LOCK_EX) as descriptor:
        before = _read(parts.log)
        opening = make_record(
            Opening,
            number=len(before) + 1,
            round=parts.number,
            split_sha256=parts.split.sha256,
            model_sha256=model,
            who=who,
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            previous=_digest(before[-1]) if before else _NOTHING,
        )
        append_line(descriptor, opening.model_dump_json().encode() + b"\n")
    return opening, before


def _read(log: Path) -> tuple[Opening, ...]:
    found, previous = list[Opening](), _NOTHING
    for number, text in enumerate(filter(None, log.read_bytes().split(b"\n")), start=1):
        place = f"{log} line {number}"
        try:
            opening = read_record(Opening, text, source=place)
        except RefusedInputError as error:
            raise _altered(str(error)) from error
        if (opening.number, opening.previous) != (number, previous):
            fault = f"{place} does not follow the line before it."
            raise _altered(fault)
        found.append(opening)
        previous = _digest(opening)
    return tuple(found)


def _altered(fault: str) -> CorruptResultError:
    msg = (
        f"{fault} The record of openings was altered; take it back as it was, or make a new split "
        "with cases that nobody has looked at."
    )
    return CorruptResultError(msg)


def _digest(opening: Opening) -> str:
    return sha256_of_bytes(canonical_json(opening.model_dump(mode="json")))


def _same_test(one: Opening, other: Opening) -> bool:
    return (one.split_sha256, one.round) == (other.split_sha256, other.round)
