"""TS2Vec crops as its paper says, and its loss follows the equations at every scale."""

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries.baselines.ts2vec import Ts2Vec, Ts2VecConfig, draw_crops
from medconsist.timeseries.pretext import PretextSize
from tests.timeseries.baselines.drawn import SIZE, drawn, seeded

SMALL = Ts2VecConfig(hidden=4, dim=6, depth=3, dropout=0)


@pytest.mark.parametrize(("time", "least"), [(2, 2), (16, 2), (16, 8), (16, 16)])
def test_crops_overlap_enough_and_stay_within_their_window(time: int, least: int) -> None:
    generator = seeded()
    overlaps = set()
    for _ in range(200):
        crops = draw_crops(3, time, least=least, generator=generator)
        assert 0 <= crops.begin <= crops.middle < crops.middle_end <= crops.end <= time
        assert crops.overlap >= least
        assert (crops.begin + crops.offset).min() >= 0
        assert (crops.end + crops.offset).max() <= time
        overlaps.add(crops.overlap)
    assert overlaps == set(range(least, time + 1))


def test_both_crops_show_the_same_samples_where_they_overlap() -> None:
    signals, generator = drawn().signals, seeded(1)
    for _ in range(20):
        crops = draw_crops(5, 64, least=2, generator=generator)
        first, second = crops.of(signals)
        assert torch.equal(first[:, -crops.overlap :], second[:, : crops.overlap])
        begin = int(crops.begin + crops.offset[3])
        assert torch.equal(first[3], signals[3, begin : begin + first.shape[1]])


def test_windows_are_shifted_apart() -> None:
    offsets = [draw_crops(8, 64, least=2, generator=seeded(seed)).offset for seed in range(5)]
    assert any(len(set(offset.tolist())) > 2 for offset in offsets)


def naive(z1: Tensor, z2: Tensor, alpha: float) -> float:
    """Both terms by loops, at every scale down to one step, where there is no temporal one."""
    losses = []
    while True:
        batch, time, _ = z1.shape
        instance = temporal = 0.0
        for i in range(batch):
            for t in range(time):
                for a, b in ((z1, z2), (z2, z1)):
                    own = (a[i, t] @ b[i, t]).item()
                    others = [a[j, t] for j in range(batch) if j != i] + list(b[:, t])
                    logits = torch.stack([a[i, t] @ other for other in others])
                    instance += (logits.logsumexp(0).item() - own) / (2 * batch * time)
                    if time > 1:
                        others = [a[i, s] for s in range(time) if s != t] + list(b[i])
                        logits = torch.stack([a[i, t] @ other for other in others])
                        temporal += (logits.logsumexp(0).item() - own) / (2 * batch * time)
        losses.append(alpha * instance + (1 - alpha) * temporal)
        if time == 1:
            return sum(losses) / len(losses)
        pairs = range(time // 2)
        z1, z2 = (
            torch.stack([torch.maximum(z[:, 2 * t], z[:, 2 * t + 1]) for t in pairs], 1)
            for z in (z1, z2)
        )


@pytest.mark.parametrize("alpha", [0.5, 0.0, 0.9])
def test_the_loss_follows_the_equations(alpha: float) -> None:
    size = PretextSize(channels=2, samples=11, rate=1.0)
    config = Ts2VecConfig(hidden=4, dim=6, depth=3, dropout=0, alpha=alpha, mask="all_true")
    model, batch = Ts2Vec(size, config=config, generator=seeded()), drawn(size, batch=3)
    crops = draw_crops(3, 11, least=2, generator=batch.generator())
    first, second = (model.encoder(crop).detach() for crop in crops.of(batch.signals))
    wanted = naive(first[:, -crops.overlap :], second[:, : crops.overlap], alpha)
    assert model(batch)["loss"].item() == pytest.approx(wanted, rel=1e-5)  # float32


def test_windows_shorter_than_the_overlap_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="crops overlap in 128 or more"):
        Ts2Vec(SIZE, config=Ts2VecConfig(temporal_unit=6))
    with pytest.raises(RefusedInputError, match=r"alpha got 1\.5"):
        Ts2VecConfig(alpha=1.5)


def test_any_length_is_encoded() -> None:
    model = Ts2Vec(SIZE, config=SMALL).eval()
    assert model.encode(torch.zeros(3, 37, 2)).shape == (3, 6)
