"""Rounds of one split that a paper published, so that its protocol can be run again as it was."""

import numpy as np

from medconsist._records import make_record
from medconsist.errors import RefusedInputError
from medconsist.manifests.dataset import named_dataset
from medconsist.manifests.published_split import PublishedSplit
from medconsist.manifests.split_record import PARTS
from medconsist.timeseries.audit.across import parts_of_round
from medconsist.timeseries.evaluation.rounds import (
    PatientRound,
    Rounds,
    RoundsPlan,
    digest_of_patients,
)
from medconsist.timeseries.window_set import WindowSet, WindowTable

__all__ = ["published_rounds", "published_split", "rounds_of_published"]

_SHOWN = 5


def published_split(dataset: str, name: str = "comet") -> PublishedSplit:
    """Return a published split of a data set that has a data manifest.

    Parameters
    ----------
    dataset
        Such as ``ad-apava``, ``ptb`` or ``tdbrain`` (arXiv:2310.14017).
    name
        Of those who published it.

    Raises
    ------
    MissingInputError
        No such data set, or no such split of it; names the nearest.

    Examples
    --------
    >>> published_split("ad-apava").part("test")
    ('19', '20')
    """
    return named_dataset(dataset).split(name)


def rounds_of_published(name: str, windows: WindowSet) -> Rounds:
    """Return the round of a published split by the name that a command line gives it.

    Parameters
    ----------
    name
        Of a data set, e.g. ``ad-apava``, which takes its split ``comet``; or of both, as
        ``ad-apava/medformer``.
    windows
        Of that data set.

    Raises
    ------
    MissingInputError, RefusedInputError
        As of `published_split` and `published_rounds`.
    """
    dataset, _, split = name.partition("/")
    found = published_split(dataset, split or "comet")
    return published_rounds(found, windows.table, fingerprint=windows.fingerprint)


def published_rounds(split: PublishedSplit, table: WindowTable, *, fingerprint: str = "") -> Rounds:
    """Return a split as the one round of frozen rounds.

    One split says little of new patients, and repeats of it with other seeds no more: beside it,
    patients should be dealt anew (`make_rounds`).

    Parameters
    ----------
    split
        Its numbers are the ids of the patients, as text.
    table
        Of all windows; patients who are unused in the split may be among them.
    fingerprint
        Of the windows.

    Raises
    ------
    RefusedInputError
        Patients of the split have no windows, others have, or the positive patients are not those
        of the last class.

    Examples
    --------
    >>> split = PublishedSplit(name="they", source="", verified=False, train=(1, 2), test=(3,))
    >>> number = np.arange(3)
    >>> table = WindowTable(patient=number, trial=number, start=0 * number, label=number % 2,
    ...                     patients=("1", "2", "3"), classes=("a", "b"), sites=(None,) * 3)
    >>> published_rounds(split, table).rounds[0].test
    ('3',)
    """
    _refuse_others(split, table)
    _refuse_labels(split, table)
    train = split.part("train")
    one = make_record(
        PatientRound,
        repeat=0,
        number=0,
        train=train,
        learn=train,
        validation=split.part("validation"),
        test=split.part("test"),
    )
    made = make_record(
        Rounds,
        plan=RoundsPlan(kind="given"),
        patients_sha256=digest_of_patients(table),
        fingerprint=fingerprint,
        rounds=(one,),
        notes=(
            f"{split.text}: one round, and nothing of other patients is known by it.",
            *_counts(split, one, table),
        ),
    )
    return made.model_copy(update={"sha256": made.seal})


def _refuse_others(split: PublishedSplit, table: WindowTable) -> None:
    there = {table.patients[number] for number in set(table.patient.tolist())}
    wanted = {name for part in PARTS for name in split.part(part)}
    unused = set(map(str, split.unused))
    lacking, extra = sorted(wanted - there, key=_by_number), sorted(there - wanted - unused)
    if lacking or extra:
        msg = (
            f"split {split.name}: {len(lacking)} of its patients have no windows "
            f"{lacking[:_SHOWN]}, and {len(extra)} patients with windows are not of it "
            f"{extra[:_SHOWN]}; prepare the data set that it was published with, ids kept."
        )
        raise RefusedInputError(msg)


def _refuse_labels(split: PublishedSplit, table: WindowTable) -> None:
    if not split.positive:
        return
    labels = dict(zip(table.patients, table.patient_labels.tolist(), strict=True))
    said = {name for name, label in labels.items() if label == len(table.classes) - 1}
    published = set(map(str, split.positive)) & set(labels)
    other = sorted(said ^ published, key=_by_number)
    if other:
        msg = (
            f"split {split.name}: {len(other)} patients are not of the class that was published "
            f"{other[:_SHOWN]}; name the positive one of {list(table.classes)} last, or look "
            "whether labels have slipped by a patient."
        )
        raise RefusedInputError(msg)


def _counts(split: PublishedSplit, one: PatientRound, table: WindowTable) -> tuple[str, ...]:
    rows = parts_of_round(one, table)
    counts = {part: len(rows.get(part, np.arange(0))) for part in split.windows}
    other = [
        f"{part} {counts[part]} (published {count})"
        for part, count in split.windows.items()
        if counts[part] != count
    ]
    if not other:
        return ()
    return (f"Windows are not as many as published: {', '.join(other)}.",)


def _by_number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else -1, name)
