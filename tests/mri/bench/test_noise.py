"""The bench of noise levels at a tiny size: the same heads for all, and what the table says."""

import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.mri.bench import noise, noise_study
from medconsist.mri.bench.learned.tuning import Tuned
from medconsist.mri.bench.noise import noise_table, run_bench
from medconsist.mri.bench.noise_scans import CS, METRICS, TOLD, ZEROFILLED, measured_at
from medconsist.mri.bench.noise_study import ARMS, AWARE, BLIND, SPECIAL, NoiseStudy, Training
from medconsist.mri.benchmark.training import Outcome
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.learned.model import load_model
from medconsist.mri.methods import CompressedSensing
from medconsist.results.bench import BenchReport, BenchRow
from medconsist.training.run_folder import RunFolder

STUDY = NoiseStudy(
    size=32,
    training_scans=2,
    training_slices=1,
    validation_scans=2,
    scans=2,
    steps=2,
    snr=(5.0, 60.0),
    network=CirimConfig(cascades=1, steps=2, features=4),
    families={"cs": tuple(CompressedSensing(lambda_=w, iterations=5) for w in (0.001, 0.1))},
)
Whole = tuple[Path, BenchReport]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    out = tmp_path_factory.mktemp("noise") / "out"
    return out, run_bench(study=STUDY, folder=out, processes=1)


def figures(report: BenchReport) -> list[BenchRow]:
    return [row for row in report.rows if "seconds" not in row.metric]


def test_every_method_has_every_metric_at_every_level(whole: Whole) -> None:
    rows = whole[1].rows
    for cell in ("SNR 5", "SNR 60"):
        for name in (ZEROFILLED, *ARMS, *TOLD):
            found = [row for row in rows if row.case == f"simulated, {cell}, {name}"]
            assert {row.metric for row in found} == set(METRICS)
            assert {(row.n, row.unit_of_analysis) for row in found} == {(2, "simulated head")}
        assert [row for row in rows if row.case.startswith(f"simulated, {cell}, cs, lambda 0.")]


def test_one_contrast_was_fixed_beforehand(whole: Whole) -> None:
    fixed = [row for row in whole[1].rows if "fixed beforehand" in row.case]
    assert all(row.case.startswith("simulated, SNR 5, aware less blind (paired") for row in fixed)
    assert ["80% power" in row.metric for row in fixed] == [False, True]
    (target,) = whole[1].targets
    assert target.name == fixed[1].case


def test_only_the_aware_network_is_shown_the_level(whole: Whole) -> None:
    for training in STUDY.all_trainings:
        weights = RunFolder(whole[0] / "trainings" / training.slug / "run").weights
        config = load_model(weights).network.config
        assert isinstance(config, CirimConfig)
        assert config.noise_input == (training.arm == AWARE)


def test_a_wrong_level_matters_to_the_aware_network(whole: Whole) -> None:
    values = {row.case: row.value for row in whole[1].rows if row.metric == "nmse"}
    for told in TOLD:
        assert values[f"simulated, SNR 5, {told}"] != values["simulated, SNR 5, aware"]


def test_arms_are_trained_on_the_same_heads_at_their_levels(whole: Whole) -> None:
    pools = {name: STUDY.pool(arm, "training", whole[0] / "pools") for name, arm in ARMS.items()}
    # the 99th percentile that scales a slice is of its noise-free reference
    assert torch.allclose(pools[AWARE].reference, pools[SPECIAL].reference, rtol=1e-4)
    assert torch.equal(pools[AWARE].samples, pools[BLIND].samples)
    # sigma = mean intensity / (SNR sqrt(coils ...)): of one head it goes as 1 / SNR
    ratio = pools[AWARE].sigma / pools[SPECIAL].sigma
    assert bool(((ratio > 30 / 60 * 0.95) & (ratio < 30 / 5 * 1.05)).all())
    assert len(set(ratio.tolist())) == len(ratio)


def test_a_test_head_differs_between_levels_by_its_noise_alone() -> None:
    loud, quiet = (measured_at(STUDY, "test", 1, snr) for snr in (5.0, 60.0))
    assert torch.equal(loud.measurement.mask, quiet.measurement.mask)
    level = loud.reference.max() / quiet.reference.max()  # scales are those of the noisy samples
    assert torch.allclose(loud.reference, quiet.reference * level, rtol=1e-4, atol=1e-6)
    # each from its own noise scan of 8,192 samples and 8 coils: within 2 %
    ratio = loud.measurement.sigma / float(level) / quiet.measurement.sigma
    assert ratio == pytest.approx(12, rel=0.02)


def test_trainings_of_one_arm_differ_and_those_of_one_number_share_their_seed(
    whole: Whole,
) -> None:
    def read(name: str, number: int) -> dict[str, Any]:
        run = whole[0] / "trainings" / Training(name, number).slug / "run"
        return load_model(RunFolder(run).weights).about

    assert read(AWARE, 0)["seed"] == read(BLIND, 0)["seed"] == "0"
    assert read(AWARE, 1)["seed"] == read(SPECIAL, 1)["seed"] == "1"


