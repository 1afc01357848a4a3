"""What every pretext task must do; a new method is one line in `SMALL` and one in `PRETEXTS`."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries.pretext import DrawnWindows, Pretext, PretextSize
from medconsist.timeseries.pretexts import (
    PRETEXTS,
    architecture_of,
    make_pretext,
    pretext_from,
)

_ENCODER = {"hidden": 4, "dim": 8, "depth": 3}
SMALL: dict[str, dict[str, Any]] = {
    "comet-reference": _ENCODER,
    "comet": _ENCODER,
    "comet-ordering": _ENCODER,
    "ts2vec": _ENCODER,
    "mixing-up": {"widths": [4, 8, 8], "projected": 8},
    "ts-tcc": {"widths": [4, 8, 8], "context": 8, "depth": 1, "feedforward": 8},
    "simclr": {"widths": [4, 8, 8], "head": [8, 8, 8]},
    "tf-c": {"width": 8, "depth": 1, "feedforward": 8, "projected": [8, 8]},
    "clocs": {"embedding": 8},
    "cpc": {"widths": [8, 8], "kernels": [3, 3], "strides": [2, 2], "context": 8, "steps": 3}
    | {"negatives": 4},
}
SIZES = [(1, 64, 2), (12, 100, 3), (2, 256, 2)]  # channels, samples, windows of a batch
every_pretext = pytest.mark.parametrize("name", list(PRETEXTS))


def make(name: str, *, channels: int = 2, samples: int = 64, seed: int = 0) -> Pretext:
    size = PretextSize(channels=channels, samples=samples, rate=100.0)
    generator = torch.Generator().manual_seed(seed)
    return make_pretext(name, size, generator=generator, options=SMALL[name])


def windows(*, channels: int = 2, samples: int = 64, batch: int = 4, seed: int = 0) -> DrawnWindows:
    """Waves of this simulator, each patient's at a frequency of its own, two trials each."""
    generator = torch.Generator().manual_seed(seed)
    number = torch.arange(batch)
    patient = torch.div(number, 4, rounding_mode="floor") if batch > 4 else number // 2
    turns = (2 + 3 * patient[:, None, None]) * torch.linspace(0, 6.3, samples)[:, None]
    phase = 6.3 * torch.rand(batch, 1, channels, generator=generator)
    noise = torch.randn(batch, samples, channels, generator=generator)
    trial = torch.div(number, 2, rounding_mode="floor")
    signals = (turns + phase).sin() + 0.3 * noise
    return DrawnWindows(signals, patient, trial, samples * (number % 2), seed=seed)


def assert_same(got: Tensor, wanted: Tensor) -> None:
    # float32: a row goes through other kernels alone than in a batch
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def reaches_every_parameter(pretext: Pretext, loss: Tensor) -> bool:
    """Say whether each gradient is finite, and that of each matrix or kernel not zero."""
    pretext.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    # biases before a BatchNorm have a gradient of zero
    return all(
        p.grad is not None and bool(p.grad.isfinite().all()) and bool(p.grad.any() or p.ndim < 2)
        for p in pretext.parameters()
    )


def test_the_list_holds_every_method() -> None:
    assert list(SMALL) == list(PRETEXTS)


@every_pretext
@pytest.mark.parametrize(("channels", "samples", "batch"), SIZES)
def test_the_loss_is_finite_and_teaches_every_parameter(
    name: str, channels: int, samples: int, batch: int
) -> None:
    pretext = make(name, channels=channels, samples=samples)
    losses = pretext(windows(channels=channels, samples=samples, batch=batch))
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
    assert losses["loss"].dtype == torch.float32
    assert reaches_every_parameter(pretext, losses["loss"])


@every_pretext
@pytest.mark.parametrize("samples", [64, 300])
def test_default_settings_take_windows_from_64_samples_on(name: str, samples: int) -> None:
    size = PretextSize(channels=1, samples=samples, rate=256.0)
    pretext = make_pretext(name, size, generator=torch.Generator())
    losses = pretext(windows(channels=1, samples=samples, batch=2))
    assert losses["loss"].isfinite()
    assert pretext.encode(torch.zeros(2, samples, 1)).shape == (2, pretext.dim)


@every_pretext
def test_all_randomness_is_the_seed_of_the_batch(name: str) -> None:
    pretext, batch = make(name).eval(), windows()
    first, again, other = (pretext(replace(batch, seed=seed)) for seed in (1, 1, 2))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert torch.equal(first["loss"], other["loss"]) == (name == "clocs")  # it draws nothing


