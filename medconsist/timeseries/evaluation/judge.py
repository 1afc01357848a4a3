"""Judge candidates on patients they never saw: the same rounds, levels and figures for all."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics._checks import refuse_confidence
from medconsist.metrics.power import smallest_fold_difference
from medconsist.metrics.repeated_folds import corrected_test
from medconsist.timeseries.evaluation.answers import Aggregation, Answers
from medconsist.timeseries.evaluation.candidate import Asking, Candidate, Levels, Probed, answers_of
from medconsist.timeseries.evaluation.contrast import pair_contrast, pair_detectable
from medconsist.timeseries.evaluation.coverage import (
    fold_area_coverage,
    pair_area_coverage,
)
from medconsist.timeseries.evaluation.figures import (
    AREA,
    area_of,
    fold_scores,
    pair_order,
    patient_figures,
    secondary_figures,
)
from medconsist.timeseries.evaluation.fixed import GivenFeatures
from medconsist.timeseries.evaluation.permuted import (
    Labelling,
    PermutationTest,
    permutation_test,
    relabelled,
)
from medconsist.timeseries.evaluation.report import Contrasted, Report, Row
from medconsist.timeseries.evaluation.rounds import Rounds
from medconsist.timeseries.evaluation.rounds_file import require_same_patients
from medconsist.timeseries.method import Supervised
from medconsist.timeseries.window_set import UNKNOWN, WindowSet
from medconsist.training.draws import generator_for

__all__ = ["Contrast", "JudgeSettings", "judge"]

_PERMUTE, _BOOTSTRAP = 2, 3  # places of random numbers


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The one comparison of a report, named before the run.

    Parameters
    ----------
    first, second
        Names of candidates.

    Examples
    --------
    >>> Contrast(first="COMET, logistic", second="band power, logistic").second
    'band power, logistic'
    """

    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """How candidates are judged.

    Parameters
    ----------
    aggregate
        How windows become trials and patients; see `Aggregation`.
    permutations
        Labellings for which the probes are refitted; the representation is not, as it never saw a
        label. 19 or more give a p-value, 0 leaves the row out.
    supervised_permutations
        The same for models that learn from labels end to end, each of which trains anew in every
        round.
    contrast
        Which two candidates are compared; None compares none.
    confidence
        Nominal coverage.
    seed
        Of all that is drawn.
    progress
        Called with a sentence now and then.

    Raises
    ------
    RefusedInputError
        A negative number of permutations, or a confidence outside (0, 1).

    Examples
    --------
    >>> JudgeSettings().permutations
    199
    """

    aggregate: Aggregation = "probability"
    permutations: int = 199
    supervised_permutations: int = 1
    contrast: Contrast | None = None
    confidence: float = 0.95
    seed: int = 0
    progress: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        refuse_confidence(self.confidence)
        if min(self.permutations, self.supervised_permutations) < 0:
            msg = (
                f"got {self.permutations} and {self.supervised_permutations} permutations; "
                "allowed: 0 or more."
            )
            raise RefusedInputError(msg)

    @property
    def asking(self) -> Asking:
        """What `answers_of` needs of it."""
        return Asking(aggregate=self.aggregate, seed=self.seed, progress=self.progress)


def judge(
    windows: WindowSet,
    candidates: Sequence[Candidate],
    rounds: Rounds,
    settings: JudgeSettings | None = None,
) -> Report:
    """Return the figures of all candidates on the test patients of all rounds.

    In each round a representation is learned on training patients whose labels are hidden, the
    probe is fitted on their features, and the windows of the test patients are asked; a trial is
    the mean of its windows and a patient the mean of their trials. The unit of analysis is the
    patient; figures of windows and trials are secondary.

    Parameters
    ----------
    windows
        Of all patients of the rounds.
    candidates
        Of different names. Put the trivial ones among them: majority class, random encoder, hand-
        made features.
    rounds
        Made of these windows.
    settings
        None takes the defaults.

    Raises
    ------
    RefusedInputError
        Rounds of other patients or windows, two candidates of one name, a contrast with a name
        that is not there, or what a candidate does wrong; names it.

    Examples
    --------
    ::

        rounds = make_rounds(windows.table, RoundsPlan(kind="pairs"))
        report = judge(windows, [Probed(BandPower(), LogisticProbe()), Majority()], rounds)
    """
    settings = settings or JudgeSettings()
    _refuse(windows, candidates, rounds, settings)
    true = Labelling(windows.table.patient_labels, rounds.rounds)
    others, exact = relabelled(
        rounds,
        windows.table,
        permutations=settings.permutations,
        generator=generator_for(settings.seed, _PERMUTE),
    )
    rows, patients = list[Row](), dict[str, Answers]()
    for candidate in candidates:
        supervised = isinstance(candidate, Supervised)
        count = settings.supervised_permutations if supervised else settings.permutations
        chosen = others[:count]
        asked = answers_of(candidate, windows, [true, *chosen], settings.asking)
        patients[candidate.name] = asked[0][2]
        whole = exact and len(chosen) == len(others)
        luck = _luck(asked, rounds, exact=whole) if chosen else None
        rows.append(_row(candidate.name, asked[0], rounds, settings, luck))
    return Report(
        rows=tuple(rows),
        contrast=_contrasted(patients, rounds, settings),
        rounds_sha256=rounds.sha256,
        fingerprint=windows.fingerprint,
        classes=_classes(windows),
        aggregate=settings.aggregate,
        sentences=(*_sentences(windows, rounds, settings), *_given(candidates), *rounds.notes),
    )


