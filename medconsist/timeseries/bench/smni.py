"""``medconsist bench ts-smni``: leaked and honest figures on a real EEG, and a table.

Real data, SMNI EEG (Begleiter; 8 alcoholic, 8 control subjects, 920 windows of a second, 64
channels with EOG and reference among them; folder ``timeseries/smni_eeg``). The unit of analysis is
the patient. First the same band power and probe with subjects on both sides of the split and kept
apart; the specification measured .965 and about .66. Then methods by leave-pair-out: a pair of
subjects is never in what its model saw. Encoders learn on the patients of the two of four blocks
that hold neither of the pair: 6 trainings a method; probes and supervised models learn on all 14
others.

The one contrast was fixed before the first run: AUC of mended COMET with a logistic probe less that
of band power with the same probe. Expected: a tie. With 8 + 8 patients only large differences would
show; the smallest is printed, and no other rows may be ranked.

One setting for all, tuned on nothing: AdamW at 1e-3, batches of 32, 6 epochs of each pre-training
(84 steps; encoders of their published sizes), 2 of the supervised COMET encoder and 4 of EEGNet,
which train anew for each of 64 pairs: these two take about the same seconds, but neither the steps
nor the seconds of a pre-training, whose steps, not seconds, are the same for all; the table prints
both. The reference has frozen batches and evaluates the mean of all weights, as released, the
others their last ones. Windows are z-scored by trial and channel as COMET's; band power sees
microvolts.

Estimate of core-seconds, from one step of 32 windows of each, measured once on one busy core
(process time): reference 1.85, mended 1.16, ordering .56, CPC .38, TS2Vec .37, CLOCS .36, Mixing-up
.33, SimCLR .16, TS-TCC .15, TF-C .11; supervised COMET encoder .30, EEGNet .15; a probe .015. 6
trainings of 84 steps of all ten take 2,700. 64 pairs, 25 steps an epoch, with true and with
permuted labels, take 1,900 for the COMET encoder and as much for EEGNet. 64 pairs, 100 labellings,
12 probes take 1,200. Together 7,700, about 65 minutes of two cores; what was spent stands in the
table, over all runs. Trainings and finished rows are kept where a folder is given: a table that was
killed goes on. A method that diverges or is refused has no figures, and misses a target that tells.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.batch.worker_pool import worker_pool
from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.results.bench import BenchReport, BenchTable, real_data
from medconsist.timeseries.audit.leakage import LeakageSettings, leakage
from medconsist.timeseries.bench.smni_kept import Stopwatch
from medconsist.timeseries.bench.smni_rows import (
    Spent,
    contrast_rows,
    failed_target,
    leakage_rows,
    method_rows,
    time_target,
)
from medconsist.timeseries.evaluation.band_power import BandPower
from medconsist.timeseries.evaluation.candidate import Candidate, Probed
from medconsist.timeseries.evaluation.fixed import FixedRepresentation, RandomEncoder
from medconsist.timeseries.evaluation.judge import Contrast, JudgeSettings, judge
from medconsist.timeseries.evaluation.majority import Majority
from medconsist.timeseries.evaluation.probes import LogisticProbe
from medconsist.timeseries.evaluation.report import Report
from medconsist.timeseries.evaluation.rounds import Rounds, RoundsPlan, make_rounds
from medconsist.timeseries.labelled import labelled_recordings
from medconsist.timeseries.normalise import z_scores
from medconsist.timeseries.prepare import prepare
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.prepared import read_prepared
from medconsist.timeseries.pretext import Pretext, PretextSize
from medconsist.timeseries.pretexts import PRETEXTS, make_pretext
from medconsist.timeseries.pretrained import Pretrained, Pretraining, as_released
from medconsist.timeseries.pretraining import WindowSampling
from medconsist.timeseries.readers.choice import open_dataset
from medconsist.timeseries.starts import EegNetStart, RandomStart, Start
from medconsist.timeseries.supervised import Finetuned, Finetuning
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.draws import generator_for

__all__ = ["METHODS", "Sizes", "run_bench"]

logger = logging.getLogger(__name__)

FOLDER = Path("timeseries") / "smni_eeg"
BLOCKS = 4
BAND_POWER, MENDED = "band power", "comet"
SUPERVISED: Mapping[str, Start] = {"scratch": RandomStart(), "eegnet": EegNetStart()}
#: Those that take longest come first, so that two processes end together.
METHODS = (*SUPERVISED, *PRETEXTS, BAND_POWER, "random encoder", "majority class")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is; an estimated 65 minutes of two cores as it stands.

    Parameters
    ----------
    methods
        Of `METHODS`; mended COMET and band power among them.
    epochs
        Of each pre-training, over the windows of the patients that it may see.
    supervised_epochs
        Of the models that learn from labels end to end.
    batch, lr
        Windows a step, and of AdamW, of every training.
    windows
        Of each patient; None takes all.
    permutations, supervised_permutations
        See `JudgeSettings`.
    workers
        Processes, of one thread each; by default as many as this process may use cores.
    options
        Of a pretext task, by its name; the published sizes for the others.

    Raises
    ------
    RefusedInputError
        A method that is not known, the contrasted ones not among them, or a number below 1.

    Examples
    --------
    >>> Sizes(epochs=1).supervised_epochs["eegnet"]
    4
    """

    methods: tuple[str, ...] = METHODS
    epochs: int = 6
    supervised_epochs: Mapping[str, int] = field(
        default_factory=lambda: {"scratch": 2, "eegnet": 4}
    )
    batch: int = 32
    lr: float = 1e-3
    windows: int | None = None
    permutations: int = 99
    supervised_permutations: int = 1
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.methods) - set(METHODS))
        missing = sorted({MENDED, BAND_POWER} - set(self.methods))
        numbers = (self.epochs, self.workers, *self.supervised_epochs.values(), self.windows or 1)
        if unknown or missing or min(numbers) < 1:
            msg = (
                f"got methods {unknown} that are not known, {missing} missing, epochs, windows and "
                f"workers {numbers}; allowed: {', '.join(METHODS)}, and numbers of at least 1."
            )
            raise RefusedInputError(msg)

    def pretraining(self, method: str, *, seed: int) -> Pretraining:
        """Return that of a method; the reference is trained and averaged as released."""
        how = Pretraining(
            method=method,
            options=self.options.get(method, {}),
            epochs=self.epochs,
            lr=self.lr,
            sampling=WindowSampling(batch=self.batch, seed=seed),
            average="last",
        )
        return as_released(how)


