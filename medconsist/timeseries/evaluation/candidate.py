"""What is judged, and how it answers in each round: learned, fitted, asked, never on the test."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries.evaluation.answers import Aggregation, Answers, aggregated
from medconsist.timeseries.evaluation.fixed import FixedRepresentation
from medconsist.timeseries.evaluation.permuted import Labelling
from medconsist.timeseries.evaluation.rounds import PatientRound
from medconsist.timeseries.method import Probe, Representation, Supervised
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.draws import generator_for

__all__ = ["Asking", "Candidate", "Levels", "Probed", "answers_of"]

Levels = tuple[Answers, Answers, Answers]
"""Of windows, trials and patients."""

_LEARN, _FIT = 0, 1  # places of random numbers


@dataclass(frozen=True)
class Probed:
    """A representation with a probe on it.

    Parameters
    ----------
    representation
        Learned in each round on its training patients, without labels.
    probe
        Fitted on their features and labels.

    Examples
    --------
    >>> from medconsist.timeseries.evaluation.band_power import BandPower
    >>> from medconsist.timeseries.evaluation.probes import LogisticProbe
    >>> Probed(BandPower(), LogisticProbe()).name
    'band power, logistic'
    """

    representation: Representation
    probe: Probe

    @property
    def name(self) -> str:
        """As a table prints it."""
        return f"{self.representation.name}, {self.probe.name}"


Candidate = Probed | Supervised


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How candidates are asked.

    Parameters
    ----------
    aggregate
        See `Aggregation`.
    seed
        Of what representations and supervised models draw.
    progress
        Called with a sentence after each training; None says nothing.

    Examples
    --------
    >>> Asking().aggregate
    'probability'
    """

    aggregate: Aggregation = "probability"
    seed: int = 0
    progress: Callable[[str], None] | None = None

    def say(self, sentence: str) -> None:
        """Tell how far it is."""
        if self.progress is not None:
            self.progress(sentence)


def answers_of(
    candidate: Candidate, windows: WindowSet, labellings: Sequence[Labelling], asking: Asking
) -> list[Levels]:
    """Return what a candidate says of the test patients of all rounds, for each labelling.

    A representation is learned once for each set of patients that it may see, whatever the labels,
    which are hidden from it; a `FixedRepresentation` is computed once. A supervised model is
    trained in every round of every labelling.

    Parameters
    ----------
    candidate
        What is judged.
    windows
        Of all patients.
    labellings
        True or permuted labels with their rounds.
    asking
        See `Asking`.

    Raises
    ------
    RefusedInputError
        Features or logits that are not finite, or of another shape; names the candidate.
    """
    if isinstance(candidate, Supervised):
        return [_supervised(candidate, windows, one, asking) for one in labellings]
    found: list[dict[int, Levels]] = [{} for _ in labellings]
    by_learn = defaultdict[tuple[str, ...], list[tuple[int, int]]](list)
    fixed = isinstance(candidate.representation, FixedRepresentation)
    for number, labelling in enumerate(labellings):
        for place, one in enumerate(labelling.rounds):
            by_learn[() if fixed else one.learn].append((number, place))
    hidden = windows.without_labels()
    for count, (learn, tasks) in enumerate(by_learn.items()):
        seen = hidden if fixed else hidden.of_patients(_numbers(windows, learn))
        generator = generator_for(asking.seed, _LEARN, count)
        encode = candidate.representation.learn(seen, generator=generator)
        features = _features(candidate, encode(hidden), len(windows))
        asking.say(f"{candidate.name}: representation {count + 1} of {len(by_learn)}")
        for number, place in tasks:
            labelling = labellings[number]
            found[number][place] = _probed(candidate, windows, features, labelling, place, asking)
    return [_levels([one[place] for place in sorted(one)]) for one in found]


def _probed(
    candidate: Probed,
    windows: WindowSet,
    features: Float64[npt.NDArray[np.float64], "windows dim"],
    labelling: Labelling,
    place: int,
    asking: Asking,
) -> Levels:
    one, table = labelling.rounds[place], windows.table
    train, test = (
        np.flatnonzero(np.isin(table.patient, _numbers(windows, names)))
        for names in (one.train, one.test)
    )
    label = labelling.labels[table.patient[train]]
    ask = candidate.probe.fit(features[train], label, len(table.classes))
    return _aggregated(candidate, ask(features[test]), windows.take(test), labelling, place, asking)


def _supervised(
    candidate: Supervised, windows: WindowSet, labelling: Labelling, asking: Asking
) -> Levels:
    named = windows.with_patient_labels(labelling.labels)
    found = []
    for place, one in enumerate(labelling.rounds):
        train, validation, test = (_part(named, names) for names in _names(one))
        generator = generator_for(asking.seed, _FIT, place)
        predict = candidate.fit(train, validation if len(validation) else None, generator=generator)
        logits = predict(test.without_labels())
        found.append(_aggregated(candidate, logits, test, labelling, place, asking))
        asking.say(f"{candidate.name}: {one.name}, {place + 1} of {len(labelling.rounds)}")
    return _levels(found)


def _names(one: PatientRound) -> tuple[tuple[str, ...], ...]:
    return one.train, one.validation, one.test


def _part(windows: WindowSet, names: Sequence[str]) -> WindowSet:
    return windows.of_patients(_numbers(windows, names))


def _numbers(windows: WindowSet, names: Sequence[str]) -> list[int]:
    wanted = set(names)
    return [n for n, name in enumerate(windows.table.patients) if name in wanted]


def _features(
    candidate: Probed, features: npt.NDArray[np.float64], count: int
) -> npt.NDArray[np.float64]:
    fits = features.ndim == 2 and len(features) == count
    bad = int((~np.isfinite(features)).reshape(len(features), -1).any(1).sum())
    if not fits or bad:
        msg = (
            f"{candidate.name}: features of shape {features.shape} for {count} windows, {bad} rows "
            "not finite; allowed: one finite row a window. Look at the windows it failed on."
        )
        raise RefusedInputError(msg)
    return features.astype(np.float64, copy=False)


def _aggregated(
    candidate: Candidate,
    logits: Tensor,
    test: WindowSet,
    labelling: Labelling,
    place: int,
    asking: Asking,
) -> Levels:
    try:
        return aggregated(
            logits.detach().cpu().double(),
            test.table,
            labelling.labels,
            round_of=place,
            how=asking.aggregate,
        )
    except RefusedInputError as error:
        msg = f"{candidate.name}, {labelling.rounds[place].name}: {error}"
        raise RefusedInputError(msg) from error


def _levels(found: Sequence[Levels]) -> Levels:
    windows, trials, patients = (Answers.joined(list(level)) for level in zip(*found, strict=True))
    return windows, trials, patients
