"""TF-C: both published losses, attention over time, and a bank that changes every window."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries.baselines.tf_c import TfC, TfCConfig
from medconsist.timeseries.baselines.two_views import two_view_info_nce
from tests.timeseries.baselines.drawn import SIZE, drawn, seeded

SMALL = TfCConfig(width=8, depth=1, feedforward=8, projected=(8, 8), dropout=0)


def build(config: TfCConfig = SMALL) -> TfC:
    return TfC(SIZE, config=config, generator=seeded()).eval()


def outputs(model: TfC) -> dict[str, list[Tensor]]:
    """Return h and z of time and frequency, of the window and of its changed copy."""
    seen: dict[str, list[Tensor]] = {"h_t": [], "z_t": [], "h_f": [], "z_f": []}
    for branch, kind in ((model.in_time, "t"), (model.in_frequency, "f")):

        def keep(_: object, __: object, out: tuple[Tensor, Tensor], kind: str = kind) -> None:
            seen[f"h_{kind}"].append(out[0])
            seen[f"z_{kind}"].append(out[1])

        branch.register_forward_hook(keep)
    return seen


@pytest.mark.parametrize("loss", ["paper", "released"])
def test_the_loss_is_that_of_its_name(loss: Literal["paper", "released"]) -> None:
    model = build(replace(SMALL, loss=loss))
    seen = outputs(model)
    with torch.no_grad():
        losses = model(drawn())
    within = sum(two_view_info_nce(*seen[h], tau=0.2) for h in ("h_t", "h_f"))
    (t, t_changed), (f, f_changed) = seen["z_t"], seen["z_f"]
    own = two_view_info_nce(t, f, tau=0.2)
    pairs = ((t, f_changed), (t_changed, f), (t_changed, f_changed))
    between = sum(own - two_view_info_nce(a, b, tau=0.2) + 1 for a, b in pairs)
    wanted = 0.2 * within + (own if loss == "released" else 0.8 * between)
    assert losses["loss"].item() == pytest.approx(float(wanted), rel=1e-5)  # float32


def test_tokens_of_a_window_attend_to_each_other() -> None:
    model, signals = build(), drawn().signals
    h, _ = model.in_time(signals)
    tokens: list[Tensor] = []
    model.in_time.layers.register_forward_hook(lambda _, __, out: tokens.append(out))
    changed = signals.clone()
    changed[:, :8] += 1
    model.in_time(signals)
    model.in_time(changed)
    assert (tokens[0][:, -1] - tokens[1][:, -1]).abs().max() > 1e-4
    assert h.shape == (5, 8)


def test_the_order_of_the_patches_matters() -> None:
    model, signals = build(), drawn().signals
    swapped = torch.cat([signals[:, 32:], signals[:, :32]], 1)
    assert not torch.allclose(model.in_time(signals)[0], model.in_time(swapped)[0], atol=1e-4)


@pytest.mark.parametrize("samples", [61, 64, 67])
def test_any_length_is_encoded_and_the_rest_of_a_patch_counts(samples: int) -> None:
    model, signals = build(), torch.zeros(2, samples, 2)
    before = model.encode(signals)
    signals[1, -1] = 5
    after = model.encode(signals)
    torch.testing.assert_close(after[0], before[0])
    assert (after[1] - before[1]).abs().max() > 1e-3


def test_every_window_is_changed_by_one_of_the_bank() -> None:
    config = replace(SMALL, bank=("scaling", "permutation"), sigma=0.5)
    signals = drawn(batch=40).signals
    changed = build(config)._changed(signals, seeded())
    ratio = changed / signals
    scaled = (ratio - ratio[:, :1]).abs().flatten(1).amax(1) < 1e-4
    kept = (changed.sort(1).values == signals.sort(1).values).flatten(1).all(1)
    assert (scaled | kept).all()
    assert 5 < scaled.sum() < 35


def test_the_spectrum_keeps_its_meaning_at_any_length() -> None:
    model, seen = build(), []
    model.in_frequency.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model.encode(torch.ones(1, 64, 2))
    assert seen[0].shape == (1, 33, 2)
    assert seen[0][0, 0, 0].item() == pytest.approx(8)  # sqrt(64): the norm of 64 ones
    assert seen[0][0, 1:].abs().max() < 1e-4


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="a multiple of twice the heads"):
        TfCConfig(width=10, heads=4)
    with pytest.raises(RefusedInputError, match="65 segments of 64 samples"):
        build(replace(SMALL, segments=65))
