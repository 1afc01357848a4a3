"""COMET's four levels follow their equations; each mend does what it says and nothing else."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.networks.dilated import DilatedConfig
from medconsist.timeseries.comet.config import FIXED, LEVELS, REFERENCE, CometConfig
from medconsist.timeseries.comet.levels import group_loss, window_similarity
from medconsist.timeseries.comet.model import Comet
from medconsist.timeseries.comet.relations import Relations
from medconsist.timeseries.masks import MaskKind, draw_mask
from medconsist.timeseries.pretext import DrawnWindows

SAME = 1e-9  # relative, float64; asked for is 1e-4
ENCODER = DilatedConfig(channels=2, hidden=4, dim=5, depth=3, dropout=0)
TIME = 9
TRIAL = [0, 0, 0, 1, 2, 2, 3]
PATIENT = [0, 0, 0, 0, 1, 1, 2]
START = [0, 4, 9, 0, 0, 30, 0]


def windows(time: int = TIME, patient: list[int] = PATIENT, seed: int = 0) -> DrawnWindows:
    generator = torch.Generator().manual_seed(seed)
    signals = torch.randn(len(patient), time, 2, generator=generator, dtype=torch.float64)
    ids, trial, start = (torch.tensor(x)[: len(patient)] for x in (patient, TRIAL, START))
    return DrawnWindows(signals, ids, trial, start, seed=seed)


def comet(config: CometConfig = REFERENCE, encoder: DilatedConfig = ENCODER) -> Comet:
    return Comet(encoder, config, generator=torch.Generator().manual_seed(1)).double()


def two_views(
    model: Comet, batch: DrawnWindows, generator: torch.Generator, kind: MaskKind
) -> tuple[Tensor, Tensor]:
    """A view of each mask, in the order in which the model draws them."""
    sizes = {"batch": len(batch.signals), "time": batch.signals.shape[1], "hidden": 4}
    if kind == "all_true":
        features = model.encoder.features(batch.signals)
        return features, features
    first, second = (draw_mask(kind, **sizes, generator=generator) for _ in range(2))
    return model.encoder.features(batch.signals, first), model.encoder.features(
        batch.signals, second
    )


def loops_over_groups(z1: Tensor, z2: Tensor, ids: list[int]) -> Tensor:
    """Patient and trial level: rows above the diagonal, columns below it."""
    count, scale = len(ids), {}
    for i, j in product(range(count), repeat=2):
        flat = []
        for z, k in ((z1, i), (z2, j)):
            channels = [z[k, :, c] / z[k, :, c].norm() for c in range(z.shape[2])]
            flat.append(torch.cat(channels))
        scale[i, j] = (flat[0] @ flat[1] / (flat[0].norm() * flat[1].norm()) / 0.1).exp()
    upper, lower = [], []
    for i, j in product(range(count), repeat=2):
        if i < j and ids[i] == ids[j]:
            upper.append(-(scale[i, j] / sum(scale[i, k] for k in range(count))).log())
        if i > j and ids[i] == ids[j]:
            lower.append(-(scale[i, j] / sum(scale[k, j] for k in range(count))).log())
    return (torch.stack(upper).mean() + torch.stack(lower).mean()) / 2


def loops_of_one_group(rows: list[Tensor], others: list[Tensor]) -> list[Tensor]:
    """Both views of some items: each against all but itself, the other view of it as positive."""
    both = rows + others
    terms: list[Tensor] = []
    for i, row in enumerate(both):
        exps = [(row @ key).exp() for k, key in enumerate(both) if k != i]
        positive = (row @ both[(i + len(rows)) % len(both)]).exp()
        terms.append(-(positive / sum(exps)).log())
    return terms


def loops_over_scales(z1: Tensor, z2: Tensor, *, over_samples: bool) -> Tensor:
    """Sample and observation level, averaged over scales while there are 2 steps or more."""
    per_scale: list[Tensor] = []
    while z1.shape[1] > 1:
        batch, time, _ = z1.shape
        if over_samples:
            groups = [[list(z[:, t]) for z in (z1, z2)] for t in range(time)]
        else:
            groups = [[list(z[b]) for z in (z1, z2)] for b in range(batch)]
        terms = [term for group in groups for term in loops_of_one_group(*group)]
        per_scale.append(torch.stack(terms).mean())
        pairs = range(time // 2)
        z1, z2 = (
            torch.stack([torch.maximum(z[:, 2 * t], z[:, 2 * t + 1]) for t in pairs], 1)
            for z in (z1, z2)
        )
    return torch.stack(per_scale).mean()


def oracle(model: Comet, batch: DrawnWindows) -> dict[str, Tensor]:
    generator = batch.generator()
    pairs = {
        level: two_views(model, batch, generator, model.config.mask_of(level)) for level in LEVELS
    }
    return {
        "patient": loops_over_groups(*pairs["patient"], batch.patient.tolist()),
        "trial": loops_over_groups(*pairs["trial"], batch.trial.tolist()),
        "sample": loops_over_scales(*pairs["sample"], over_samples=True),
        "observation": loops_over_scales(*pairs["observation"], over_samples=False),
    }


def gradients(model: Comet, loss: Tensor) -> Tensor:
    parameters = list(model.parameters())
    found = torch.autograd.grad(loss, parameters, retain_graph=True)
    return torch.cat([one.flatten() for one in found])


@pytest.mark.parametrize(
    "masks", [REFERENCE.masks, ("binomial", "continuous", "binomial", "continuous")]
)
def test_all_levels_and_their_gradients_follow_the_equations(
    masks: tuple[MaskKind, MaskKind, MaskKind, MaskKind],
) -> None:
    model, batch = comet(replace(REFERENCE, masks=masks)), windows()
    losses = model(batch)
    other = comet(replace(REFERENCE, masks=masks))
    wanted = oracle(other, batch)
    for level in LEVELS:
        assert losses[level].item() == pytest.approx(wanted[level].item(), rel=SAME)
        ours, theirs = gradients(model, losses[level]), gradients(other, wanted[level])
        assert (ours - theirs).norm() < SAME * theirs.norm()


def test_reference_weighs_patient_and_trial_by_one_whatever_their_weight() -> None:
    batch = windows()
    for weights in ((0.25, 0.25, 0.25, 0.25), (0.1, 0.7, 0.1, 0.1)):
        losses = comet(replace(REFERENCE, weights=weights))(batch)
        real = [1.0, 1.0, weights[2], weights[3]]
        total = sum(w * losses[level].item() for w, level in zip(real, LEVELS, strict=True))
        assert losses["loss"].item() == pytest.approx(total, rel=SAME)


@pytest.mark.parametrize("index", range(4))
def test_fixed_loss_is_linear_in_each_weight(index: int) -> None:
    batch = windows()
    at = []
    for weight in (0.5, 1.0, 3.0):
        weights = [0.25] * 4
        weights[index] = weight
        first, second, third, fourth = weights
        config = replace(FIXED, weights=(first, second, third, fourth))
        at.append(comet(config)(batch))
    slope = (at[2]["loss"] - at[1]["loss"]).item() / 2
    assert slope == pytest.approx(at[0][LEVELS[index]].item(), rel=SAME)
    assert (at[1]["loss"] - at[0]["loss"]).item() == pytest.approx(slope / 2, rel=SAME)


def test_a_level_of_weight_zero_is_not_computed() -> None:
    losses = comet(replace(FIXED, weights=(0, 0, 0, 1)))(windows())
    assert set(losses) == {"observation", "loss"}


def test_shared_views_equal_separate_ones_where_nothing_is_drawn() -> None:
    drawless = replace(FIXED, masks=("all_true", "all_true", "mask_last", "mask_last"))
    shared, separate = (comet(replace(drawless, views=v)) for v in ("shared", "separate"))
    one, other = shared(windows()), separate(windows())
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=SAME, atol=0)
    torch.testing.assert_close(
        gradients(shared, one["loss"]), gradients(separate, other["loss"]), rtol=1e-7, atol=1e-12
    )


def test_shared_views_equal_separate_ones_in_patient_and_trial_level() -> None:
    one, other = (comet(replace(FIXED, views=views))(windows()) for views in ("shared", "separate"))
    for level in ("patient", "trial", "sample"):
        assert one[level].item() == pytest.approx(other[level].item(), rel=SAME)


def test_views_without_a_mask_differ_by_dropout_alone() -> None:
    model = comet(replace(REFERENCE, weights=(1, 0, 0, 0)), replace(ENCODER, dropout=0.5))
    pair = next(iter(model._views(windows())))[1]
    assert not torch.equal(*pair)
    kept = (pair[0] != 0) & (pair[1] != 0)
    torch.testing.assert_close(pair[0][kept], pair[1][kept])


@pytest.mark.parametrize("config", [REFERENCE, FIXED], ids=["reference", "fixed"])
def test_a_batch_without_positives_has_zero_group_losses_with_a_gradient(
    config: CometConfig,
) -> None:
    batch = windows()
    alone = replace(batch, patient=torch.arange(7), trial=torch.arange(7))
    model = comet(replace(config, weights=(1, 1, 0, 0)))
    losses = model(alone)
    torch.autograd.backward(losses["loss"])
    assert losses["loss"].item() == 0
    grads = [p.grad for p in model.parameters()]
    assert all(g is not None and not g.any() for g in grads)


def test_one_window_alone_has_a_loss_of_observations_only() -> None:
    losses = comet()(windows(patient=[0]))
    assert {name for name, loss in losses.items() if loss.item()} == {"observation", "loss"}


def test_ids_above_2_to_the_24_stay_distinct() -> None:
    ids = torch.tensor([2**24, 2**24 + 1, 2**60, 2**60 + 1])
    batch = DrawnWindows(torch.zeros(4, 8, 2), ids, ids, torch.zeros(4, dtype=torch.int64), seed=0)
    for relation in vars(Relations.of(batch)).values():
        assert torch.equal(relation, torch.eye(4, dtype=torch.bool))


def test_overlap_is_of_one_trial_and_within_a_window_length() -> None:
    overlapping = Relations.of(windows()).overlapping
    found = {(i, j) for i, j in overlapping.nonzero().tolist() if i < j}
    assert found == {(0, 1), (1, 2)}  # 0-9 and 4-13, 4-13 and 9-18; 0-9 and 9-18 only touch


def logits_of(similarity: Tensor, wanted: set[tuple[int, int]], keys: list[list[int]]) -> float:
    """The mended group loss by loops: pairs i < j of positives, and the keys that count."""
    losses = []
    for view in (similarity, similarity.mT):
        terms = [(view[i, keys[i]].logsumexp(0) - view[i, j]).item() for i, j in sorted(wanted)]
        losses.append(sum(terms) / len(terms))
    return sum(losses) / 2


def test_mended_levels_leave_out_overlaps_and_other_trials_of_the_patient() -> None:
    batch, model = windows(), comet(FIXED)
    z = model.encoder.features(batch.signals)
    similarity = window_similarity(z, z) / 0.1
    near = Relations.of(batch).overlapping
    apart = [[j for j in range(7) if not near[i, j]] for i in range(7)]
    patients = {(0, 2), (0, 3), (1, 3), (2, 3), (4, 5)}
    losses = model(batch)
    assert losses["patient"].item() == pytest.approx(
        logits_of(similarity, patients, apart), rel=SAME
    )
    others = [
        [j for j in keys if TRIAL[j] == TRIAL[i] or PATIENT[j] != PATIENT[i]]
        for i, keys in enumerate(apart)
    ]
    assert losses["trial"].item() == pytest.approx(
        logits_of(similarity, {(0, 2), (4, 5)}, others), rel=SAME
    )


@pytest.mark.parametrize(
    ("mend", "changed"),
    [
        ({"positives": "apart"}, {"patient", "trial"}),
        ({"trial_negatives": "other patients"}, {"trial"}),
        ({"sample_negatives": "apart"}, {"sample"}),
        ({"weighted": "all"}, set()),
    ],
)
def test_each_mend_changes_its_own_levels_alone(mend: dict[str, Any], changed: set[str]) -> None:
    before, after = comet()(windows()), comet(replace(REFERENCE, **mend))(windows())
    assert {level for level in LEVELS if not torch.equal(before[level], after[level])} == changed


def test_group_loss_is_zero_when_all_pairs_are_left_out() -> None:
    similarity = torch.zeros(3, 3, requires_grad=True)
    same = torch.ones(3, 3, dtype=torch.bool)
    assert group_loss(similarity, same, same).item() == 0


def test_pooled_steps_make_the_comparison_shorter_and_keep_its_meaning() -> None:
    z = comet().encoder.features(windows(64).signals)
    pooled = window_similarity(z, z, steps=16)
    by_hand = torch.nn.functional.max_pool1d(z.mT, 4).mT
    torch.testing.assert_close(pooled, window_similarity(by_hand, by_hand))
    torch.testing.assert_close(pooled.diagonal(), torch.ones(7, dtype=torch.float64))


def test_similarity_has_the_gradient_of_the_norms_also_where_a_channel_is_silent() -> None:
    generator = torch.Generator().manual_seed(0)
    z1, z2 = torch.randn(2, 4, 6, 3, generator=generator, dtype=torch.float64).unbind()
    z1.requires_grad_()
    z2.requires_grad_()
    assert torch.autograd.gradcheck(window_similarity, (z1, z2))
    silent = z1.detach().clone()
    silent[2, :, 1] = 0
    similarity = window_similarity(silent.requires_grad_(), z2)
    torch.autograd.backward(similarity.sum())
    assert similarity.abs().max() <= 1 + SAME
    assert silent.grad is not None
    assert silent.grad.abs().max() < 10


def test_features_of_a_window_do_not_depend_on_its_batch_mates() -> None:
    model, batch = comet().eval(), windows()
    torch.testing.assert_close(model.encode(batch.signals)[3:4], model.encode(batch.signals[3:4]))
    assert model.encode(batch.signals).shape == (7, model.dim)


def test_half_precision_gives_the_loss_to_a_hundredth() -> None:
    batch = windows(64)
    batch = replace(batch, signals=batch.signals.float())
    model = comet().float()
    with torch.autocast("cpu", torch.bfloat16):
        half = model(batch)
    for name, loss in model(batch).items():
        assert half[name].dtype == torch.float32
        assert half[name].item() == pytest.approx(loss.item(), rel=1e-2)  # bfloat16 has 8 bits


def test_the_loss_falls_when_trained() -> None:
    batch = windows(32)
    model = comet(FIXED)
    before = model(batch)["loss"].item()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(10):
        optimiser.zero_grad()
        torch.autograd.backward(model(batch)["loss"])
        optimiser.step()
    assert model(batch)["loss"].item() < 0.9 * before


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="weights got"):
        CometConfig(weights=(0, 0, 0, 0))
    with pytest.raises(RefusedInputError, match="tau above 0"):
        CometConfig(tau=0.0)
    with pytest.raises(RefusedInputError, match="1 step or more"):
        CometConfig(steps=0)
