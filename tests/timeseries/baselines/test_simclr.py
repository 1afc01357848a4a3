"""SimCLR on signals: NT-Xent by loops, and views that are what their names say."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.timeseries.baselines.simclr import SimClr, SimClrConfig
from medconsist.timeseries.baselines.two_views import two_view_info_nce, widened
from medconsist.timeseries.pretext import PretextSize
from tests.timeseries.baselines.drawn import SIZE, drawn, seeded


def test_two_views_find_each_other_by_the_equation() -> None:
    z1, z2 = torch.randn(2, 4, 3, generator=seeded(), dtype=torch.float64)
    z, total = functional.normalize(torch.cat([z1, z2]), dim=1), 0.0
    for i in range(8):
        logits = torch.stack([z[i] @ z[k] / 0.2 for k in range(8) if k != i])
        total += (logits.logsumexp(0) - z[i] @ z[(i + 4) % 8] / 0.2).item() / 8
    assert two_view_info_nce(z1, z2, tau=0.2).item() == pytest.approx(total, rel=1e-12)


def test_a_silent_view_has_a_bounded_gradient() -> None:
    z1 = torch.zeros(3, 4, requires_grad=True)
    loss = two_view_info_nce(z1, torch.randn(3, 4, generator=seeded()), tau=0.1)
    torch.autograd.backward(loss)
    assert z1.grad is not None
    assert z1.grad.abs().max() < 100


def test_losses_leave_half_precision_and_keep_double() -> None:
    assert widened(torch.zeros(1, dtype=torch.float16)).dtype == torch.float32
    assert widened(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def shown(config: SimClrConfig) -> list[Tensor]:
    model = SimClr(SIZE, config=config, generator=seeded()).eval()
    seen: list[Tensor] = []
    model.blocks.register_forward_pre_hook(lambda _, args: seen.append(args[0].mT))
    model(drawn())
    return seen


def test_views_are_made_of_what_is_named_alone() -> None:
    signals = drawn().signals
    for view in shown(SimClrConfig(views=("negation",), share=1)):
        assert torch.equal(view, -signals)
    for view in shown(SimClrConfig(views=("time flip",), share=1)):
        assert torch.equal(view, signals.flip(1))
    for view in shown(SimClrConfig(views=("permutation",))):
        assert torch.equal(view.sort(1).values, signals.sort(1).values)
    first, second = shown(SimClrConfig(views=("noise", "scaling")))
    assert not torch.equal(first, second)


def test_windows_shorter_than_the_kernels_are_refused() -> None:
    assert SimClr(PretextSize(channels=1, samples=46, rate=1.0)).dim == 96
    with pytest.raises(RefusedInputError, match="45 samples, SimCLR's kernels see 46"):
        SimClr(PretextSize(channels=1, samples=45, rate=1.0))