def _row(
    name: str,
    levels: Levels,
    rounds: Rounds,
    settings: JudgeSettings,
    luck: PermutationTest | None,
) -> Row:
    of_windows, of_trials, of_patients = levels
    seed = int(torch.randint(2**31, (), generator=generator_for(settings.seed, _BOOTSTRAP)))
    return Row(
        name=name,
        figures=patient_figures(of_patients, rounds, confidence=settings.confidence, seed=seed),
        windows=secondary_figures(of_windows, rounds),
        trials=secondary_figures(of_trials, rounds),
        permuted=luck,
    )


def _luck(asked: Sequence[Levels], rounds: Rounds, *, exact: bool) -> PermutationTest:
    """Compare the area with that under the other labellings, which judge the first repeat only."""
    first = sum(one.repeat == 0 for one in rounds.rounds)
    seen, *null = (
        area_of(Answers.joined([levels[2].of_round(place) for place in range(first)]), rounds)
        for levels in asked
    )
    return permutation_test(seen, null, exact=exact)


def _contrasted(
    patients: dict[str, Answers], rounds: Rounds, settings: JudgeSettings
) -> Contrasted | None:
    named = settings.contrast
    if named is None:
        return None
    one, other = patients[named.first], patients[named.second]
    if rounds.plan.kind == "pairs":
        orders = pair_order(one), pair_order(other)
        compared = pair_contrast(*orders, confidence=settings.confidence)
        return Contrasted(
            first=named.first,
            second=named.second,
            figure=AREA,
            difference=compared,
            detectable=pair_detectable(compared),
        )
    scores = (fold_scores(answers, rounds, AREA) for answers in (one, other))
    tested = corrected_test(*scores, confidence=settings.confidence)
    return Contrasted(
        first=named.first,
        second=named.second,
        figure=AREA,
        difference=tested,
        detectable=None if tested.standard_error is None else smallest_fold_difference(tested),
    )


def _sentences(windows: WindowSet, rounds: Rounds, settings: JudgeSettings) -> Iterator[str]:
    labels = dict(zip(windows.table.patients, windows.table.patient_labels.tolist(), strict=True))
    counts = Counter(label for label in labels.values() if label != UNKNOWN)
    if rounds.plan.kind == "pairs":
        yield pair_area_coverage(counts[1], counts[0], confidence=settings.confidence).sentence
    elif rounds.plan.kind == "given":
        yield "One split says nothing of other patients: beside it, leave pairs or folds out."
    elif len(windows.table.classes) == 2:
        sizes = [
            (
                sum(labels[name] == 1 for name in one.test),
                sum(labels[name] == 0 for name in one.test),
            )
            for one in rounds.rounds
            if one.repeat == 0
        ]
        yield fold_area_coverage(tuple(sizes), confidence=settings.confidence).sentence
        if rounds.plan.repeats > 1:
            yield "That coverage is of one repeat; repeats of the same patients add no patient."
    yield "Intervals of log loss and Brier score take the models as they are: too narrow."
    yield "Figures of windows and trials are secondary: patients with many of them weigh more."


def _given(candidates: Sequence[Candidate]) -> Iterator[str]:
    of = [one.representation for one in candidates if isinstance(one, Probed)]
    if any(isinstance(one, GivenFeatures) for one in of):
        yield "Whether the model that made given features saw patients of the test is not known."


def _classes(windows: WindowSet) -> dict[str, int]:
    labels = windows.table.patient_labels
    return {name: int((labels == n).sum()) for n, name in enumerate(windows.table.classes)}


def _refuse(
    windows: WindowSet, candidates: Sequence[Candidate], rounds: Rounds, settings: JudgeSettings
) -> None:
    require_same_patients(rounds, windows.table)
    if rounds.fingerprint and rounds.fingerprint != windows.fingerprint:
        msg = (
            f"the rounds were made for windows {rounds.fingerprint[:8]}, these are "
            f"{windows.fingerprint[:8] or 'without a fingerprint'}; prepare them as then, or make "
            "rounds of these."
        )
        raise RefusedInputError(msg)
    if settings.contrast is not None and rounds.plan.kind == "given":
        msg = "a contrast takes folds or pairs; one given split cannot tell two methods apart."
        raise RefusedInputError(msg)
    names = [candidate.name for candidate in candidates]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    named = settings.contrast
    wanted = set() if named is None else {named.first, named.second}
    if not names or twice or wanted - set(names):
        msg = (
            f"candidates {names}, twice {twice}, contrasted but not there "
            f"{sorted(wanted - set(names))}; give one or more, each name once."
        )
        raise RefusedInputError(msg)
