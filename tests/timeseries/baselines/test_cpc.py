"""CPC: the future by loops, a past that is one, and negatives of the window or the batch."""

from typing import Literal

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries.baselines.cpc import Cpc, CpcConfig, future_loss
from medconsist.timeseries.pretext import DrawnWindows
from tests.timeseries.baselines.drawn import SIZE, drawn, seeded

SMALL = CpcConfig(widths=(4, 4), kernels=(3, 3), strides=(2, 2), context=8, steps=3)


def naive(predicted: Tensor, frames: Tensor, drawn_frames: Tensor) -> float:
    windows, count, ahead, _ = predicted.shape
    flat, losses = frames.flatten(0, 1), []
    for k in range(1, ahead + 1):
        terms = []
        for b in range(windows):
            chosen = drawn_frames[b if len(drawn_frames) > 1 else 0].tolist()
            for t in range(count - k):
                q, own = predicted[b, t, k - 1], b * count + t + k
                logits = torch.stack([q @ flat[j] for j in {own, *chosen}])
                terms.append((logits.logsumexp(0) - q @ flat[own]).item())
        losses.append(sum(terms) / len(terms))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("sets", [1, 3])
def test_the_loss_follows_the_equation(sets: int) -> None:
    generator = seeded()
    predicted = torch.randn(3, 7, 2, 4, generator=generator, dtype=torch.float64)
    frames = torch.randn(3, 7, 4, generator=generator, dtype=torch.float64)
    chosen = torch.stack([torch.randperm(21, generator=generator)[:6] for _ in range(sets)])
    found = future_loss(predicted, frames, chosen).item()
    assert found == pytest.approx(naive(predicted, frames, chosen), rel=1e-12)


@pytest.mark.parametrize("recurrent", ["lstm", "gru"])
def test_a_state_does_not_see_what_comes(recurrent: Literal["lstm", "gru"]) -> None:
    config = CpcConfig(
        widths=(4, 4), kernels=(3, 3), strides=(2, 2), context=8, steps=3, recurrent=recurrent
    )
    model = Cpc(SIZE, config=config, generator=seeded()).eval()
    frames = torch.randn(2, 16, 4, generator=seeded())
    later = frames.clone()
    later[:, 9:] += 1
    states, others = model._states(frames), model._states(later)
    assert torch.equal(states[:, :9], others[:, :9])
    assert not torch.allclose(states[:, 9:], others[:, 9:])


def test_negatives_are_of_the_same_window_or_of_the_batch() -> None:
    windows = Cpc(SIZE, config=SMALL)._drawn(4, 16, seeded())
    assert torch.equal(windows.sort(1).values, torch.arange(64).view(4, 16))
    config = CpcConfig(negatives_from="batch", negatives=20)
    batch = Cpc(SIZE, config=config)._drawn(4, 16, seeded())
    assert batch.shape == (1, 20)
    assert len(set(batch[0].tolist())) == 20
    assert batch.max() < 64


def test_windows_without_other_windows_are_enough_for_negatives_of_the_window() -> None:
    model = Cpc(SIZE, config=SMALL, generator=seeded()).eval()
    batch = drawn()
    together = model(batch)["loss"].item()
    zero = torch.zeros(1, dtype=torch.int64)
    alone = [DrawnWindows(one[None], zero, zero, zero, seed=0) for one in batch.signals]
    each = [model(one)["loss"].item() for one in alone]
    assert together == pytest.approx(sum(each) / 5, rel=1e-5)  # float32


def test_more_steps_than_frames_and_even_kernels_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="have 16 frames, of which 16 are to be predicted"):
        Cpc(SIZE, config=CpcConfig(steps=16))
    with pytest.raises(RefusedInputError, match="as many of each, odd kernels"):
        CpcConfig(kernels=(4, 3, 3, 3))
    with pytest.raises(RefusedInputError, match="as many of each, odd kernels"):
        CpcConfig(widths=(8, 8))
