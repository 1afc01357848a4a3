"""TS-TCC predicts the other view's future from the past alone."""

from typing import Literal

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.timeseries.baselines.ts_tcc import TsTcc, TsTccConfig, temporal_loss
from tests.timeseries.baselines.drawn import SIZE, drawn, seeded

SMALL = TsTccConfig(widths=(4, 4, 8), context=8, depth=1, feedforward=8, steps=3)


def build(config: TsTccConfig = SMALL) -> TsTcc:
    return TsTcc(SIZE, config=config, generator=seeded())


@pytest.mark.parametrize("softmax", ["futures", "predictions"])
def test_temporal_loss_follows_the_equation(
    softmax: Literal["futures", "predictions"],
) -> None:
    predicted, future = torch.randn(2, 4, 3, 5, generator=seeded(), dtype=torch.float64)
    total = 0.0
    for k in range(3):
        s = predicted[:, k] @ future[:, k].T  # prediction, future
        bound = s.logsumexp(1 if softmax == "futures" else 0)
        total += (bound - s.diagonal()).mean().item() / 3
    found = temporal_loss(predicted, future, softmax=softmax)
    assert found.item() == pytest.approx(total, rel=1e-12)


def test_the_loss_is_the_weighted_sum() -> None:
    losses = build()(drawn())
    wanted = losses["temporal"] + 0.7 * losses["contextual"]
    torch.testing.assert_close(losses["loss"], wanted)


def test_each_view_predicts_the_other_from_its_past() -> None:
    model, seen = build().eval(), []
    model.summary.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    lengths = set()
    for seed in range(20):
        model(drawn(seed=seed))
        lengths.add(seen[-1].shape[1])
        assert seen[-1].shape == seen[-2].shape
        assert not torch.equal(seen[-1], seen[-2])
    assert lengths == set(range(1, model.frames - 3 + 1))  # past and 3 future frames fit


def test_the_summary_of_one_frame_more_is_another_one() -> None:
    model = build().eval()
    frames = torch.randn(2, 6, 8, generator=seeded())
    assert not torch.allclose(model.summary(frames[:, :3]), model.summary(frames[:, :4]))


def test_the_strong_view_permutes_all_channels_alike_and_the_weak_one_scales() -> None:
    config = TsTccConfig(noise=0)
    same = drawn().signals[..., :1].expand(-1, -1, 2)
    weak, strong = TsTcc(SIZE, config=config)._views(same, seeded())
    assert torch.equal(strong[..., 0], strong[..., 1])
    assert torch.equal(strong.sort(1).values, same.sort(1).values)
    factor = weak / same
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor))


def test_flat_features_are_all_frames_and_of_one_length_of_window() -> None:
    flat = build(TsTccConfig(widths=(4, 4, 8), context=8, depth=1, features="flat")).eval()
    signals = drawn().signals
    features = flat.encode(signals)
    assert features.shape == (5, flat.dim) == (5, 8 * flat.frames)
    pooled = build().eval()
    pooled.blocks.load_state_dict(flat.blocks.state_dict())
    largest: Tensor = features.view(5, flat.frames, 8).amax(1)
    torch.testing.assert_close(pooled.encode(signals), largest)
    with pytest.raises(ShapeError, match="built for 64 samples"):
        flat.encode(torch.zeros(1, 63, 2))


def test_too_many_steps_and_uneven_heads_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="have 8 frames, of which 8 are to be predicted"):
        TsTcc(SIZE, config=TsTccConfig(steps=8))
    with pytest.raises(RefusedInputError, match="a multiple of the heads"):
        TsTccConfig(context=10, heads=4)
    with pytest.raises(RefusedInputError, match="one weight above 0"):
        TsTccConfig(weights=(0, 0))