@every_pretext
def test_first_weights_are_the_generators_and_torchs_own_is_left_alone(name: str) -> None:
    before = torch.get_rng_state()
    first, again, other = (make(name, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@every_pretext
@pytest.mark.parametrize(("channels", "samples", "batch"), SIZES)
def test_features_of_a_window_do_not_depend_on_its_batch_mates(
    name: str, channels: int, samples: int, batch: int
) -> None:
    pretext = make(name, channels=channels, samples=samples)
    drawn = windows(channels=channels, samples=samples, batch=batch + 2)
    pretext(drawn)  # moves the running statistics
    pretext.eval()
    with torch.no_grad():
        together = pretext.encode(drawn.signals)
        alone = torch.cat([pretext.encode(one) for one in drawn.signals[:, None]])
        loud = torch.cat([drawn.signals[:1], 100 * drawn.signals[1:]])
        beside_others = pretext.encode(loud)[:1]
    assert together.shape == (batch + 2, pretext.dim)
    assert_same(alone, together)
    assert_same(beside_others, together[:1])
    assert (together - together[0]).abs().max() > 0


@every_pretext
def test_neither_loss_nor_features_change_the_windows(name: str) -> None:
    pretext, batch = make(name), windows()
    before = batch.signals.clone()
    pretext(batch)
    pretext.encode(batch.signals)
    assert torch.equal(batch.signals, before)


def test_a_batch_has_no_labels() -> None:
    names = {field.name for field in fields(DrawnWindows)}
    assert names == {"signals", "patient", "trial", "start", "seed"}


@every_pretext
def test_half_precision_is_finite_and_the_loss_is_not_rounded_to_it(name: str) -> None:
    pretext = make(name)
    with torch.autocast("cpu", torch.bfloat16):
        losses = pretext(windows())
        features = pretext.encode(windows().signals)
    assert losses["loss"].dtype == torch.float32
    assert features.isfinite().all()
    assert reaches_every_parameter(pretext, losses["loss"])


@every_pretext
def test_ids_above_2_to_the_24_are_told_apart(name: str) -> None:
    pretext, batch = make(name).eval(), windows()
    far = replace(batch, patient=batch.patient + 2**24, trial=batch.trial + 2**60)
    one, other = pretext(batch), pretext(far)
    assert all(torch.equal(one[key], other[key]) for key in one)


@every_pretext
@pytest.mark.parametrize("trials", ["one trial", "many trials"])
def test_a_batch_of_one_patient_has_a_loss_with_a_gradient(name: str, trials: str) -> None:
    pretext, batch = make(name), windows()
    zero = torch.zeros_like(batch.patient)
    start = 64 * torch.arange(len(zero))
    one = replace(batch, patient=zero, start=start)
    loss = pretext(replace(one, trial=zero) if trials == "one trial" else one)["loss"]
    assert loss.isfinite()
    torch.autograd.backward(loss)
    grads = [p.grad for p in pretext.parameters()]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)


@every_pretext
def test_architecture_and_state_build_the_same_network(name: str) -> None:
    pretext = make(name)
    pretext(windows())
    architecture = json.loads(json.dumps(architecture_of(pretext)))
    again = pretext_from(architecture)
    again.load_state_dict(pretext.state_dict())
    assert architecture["pretext"] == name
    assert architecture_of(again) == architecture
    signals = windows(seed=5).signals
    assert torch.equal(pretext.eval().encode(signals), again.eval().encode(signals))
    one, other = (task(windows(seed=5)) for task in (pretext, again))
    assert all(torch.equal(one[key], other[key]) for key in one)


@every_pretext
def test_missing_samples_are_refused_or_stay_out(name: str) -> None:
    pretext, batch = make(name).eval(), windows()
    clean = pretext.encode(batch.signals)
    batch.signals[0, 10:20] = torch.nan
    try:
        features = pretext.encode(batch.signals)
        loss = pretext(batch)["loss"]
    except RefusedInputError as error:
        assert "not finite" in str(error)  # noqa: PT017  either way is right
        with pytest.raises(RefusedInputError, match="1 of 4 windows have samples that are not"):
            pretext(batch)
    else:
        assert features.isfinite().all()
        assert loss.isfinite()
        assert_same(features[1:], clean[1:])


@every_pretext
def test_the_loss_falls_within_twenty_steps(name: str) -> None:
    pretext = make(name)
    batch = windows(batch=12)
    optimiser = torch.optim.Adam(pretext.parameters(), lr=5e-3)

    def score() -> float:
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            return sum(pretext(replace(batch, seed=s))["loss"].item() for s in range(100, 104))

    before = score()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for seed in range(20):
            optimiser.zero_grad()
            torch.autograd.backward(pretext(replace(batch, seed=seed))["loss"])
            optimiser.step()
    assert score() < before - 0.02 * abs(before)


def test_unknown_names_are_answered_by_the_nearest() -> None:
    size, generator = PretextSize(channels=1, samples=64, rate=64.0), torch.Generator()
    with pytest.raises(RefusedInputError, match="Did you mean 'ts2vec'"):
        make_pretext("ts2vek", size, generator=generator)
    with pytest.raises(RefusedInputError, match="Did you mean 'views'"):
        make_pretext("clocs", size, generator=generator, options={"view": "cmlc"})
    with pytest.raises(RefusedInputError, match=r"'?views'?(:| got) 'both'"):
        make_pretext("clocs", size, generator=generator, options={"views": "both"})


@pytest.mark.parametrize("options", [{"hidden": "many"}, {"keep": 3}, {"width": 4}])
def test_options_of_the_wrong_kind_are_refused(options: dict[str, Any]) -> None:
    size, generator = PretextSize(channels=1, samples=64, rate=64.0), torch.Generator()
    with pytest.raises(RefusedInputError, match=r"wrong kind|has no option"):
        make_pretext("comet-ordering", size, generator=generator, options=options)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"pretext": "cpc"}, {"pretext": "cpc", "size": {"samples": 1}, "options": {}}],
)
def test_architectures_of_something_else_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedInputError, match="Are these weights of a pretext task"):
        pretext_from(wrong)


def test_a_task_without_a_size_has_no_architecture() -> None:
    pretext = make("comet")
    pretext.size = None
    with pytest.raises(RefusedInputError, match="Comet has no size"):
        architecture_of(pretext)


@every_pretext
def test_one_window_alone_is_refused_where_the_loss_needs_two(name: str) -> None:
    pretext, alone = make(name), windows(batch=1)
    if name in ("mixing-up", "ts-tcc", "simclr", "tf-c", "clocs"):
        with pytest.raises(RefusedInputError, match="a batch of 1 windows"):
            pretext(alone)
    else:
        assert pretext(alone)["loss"].isfinite()