def test_a_table_that_was_killed_goes_on_to_the_same_figures(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole[0], tmp_path / "out")
    sorted((tmp_path / "out" / "parts" / "test").iterdir())[-1].unlink()
    monkeypatch.setattr(noise_study, "train_entrant", trained_already(whole[0]))
    again = run_bench(study=STUDY, folder=tmp_path / "out", processes=1)
    assert figures(again) == figures(whole[1])


def trained_already(out: Path) -> Any:
    def found(_design: Any, entrant: Any, kept: Any, _material: Any) -> Outcome:
        facts = kept.find(f"trained/{entrant.name}")
        assert facts is not None, "a finished training was started again"
        weights = RunFolder(out / "trainings" / entrant.name / "run").weights
        return Outcome(name=entrant.name, weights=weights, **facts)

    return found


def test_another_study_in_the_same_folder_is_refused(whole: Whole) -> None:
    other = NoiseStudy(scans=3)
    with pytest.raises(RefusedInputError, match="a table of other settings"):
        run_bench(study=other, folder=whole[0], processes=1)


def test_a_training_that_diverges_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_study: Any, _kept: Any, training: Training) -> Outcome:
        return Outcome(name=training.slug, diverged="Step 3: the loss is nan.")

    monkeypatch.setattr(noise, "train", lost)
    monkeypatch.setattr(noise, "_pools", lambda *_: None)
    with pytest.raises(ConvergenceError, match=r"aware-0 diverged: Step 3: the loss is nan"):
        run_bench(study=STUDY, folder=tmp_path / "out", processes=1)


def test_scans_of_the_same_levels_are_simulated_for_one_arm_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[float, float]]()

    def lost(_study: Any, _kept: Any, training: Training) -> Outcome:
        return Outcome(name=training.slug, diverged="Step 3: the loss is nan.")

    monkeypatch.setattr(noise, "train", lost)
    monkeypatch.setattr(noise, "_pools", lambda _study, _kept, arm: seen.append(ARMS[arm].snr))
    with pytest.raises(ConvergenceError, match="diverged"):
        run_bench(study=STUDY, folder=tmp_path / "out", processes=1)
    assert sorted(seen) == sorted({arm.snr for arm in ARMS.values()})


def judged(**ssim: list[float]) -> dict[str, Any]:
    """One head whose SSIM is given, and whose NMSE is 1 less that."""
    every = {name: ssim.get(name, [0.5]) for name in (ZEROFILLED, CS, *ARMS, *TOLD)}
    of_method = {
        name: {"ssim": values, "nmse": [1 - one for one in values]}
        for name, values in every.items()
    }
    return {"SNR 5": of_method}


def test_differences_are_paired_by_head_over_the_mean_of_trainings() -> None:
    study = NoiseStudy(scans=3, snr=(5.0,))
    heads = [
        judged(aware=[0.8 + n, 0.6 + n], blind=[0.5 + 0.9 * n, 0.5 + n]) for n in (0.0, 0.1, 0.3)
    ]
    best = {"SNR 5": Tuned(CompressedSensing(lambda_=0.06))}
    found = noise_table(study, heads, best)
    rows = {(row.case, row.metric): row.value for row in found.rows}
    less = "simulated, SNR 5, aware less blind (paired"
    wanted = fmean(0.2 + 0.05 * n for n in (0.0, 0.1, 0.3))
    assert rows[f"{less}, fixed beforehand): aware ahead", "ssim"] == pytest.approx(wanted)
    assert rows[f"{less}): aware ahead", "nmse"] == pytest.approx(-wanted)
    pair = "aware (training 1) less blind (training 1)"
    first = f"simulated, SNR 5, {pair} (paired): aware (training 1) ahead"
    assert rows[first, "ssim"] == pytest.approx(0.3 + 0.1 * 0.4 / 3)
    wrong = "simulated, SNR 5, aware, told sigma x 2 less aware (paired): no difference shown"
    assert rows[wrong, "nmse"] == pytest.approx(fmean(0.2 + n for n in (0.0, 0.1, 0.3)))
    (target,) = found.targets
    assert target.met


def test_a_difference_that_heads_disagree_on_is_a_tie() -> None:
    study = NoiseStudy(scans=3, snr=(5.0,))
    heads = [judged(aware=[0.8 + n] * 2, blind=[0.8] * 2) for n in (-0.02, 0.0, 0.03)]
    found = noise_table(study, heads, {"SNR 5": Tuned(CompressedSensing())})
    case = "simulated, SNR 5, aware less blind (paired, fixed beforehand): no difference shown"
    assert case in {row.case for row in found.rows}
    (target,) = found.targets
    assert not target.met


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scans": 1}, "got 1 test scans.*at least 2 scans"),
        ({"trainings": 0}, "and 0 trainings"),
        ({"minutes": 0}, "of 0 minutes"),
        ({"snr": (10.0,)}, r"snr got \(10.0,\).*5 among them"),
        ({"snr": (5.0, 0.0)}, "positive numbers"),
        ({"size": 40}, "size got 40; allowed: a multiple of 32"),
        ({"lr": 0.0}, "rates got"),
        ({"seed": 2**14 - 1}, "seed got 16384"),
    ],
)
def test_impossible_studies_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedInputError, match=said):
        NoiseStudy(**changes)


def test_no_process_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="processes got 0; allowed: 1 or more"):
        run_bench(study=STUDY, processes=0)
