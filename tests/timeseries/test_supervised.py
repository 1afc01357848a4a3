"""What the evaluator calls: every start learns from labels, and the same seed the same weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.eegnet import EegNetConfig
from medconsist.timeseries.finetuning import HeadConfig
from medconsist.timeseries.pretrained import Pretraining
from medconsist.timeseries.pretraining import WindowSampling
from medconsist.timeseries.starts import (
    EegNetStart,
    GivenStart,
    PretrainedStart,
    RandomStart,
    Start,
)
from medconsist.timeseries.supervised import Finetuned, Finetuning, training_digest
from medconsist.timeseries.window_set import WindowSet
from tests.timeseries.small_signals import small_cohort, small_comet, small_data

SMALL = {"hidden": 4, "dim": 8, "depth": 2}
SHORT = Finetuning(epochs=2, batch=64, evaluations=2, head=HeadConfig(width=8), lr=1e-2)
STARTS: dict[str, Start] = {
    "scratch": RandomStart(options=SMALL),
    "eegnet": EegNetStart(config=EegNetConfig(temporal=2, depth=1)),
    "given": GivenStart(small_comet()),
    "pretrained": PretrainedStart(
        how=Pretraining(options=SMALL, epochs=1, sampling=WindowSampling(batch=32))
    ),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_every_start_gives_finite_logits_of_windows(start: Start) -> None:
    data = small_data(small_cohort(patients=12))
    predict = Finetuned(start, SHORT).fit(data.train, data.validation, generator=generator())
    logits = predict(data.validation.without_labels())
    assert logits.shape == (len(data.validation), 2)
    assert logits.dtype == torch.float64
    assert bool(logits.isfinite().all())


def test_a_finished_round_is_not_trained_again(tmp_path: Path) -> None:
    data = small_data(small_cohort(patients=8))
    model = Finetuned(STARTS["eegnet"], SHORT, folder=tmp_path)
    first = model.fit(data.train, data.validation, generator=generator())(data.validation)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("weights.safetensors")}
    second = model.fit(data.train, data.validation, generator=generator())(data.validation)
    assert torch.equal(first, second)
    assert written == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("weights.safetensors")}


def test_a_given_encoder_is_copied_and_stays_as_it_was() -> None:
    encoder = small_comet()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    data = small_data(small_cohort(patients=8))
    Finetuned(GivenStart(encoder), SHORT).fit(data.train, data.validation, generator=generator())
    assert all(torch.equal(before[n], tensor) for n, tensor in encoder.state_dict().items())


def test_names_tell_what_it_is() -> None:
    assert [Finetuned(start).name for start in STARTS.values()] == [
        "comet encoder from scratch",
        "EEGNet",
        "pre-trained, fine-tuned",
        "comet, fine-tuned",
    ]
    assert Finetuned(STARTS["eegnet"], name="row 7").name == "row 7"


def test_no_epoch_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="got 0 epochs and 50 evaluations"):
        Finetuning(epochs=0)


def test_devices_share_the_epochs_and_evaluations_are_not_more_than_asked() -> None:
    config = Finetuning(epochs=5, devices=2, evaluations=4)._config(3, 0, judged=True)
    assert (config.steps, config.evaluate_every) == (8, 2)
    assert Finetuning(epochs=3, evaluations=50)._config(25, 0, judged=True).evaluate_every == 2


def test_the_digest_of_a_training_knows_samples_places_names_and_labels() -> None:
    windows = small_cohort(patients=8).windows
    table = windows.table

    def other(signals: np.ndarray | None = None, **columns: object) -> str:
        changed = WindowSet(
            windows.signals if signals is None else signals,
            replace(table, **columns),  # type: ignore[arg-type]  # columns of the table
            rate=windows.rate,
            channels=windows.channels,
            units=windows.units,
        )
        return training_digest(changed, None)

    names = tuple(f"other {name}" for name in table.patients)
    digests = [
        other(),
        other(windows.signals * 2),
        other(start=table.start + 1),
        other(patients=names),
        other(label=1 - table.label),
    ]
    assert len(set(digests)) == len(digests)
    assert digests[0] == other()
