"""``medconsist ts split | evaluate | audit``: figures by patient, and whether to believe them."""

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Computing
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.timeseries.audit.across import Parts
    from medconsist.timeseries.evaluation.candidate import Candidate
    from medconsist.timeseries.evaluation.fixed import FixedRepresentation
    from medconsist.timeseries.evaluation.judge import Contrast
    from medconsist.timeseries.evaluation.rounds import Rounds, RoundsPlan
    from medconsist.timeseries.window_set import WindowSet

__all__ = ["Audit", "Evaluate", "Split"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Given(Computing):
    """Flags that say which windows or features."""

    prepared: Annotated[Positional[Path | None], arg(metavar="PREPARED")] = None
    """Folder of medconsist ts prepare."""
    features: Annotated[Path | None, arg(metavar="FILE")] = None
    """Instead: embeddings of any model (.npz, .h5, .safetensors, .csv) with the columns patient,
    trial, label and features."""
    classes: tuple[str, ...] = ()
    """Of --features: labels in the order of the classes, the positive one last; by default
    sorted."""

    def windows(self) -> "WindowSet":
        """Return the windows, or the features as windows of one sample."""
        from medconsist.timeseries.evaluation.features_file import read_features
        from medconsist.timeseries.prepared import read_prepared

        if (self.prepared is None) == (self.features is None):
            msg = "give either PREPARED or --features; one of them says what is judged."
            raise RefusedInputError(msg)
        if self.features is not None:
            return read_features(self.features, classes=self.classes or None)
        assert self.prepared is not None  # noqa: S101  one of the two
        return read_prepared(self.prepared)


@dataclass(frozen=True, kw_only=True)
class Split(Computing):
    """Freeze who is learned from, who chooses and who is judged, with a hash; always by patient."""

    prepared: Annotated[Positional[Path], arg(metavar="PREPARED")]
    """Folder of medconsist ts prepare."""
    out: Path
    """The file (.json)."""
    kind: Literal["folds", "pairs"] = "folds"
    """Repeated folds, or each pair of a positive and a negative patient."""
    folds: int = 4
    """Of folds."""
    repeats: int = 1
    """Of folds."""
    validation: float | None = 0.25
    """Share of the patients beside the test that choose checkpoints and calibrate; folds only."""
    blocks: int | None = 4
    """Of pairs: trainings of a representation are shared by blocks of patients; 0: one a pair."""

    def run(self) -> int:
        """Freeze, and print what each round holds."""
        self.set_up()
        from medconsist.timeseries.evaluation.rounds import make_rounds
        from medconsist.timeseries.evaluation.rounds_file import write_rounds
        from medconsist.timeseries.prepared import read_prepared

        windows = read_prepared(self.prepared)
        rounds = make_rounds(windows.table, _plan(self), fingerprint=windows.fingerprint)
        write_rounds(rounds, self.out)
        counts = [
            {part: len(getattr(one, part)) for part in ("train", "validation", "test")}
            for one in rounds.rounds
        ]
        told = [
            f"{self.out}: sha256 {rounds.sha256[:8]}, {len(counts)} rounds; patients of the "
            f"first: {', '.join(f'{count} {part}' for part, count in counts[0].items())}",
            *rounds.notes,
        ]
        values = {"path": str(self.out), "sha256": rounds.sha256, "rounds": counts}
        _write(values | {"notes": list(rounds.notes)} if self.json else "\n".join(told))
        return 0


@dataclass(frozen=True, kw_only=True)
class Evaluate(Given):
    """Judge methods on patients they never saw: one table, by patient, with intervals.

    Majority class, band power and an untrained encoder stand in every table; the permuted-label row
    says what chance looks like. OUT keeps the frozen rounds, the pre-trainings (a table that was
    killed goes on) and report.json. One contrast can be named, before the run.
    """

    out: Path
    """Folder of the table."""
    methods: tuple[str, ...] = ("comet",)
    """Of PREPARED: comet, comet-reference, comet-ordering, ts2vec, mixing-up, ts-tcc, simclr, tf-c,
    clocs, cpc; scratch and eegnet learn from labels end to end."""
    probe: Literal["logistic", "naive-bayes", "knn"] = "logistic"
    """On all representations of PREPARED; on --features all three."""
    kind: Literal["pairs", "folds"] = "pairs"
    """Leave-pair-out, or repeated folds, always by patient."""
    blocks: int | None = 4
    """Of pairs: trainings of a representation are shared by blocks of patients; 0: one a pair."""
    folds: int = 4
    """Of folds."""
    repeats: int = 1
    """Of folds."""
    validation: float | None = None
    """Of folds: share of the patients that choose checkpoints of scratch and eegnet."""
    rounds: Annotated[Path | None, arg(metavar="FILE")] = None
    """Frozen rounds instead of these, which OUT/rounds.json keeps."""
    published: Annotated[str | None, arg(metavar="NAME")] = None
    """Instead: the one round that a paper published of a data set: ad-apava, ad-apava/medformer,
    ptb or tdbrain. One split says nothing of other patients."""
    contrast: Annotated[tuple[str, str] | None, arg(metavar="FIRST SECOND")] = None
    """The one comparison, by names of candidates as the table prints them."""
    permutations: int = 199
    """Labellings of the permutation test, for which probes are refitted."""
    epochs: int = 5
    """Of each pre-training."""
    batch: int = 64
    """Windows a step."""

    def run(self) -> int:
        """Judge, write OUT/report.json, and print the table."""
        self.set_up()
        from medconsist._atomic import atomic_write_bytes, make_folder
        from medconsist._digests import canonical_json
        from medconsist.timeseries.evaluation.judge import JudgeSettings, judge

        windows = self.windows()
        make_folder(self.out)
        settings = JudgeSettings(
            permutations=self.permutations,
            contrast=self._contrast(),
            seed=self.seed,
            progress=logger.info,
        )
        report = judge(windows, self._candidates(windows), self._rounds(windows), settings)
        values = report.as_json()
        atomic_write_bytes(self.out / "report.json", canonical_json(values) + b"\n")
        _write(values if self.json else report.text)
        return 0

    def _contrast(self) -> "Contrast | None":
        from medconsist.timeseries.evaluation.judge import Contrast

        if self.contrast is None:
            return None
        return Contrast(first=self.contrast[0], second=self.contrast[1])

    def _candidates(self, windows: "WindowSet") -> "list[Candidate]":
        from dataclasses import replace

        from medconsist.timeseries.candidates import PROBES, Budgets, candidates
        from medconsist.timeseries.evaluation.candidate import Probed
        from medconsist.timeseries.evaluation.fixed import GivenFeatures
        from medconsist.timeseries.evaluation.majority import Majority
        from medconsist.timeseries.pretraining import WindowSampling

        if self.features is not None:
            given = GivenFeatures(self.features.stem)
            return [Majority(), *(Probed(given, probe()) for probe in PROBES.values())]
        budgets = Budgets(folder=self.out / "pretrained")
        device: Literal["cpu", "cuda"] = "cpu" if self.device == "cpu" else "cuda"
        how = replace(
            budgets.pretraining,
            epochs=self.epochs,
            sampling=WindowSampling(batch=self.batch, seed=self.seed),
            device=device,
        )
        finetuning = replace(budgets.finetuning, epochs=self.epochs, device=device)
        chosen = replace(budgets, pretraining=how, finetuning=finetuning)
        return candidates(self.methods, windows, probe=self.probe, budgets=chosen)

    def _rounds(self, windows: "WindowSet") -> "Rounds":
        from medconsist.timeseries.evaluation.rounds import make_rounds
        from medconsist.timeseries.evaluation.rounds_file import read_rounds, write_rounds

        given = _given_rounds(self, windows)
        if self.rounds is not None and given is not None:
            return given
        path = self.out / "rounds.json"
        made = given or make_rounds(windows.table, _plan(self), fingerprint=windows.fingerprint)
        if not path.exists():
            write_rounds(made, path)
        kept = read_rounds(path)
        if kept != made:
            msg = (
                f"{path} holds other rounds than these windows and flags make; judge by them with "
                f"--rounds {path}, or name another --out."
            )
            raise RefusedInputError(msg)
        return kept


@dataclass(frozen=True, kw_only=True)
class Audit(Given):
    """Look for leaks: who is on two sides, copies, overlaps; identity, site, leaked accuracy.

    Exit code 4 when a leak is found, unless --allow-leak says that it is known.
    """

    rounds: Annotated[Path | None, arg(metavar="FILE")] = None
    """Frozen rounds whose parts are looked at; or"""
    published: Annotated[str | None, arg(metavar="NAME")] = None
    """the split that a paper published of a data set, as for ts evaluate; or"""
    parts: Annotated[Path | None, arg(metavar="FILE")] = None
    """a table (.csv) with the columns patient, trial and part, of a split made elsewhere; by
    default four folds by patient."""
    round: int = 0
    """Which of the rounds."""
    allow_leak: Annotated[bool, arg(help="End with 0 although a leak was found.")] = False

    def run(self) -> int:
        """Audit, print, and return 4 where there is a leak."""
        self.set_up()
        from medconsist.timeseries.audit.audit import audit

        windows = self.windows()
        report = audit(
            windows,
            self._parts(windows),
            self._representation(),
            allow_leak=self.allow_leak,
            seed=self.seed,
        )
        _write(report.as_json() if self.json else report.text)
        return report.exit_code

    def _representation(self) -> "FixedRepresentation":
        from medconsist.timeseries.evaluation.band_power import BandPower
        from medconsist.timeseries.evaluation.fixed import GivenFeatures

        return BandPower() if self.features is None else GivenFeatures(self.features.stem)

    def _parts(self, windows: "WindowSet") -> "Parts":
        from medconsist.timeseries.audit.across import parts_of_round
        from medconsist.timeseries.evaluation.rounds import RoundsPlan, make_rounds
        from medconsist.timeseries.parts import parts_of_table, round_of
        from medconsist.timeseries.prepared import read_prepared_record

        given = _given_rounds(self, windows)
        if self.parts is not None:
            if given is not None:
                msg = "give one of --parts, --rounds and --published; each says who is where."
                raise RefusedInputError(msg)
            if self.prepared is None:
                msg = "--parts names trials of a prepared folder; with --features give --rounds."
                raise RefusedInputError(msg)
            trials = read_prepared_record(self.prepared).facts.trials
            return parts_of_table(windows.table, trials, self.parts)
        rounds = given or make_rounds(windows.table, RoundsPlan(kind="folds", seed=self.seed))
        return parts_of_round(round_of(rounds, self.round), windows.table)


def _write(what: str | dict[str, Any]) -> None:
    sys.stdout.write((what if isinstance(what, str) else json.dumps(what)) + "\n")


def _given_rounds(asked: Evaluate | Audit, windows: "WindowSet") -> "Rounds | None":
    """Return the rounds of --rounds or --published; None where neither was given."""
    from medconsist.timeseries.evaluation.rounds_file import read_rounds
    from medconsist.timeseries.published_splits import rounds_of_published

    if asked.rounds is not None and asked.published is not None:
        msg = "give one of --rounds and --published; each says who is judged."
        raise RefusedInputError(msg)
    if asked.published is not None:
        return rounds_of_published(asked.published, windows)
    return None if asked.rounds is None else read_rounds(asked.rounds, windows.table)


def _plan(asked: Split | Evaluate) -> "RoundsPlan":
    from medconsist._records import make_record
    from medconsist.timeseries.evaluation.rounds import RoundsPlan

    chosen: dict[str, Any] = {"kind": "pairs", "blocks": asked.blocks or None}
    if asked.kind == "folds":
        names = ("kind", "folds", "repeats", "validation")
        chosen = {name: getattr(asked, name) for name in names}
    return make_record(RoundsPlan, seed=asked.seed, **chosen)
