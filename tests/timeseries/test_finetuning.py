"""Learning from labels: it learns what can be learnt, weighs patients, refuses what it must."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.timeseries.eegnet import EegNet, EegNetConfig
from medconsist.timeseries.finetuning import (
    FinetuneObjective,
    HeadConfig,
    LabelledWindows,
    WindowClassifier,
    classify_all,
)
from medconsist.timeseries.pretext import PretextSize
from medconsist.timeseries.window_set import WindowSet, WindowTable
from medconsist.training.fit import fit
from medconsist.training.settings import TrainConfig

SAMPLES, RATE = 64, 64.0


def told_by_rhythm(patients: int, *, windows: int = 12, first: int = 0) -> WindowSet:
    """Odd patients have a rhythm of 8 Hz, even ones of 4 Hz, under noise."""
    rng = np.random.default_rng(first)
    number = np.repeat(np.arange(patients), windows)
    time = np.arange(SAMPLES) / RATE
    tone = np.sin(2 * np.pi * (4 + 4 * (number % 2))[:, None] * time + rng.random((len(number), 1)))
    signals = (tone + rng.normal(size=tone.shape)).astype(np.float32)
    table = WindowTable(
        patient=number,
        trial=np.arange(len(number)),
        start=np.zeros(len(number), np.int64),
        label=number % 2,
        patients=tuple(f"p{first + n}" for n in range(patients)),
        classes=("slow", "fast"),
        sites=(None,) * patients,
    )
    return WindowSet(
        np.stack([signals, 0.1 * signals], -1),
        table,
        rate=RATE,
        channels=("a", "b"),
        units=("uV",) * 2,
    )


def network(head: HeadConfig | None = None) -> WindowClassifier:
    torch.manual_seed(0)
    size = PretextSize(channels=2, samples=SAMPLES, rate=RATE)
    return WindowClassifier(EegNet(size, EegNetConfig(temporal=2, depth=1)), 2, head)


def test_it_tells_rhythms_of_patients_that_it_never_saw_apart(tmp_path: Path) -> None:
    objective = FinetuneObjective(
        lambda _: network(), told_by_rhythm(8), told_by_rhythm(8, first=20), batch=32
    )
    config = TrainConfig(steps=90, lr=0.02, evaluate_every=45)
    fitted = fit(objective, config, tmp_path, recipe={}, progress=False)
    assert fitted.metrics["val_auc"] == 1.0


def test_a_patient_with_ten_times_the_windows_weighs_the_same_and_by_windows_ten_times() -> None:
    windows = told_by_rhythm(2, windows=20)
    rows = np.concatenate([np.arange(2), np.arange(20, 40)])
    objective = FinetuneObjective(lambda _: network(), windows.take(rows), batch=22)
    batch = objective.draw(torch.Generator(), 0)
    shares = {
        label: batch.weight[batch.label == label].sum().item() / batch.weight.sum().item()
        for label in (0, 1)
    }
    assert shares == pytest.approx({0: 0.5, 1: 0.5})
    equal = objective.losses(network(), batch)["loss"]
    plain = objective.losses(network(HeadConfig(patients="by windows")), batch)["loss"]
    assert not torch.isclose(equal, plain)


def test_the_released_head_cannot_be_sure_and_the_single_one_can() -> None:
    loud = torch.randn(64, SAMPLES, 2) * 1e3
    for kind, low, high in (("released", 0.442, 0.558), ("single", 0.0, 1.0)):
        model = network(HeadConfig(kind=kind)).eval()  # type: ignore[arg-type]  # of two words
        nn.init.normal_(model.head[3].weight, std=100.0)  # type: ignore[arg-type]  # a Linear
        said = model(loud).softmax(1).detach()
        assert bool((said >= low).all())
        assert bool((said <= high).all())
        assert (float(said.max()) > 0.99) is (kind == "single")


def test_what_is_said_of_a_window_does_not_depend_on_the_others_beside_it() -> None:
    model, windows = network().eval(), told_by_rhythm(3)
    alone = classify_all(model, windows.take([5]))
    assert torch.allclose(classify_all(model, windows)[5:6], alone, atol=1e-6)  # float32


def test_a_published_pooling_needs_windows_that_are_long_enough() -> None:
    with pytest.raises(RefusedInputError, match="20 samples; EEGNet pools by 32"):
        EegNet(PretextSize(channels=1, samples=20, rate=64.0))


def test_spatial_filters_never_grow_beyond_norm_one() -> None:
    size = PretextSize(channels=2, samples=SAMPLES, rate=RATE)
    model = EegNet(size).eval()
    with torch.no_grad():
        model.spatial.weight.mul_(1000)
        first = model.encode(torch.ones(1, SAMPLES, 2))
        model.spatial.weight.mul_(1000)
    assert torch.allclose(first, model.encode(torch.ones(1, SAMPLES, 2)), atol=1e-5)  # float32


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no label", "12 of 24 windows have no label"),
        ("one class", r"all training windows are of \['slow'\]"),
        ("shared", "patient p0 is in training and in validation"),
        ("other classes", r"classes are \['slow', 'fast'\] in training and \['fast', 'slow'\]"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_in_a_sentence(case: str, said: str) -> None:
    train, validation = told_by_rhythm(2), None
    if case == "no label":
        train = train.with_patient_labels(np.array([0, -1]))
    elif case == "one class":
        train = train.of_patients([0])
    elif case == "shared":
        validation = told_by_rhythm(2)
    else:
        validation = told_by_rhythm(2, first=20)
        validation.table = replace(validation.table, classes=("fast", "slow"))
    with pytest.raises(RefusedInputError, match=said):
        FinetuneObjective(lambda _: network(), train, validation)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: HeadConfig(dropout=1.0), "dropout got 1.0"),
        (lambda: HeadConfig(width=0), "width got 0"),
        (lambda: EegNetConfig(temporal=0), "temporal got 0"),
        (lambda: PretextSize(channels=0, samples=8, rate=1.0), "channels got 0"),
        (
            lambda: FinetuneObjective(lambda _: network(), told_by_rhythm(2), batch=1),
            "batch got 1; allowed: 2 or more",
        ),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(RefusedInputError, match=said):
        make()


def test_eegnet_refuses_missing_samples_and_other_sizes() -> None:
    model = EegNet(PretextSize(channels=2, samples=SAMPLES, rate=RATE))
    with pytest.raises(RefusedInputError, match="1 of 1 windows have samples"):
        model.encode(torch.full((1, SAMPLES, 2), torch.nan))
    with pytest.raises(ShapeError, match="built for 64 samples and 2 channels"):
        model.encode(torch.zeros(1, SAMPLES, 3))


def test_a_batch_says_what_it_holds() -> None:
    batch = FinetuneObjective(lambda _: network(), told_by_rhythm(2), batch=8).draw(
        torch.Generator(), 0
    )
    assert isinstance(batch, LabelledWindows)
    assert batch.signals.shape == (8, SAMPLES, 2)