@dataclass(frozen=True)
class _OfMicrovolts(FixedRepresentation):
    """Features of the same windows before their z-scores."""

    inner: FixedRepresentation
    raw: WindowSet

    @property
    def name(self) -> str:  # type: ignore[override]  # that of what it hands on to
        return self.inner.name

    def features(self, windows: WindowSet) -> npt.NDArray[np.float64]:
        return self.inner.features(self.raw.take(windows.rows))


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What a process needs to judge one method."""

    prepared: Path
    kept: Path
    sizes: Sizes
    seed: int

    def windows(self) -> tuple[WindowSet, WindowSet]:
        """Return the windows in microvolts, and z-scored."""
        raw = read_prepared(self.prepared)
        if self.sizes.windows is not None:
            raw = _first(raw, self.sizes.windows)
        scored = WindowSet(
            z_scores(raw.batch().numpy()).signals,
            raw.table,
            rate=raw.rate,
            channels=raw.channels,
            units=(None,) * len(raw.channels),
            fingerprint=raw.fingerprint,
        )
        return raw, scored

    def rounds(self, windows: WindowSet) -> Rounds:
        plan = RoundsPlan(kind="pairs", blocks=BLOCKS, seed=self.seed)
        return make_rounds(windows.table, plan, fingerprint=windows.fingerprint)

    @property
    def settings(self) -> str:
        """The sha256 of what decides the rows of a method."""
        said = {k: v for k, v in asdict(self.sizes).items() if k not in ("methods", "workers")}
        facts = {"sizes": said, "seed": self.seed, "windows": self.windows()[0].fingerprint}
        return sha256_of_bytes(canonical_json(facts))

    def judged(
        self,
        methods: Sequence[str],
        *,
        contrast: Contrast | None = None,
        progress: Callable[[str], None] = logger.info,
    ) -> Report:
        raw, scored = self.windows()
        settings = JudgeSettings(
            permutations=0 if contrast else self.sizes.permutations,
            supervised_permutations=self.sizes.supervised_permutations,
            contrast=contrast,
            seed=self.seed,
            progress=progress,
        )
        candidates = [self.candidate(method, raw, scored) for method in methods]
        return judge(scored, candidates, self.rounds(scored), settings)

    def candidate(self, method: str, raw: WindowSet, scored: WindowSet) -> Candidate:
        if method == "majority class":
            return Majority()
        if method in SUPERVISED:
            how = Finetuning(
                epochs=self.sizes.supervised_epochs[method],
                batch=self.sizes.batch,
                lr=self.sizes.lr,
                evaluations=1,
            )
            start = SUPERVISED[method]
            if isinstance(start, RandomStart):
                start = RandomStart(options=self.sizes.options.get(MENDED, {}))
            return Finetuned(start, how, name=method, folder=self.kept / method)
        if method == BAND_POWER:
            return Probed(_OfMicrovolts(BandPower(), raw), LogisticProbe())
        if method == "random encoder":
            size, options = PretextSize.of(scored), self.sizes.options.get(MENDED, {})
            make = partial(_random_encoder, size, options)
            return Probed(RandomEncoder(make, seed=self.seed), LogisticProbe())
        pretrained = Pretrained(
            self.sizes.pretraining(method, seed=self.seed), folder=self.kept / method
        )
        return Probed(pretrained, LogisticProbe())


def run_bench(
    *, data: Path | None, seed: int, folder: Path | None = None, sizes: Sizes | None = None
) -> BenchReport:
    """Measure leakage, then judge every method on the same left-out pairs.

    Parameters
    ----------
    data
        Folder with ``timeseries/smni_eeg``; None asks MEDCONSIST_TEST_DATA.
    seed
        Of blocks, trainings and permutations.
    folder
        Keeps windows and trainings; a bench of the same sizes and seed goes on there. None keeps
        none.
    sizes
        None takes the defaults.

    Raises
    ------
    MissingInputError
        There is no such data.
    RefusedInputError
        The folder keeps something else.
    """
    chosen, started = sizes or Sizes(), process_time()
    kept = nullcontext(folder) if folder else tempfile.TemporaryDirectory()
    with kept as place:
        task = _Task(prepared=Path(place) / "windows", kept=Path(place), sizes=chosen, seed=seed)
        _prepare(real_data(data) / FOLDER, task.prepared)
        done = _leaked(task.windows()[0], seed)
        own = process_time() - started
        found = _each(task)
        started = process_time()
        for table, _ in found.values():
            done = done.joined(table)
        done = done.joined(_contrasted(task, [m for m, (table, _) in found.items() if table.rows]))
        own += process_time() - started
    done = done.joined(time_target([spent for _, spent in found.values()], own))
    return BenchReport(command="medconsist bench ts-smni", rows=done.rows, targets=done.targets)


def _contrasted(task: _Task, judged: Sequence[str]) -> BenchTable:
    """Return the one contrast, or nothing where one of the two diverged, which is a target."""
    if not {MENDED, BAND_POWER} <= set(judged):
        return BenchTable()
    named = Contrast(first=f"{MENDED}, logistic", second=f"{BAND_POWER}, logistic")
    report = task.judged([MENDED, BAND_POWER], contrast=named)
    return contrast_rows(report, seed=task.seed)


def _random_encoder(
    size: PretextSize, options: Mapping[str, Any], generator: torch.Generator
) -> Pretext:
    return make_pretext(MENDED, size, generator=generator, options=options)


def _prepare(source: Path, folder: Path) -> None:
    config = PrepareConfig(
        rate=256.0, samples=256, classes=("control", "alcoholic"), normalise="none"
    )
    prepare(labelled_recordings(open_dataset(source)), folder, config=config)


def _first(windows: WindowSet, count: int) -> WindowSet:
    patient = windows.table.patient
    rows = [np.flatnonzero(patient == one)[:count] for one in np.unique(patient)]
    return windows.take(np.concatenate(rows))


def _leaked(raw: WindowSet, seed: int) -> BenchTable:
    features = BandPower().features(raw.without_labels())
    found = leakage(
        features, raw.table, generator=generator_for(seed), settings=LeakageSettings(seed=seed)
    )
    logger.info("%s", found.sentence)
    return leakage_rows(found, seed=seed)


def _each(task: _Task) -> dict[str, tuple[BenchTable, float]]:
    """Return the rows and the core-seconds of each method, from several processes."""
    methods = task.sizes.methods
    with worker_pool(task.sizes.workers) as run:
        found = run("methods", partial(_judged, task), methods)
    return dict(zip(methods, found, strict=True))


def _judged(task: _Task, method: str) -> tuple[BenchTable, float]:
    """Return what a method gave, and what it took in all runs together."""
    watch = Stopwatch(task.kept / "rows" / f"{method}.json", task.settings)
    if watch.rows:
        return BenchTable(watch.rows), watch.seconds

    def progress(sentence: str) -> None:
        logger.info("%s", sentence)
        watch.lap()

    try:
        report = task.judged([method], progress=progress)
    except (ConvergenceError, RefusedInputError) as error:
        return failed_target(method, error), watch.seconds
    spent = _spent(task, method, report, watch.seconds)
    watch.finish(method_rows(method, report.rows[0], spent, seed=task.seed))
    return BenchTable(watch.rows), watch.seconds


def _spent(task: _Task, method: str, report: Report, seconds: float) -> Spent:
    """Return how many trainings of an encoder there were, and how long each was."""
    windows, sizes = task.windows()[1], task.sizes
    rounds = task.rounds(windows).rounds
    sets, epochs, each = set[tuple[str, ...]](), 0, 1
    if method in PRETEXTS:
        sets, epochs = {one.learn for one in rounds}, sizes.epochs
    elif method in SUPERVISED:
        sets, epochs = {one.train for one in rounds}, sizes.supervised_epochs[method]
        each = 1 + report.rows[0].permuted.permutations if report.rows[0].permuted else 1
    steps = [epochs * (_count(windows, names) // sizes.batch) for names in sets]
    return Spent(
        seconds=seconds,
        epochs=epochs,
        fits=len(sets) * each,
        steps=sum(steps) / len(steps) if steps else 0,
    )


def _count(windows: WindowSet, patients: Sequence[str]) -> int:
    return sum(windows.table.patients[number] in patients for number in windows.table.patient)
