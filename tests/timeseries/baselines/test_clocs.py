"""CLOCS: the patient loss by loops, its three kinds of views, and its layouts."""

from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.timeseries.baselines.clocs import Clocs, ClocsConfig, patient_loss
from medconsist.timeseries.pretext import PretextSize
from tests.timeseries.baselines.drawn import SIZE, drawn, seeded

SMALL = ClocsConfig(embedding=6, dropout=0)


def naive(first: Tensor, second: Tensor, ids: list[int], tau: float) -> float:
    count = len(ids)
    s = torch.stack(
        [
            torch.stack([functional.cosine_similarity(a, b, dim=0) / tau for b in second])
            for a in first
        ]
    )
    rows, columns = s.logsumexp(1), s.logsumexp(0)
    every = [(i, j) for i in range(count) for j in range(count) if ids[i] == ids[j]]
    terms = [
        [rows[i] - s[i, j] for i, j in every if i == j],
        [columns[j] - s[i, j] for i, j in every if i == j],
        [rows[i] - s[i, j] for i, j in every if i < j],
        [columns[j] - s[i, j] for i, j in every if i > j],
    ]
    means = [torch.stack(term).mean().item() for term in terms if term]
    return sum(means) / len(means)


@pytest.mark.parametrize("ids", [[0, 0, 1, 1, 1], [0, 1, 2, 3, 4], [7, 7, 7, 7, 7]])
def test_the_loss_follows_the_equation(ids: list[int]) -> None:
    first, second = torch.randn(2, 3, 5, 4, generator=seeded(), dtype=torch.float64)
    number = torch.tensor(ids)
    found = patient_loss(first, second, number[:, None] == number, tau=0.1)
    pairs = [naive(a, b, ids, 0.1) for a, b in zip(first, second, strict=True)]
    assert found.item() == pytest.approx(sum(pairs) / 3, rel=1e-12)


@pytest.mark.parametrize(
    ("views", "wanted"),
    [
        ("cmsc", {((0, 0), (1, 0)), ((0, 1), (1, 1)), ((0, 2), (1, 2))}),
        (
            "cmlc",
            {((h, a), (h, b)) for h in (0, 1) for a, b in ((0, 1), (0, 2), (1, 2))},
        ),
    ],
)
def test_views_are_halves_of_a_lead_or_leads_of_a_half(
    views: Literal["cmsc", "cmlc"], wanted: set[tuple[tuple[int, int], tuple[int, int]]]
) -> None:
    size = PretextSize(channels=3, samples=64, rate=64.0)
    model = Clocs(size, config=ClocsConfig(views=views))
    assert {(divmod(a, 3), divmod(b, 3)) for a, b in model._pairs} == wanted
    both = Clocs(size, config=ClocsConfig(views="cmsmlc"))
    assert len(set(both._pairs)) == 15
    assert set(model._pairs) < set(both._pairs)


@pytest.mark.parametrize("views", ["cmsc", "cmlc", "cmsmlc"])
def test_the_model_compares_the_views_that_it_names(
    views: Literal["cmsc", "cmlc", "cmsmlc"],
) -> None:
    config = ClocsConfig(views=views, embedding=6)
    model = Clocs(SIZE, config=config, generator=seeded()).eval()
    batch = drawn()
    z = [
        model.encoder(batch.signals[:, None, half, lead]).double()
        for half in (slice(0, 32), slice(32, 64))
        for lead in (0, 1)
    ]
    pairs = [naive(z[a], z[b], batch.patient.tolist(), 0.1) for a, b in model._pairs]
    wanted = sum(pairs) / len(pairs)
    assert model(batch)["loss"].item() == pytest.approx(wanted, rel=1e-4)  # float32


def test_the_published_layout_gives_320_values_of_a_half_of_2500_samples() -> None:
    model = Clocs(PretextSize(channels=1, samples=5000, rate=500.0))
    last = list(model.encoder.children())[-1]
    assert isinstance(last, nn.Linear)
    assert last.in_features == 320


def test_the_layout_follows_the_length_and_can_be_asked_for() -> None:
    def stride(half: int, layout: Literal["by length", "published", "short"]) -> int:
        size = PretextSize(channels=1, samples=2 * half, rate=1.0)
        model = Clocs(size, config=ClocsConfig(layout=layout))
        return next(m.stride[0] for m in model.modules() if isinstance(m, nn.Conv1d))

    assert [stride(388, "by length"), stride(387, "by length"), stride(8, "short")] == [3, 1, 1]
    with pytest.raises(RefusedInputError, match="halves of 387 samples are too short"):
        stride(387, "published")
    with pytest.raises(RefusedInputError, match="halves of 7 samples"):
        stride(7, "by length")


def test_features_are_a_mean_over_leads_or_lie_beside_each_other() -> None:
    signals = drawn().signals
    mean = Clocs(SIZE, config=SMALL, generator=seeded()).eval()
    config = ClocsConfig(embedding=6, dropout=0, joined="beside")
    beside = Clocs(SIZE, config=config, generator=seeded()).eval()
    features = beside.encode(signals)
    assert features.shape == (5, beside.dim) == (5, 12)
    torch.testing.assert_close(mean.encode(signals), features.view(5, 2, 6).mean(1))
    silent = signals.clone()
    silent[..., 1] = 0
    torch.testing.assert_close(beside.encode(silent)[:, :6], features[:, :6])


def test_the_middle_sample_of_an_odd_window_is_left_out() -> None:
    size = PretextSize(channels=2, samples=65, rate=64.0)
    model, signals = Clocs(size, config=SMALL).eval(), drawn(size).signals
    before = model.encode(signals)
    signals[:, 32] = 100
    assert torch.equal(model.encode(signals), before)


def test_windows_of_one_patient_are_positives_whatever_their_order() -> None:
    model = Clocs(SIZE, config=SMALL, generator=seeded()).eval()
    first, other = drawn(), drawn()
    other.patient[:] = torch.arange(5)
    assert model(first)["loss"] != model(other)["loss"]


@pytest.mark.parametrize("views", ["cmlc", "cmsmlc"])
def test_one_lead_cannot_be_compared_with_leads(views: Literal["cmlc", "cmsmlc"]) -> None:
    with pytest.raises(RefusedInputError, match="compares leads, and there is 1"):
        Clocs(PretextSize(channels=1, samples=64, rate=64.0), config=ClocsConfig(views=views))
