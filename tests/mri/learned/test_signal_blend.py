"""What an adaptation may change: where the start shows signal much, in the air nothing."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.learned.adaptation import Adaptation
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.signal_blend import SignalBlend, signal_weight
from medconsist.mri.learned.zero_shot import AdaptedMethod, ZeroShotMethod
from medconsist.mri.learned.zero_shot_settings import ZeroShot
from medconsist.mri.zerofilled_rss import rss_scale
from tests.mri.cirim.random_scan import random_scan
from tests.mri.cirim.scans_48 import SIDE, scans
from tests.mri.learned.test_zero_shot import SMALL, model
from tests.mri.volumes.test_volume import in_slabs

SETTINGS = ZeroShot(
    steps=4, evaluate_every=4, calibration=SIDE, precision="32", lr=5e-3, level=None
)


def half_bright(sets: int = 1) -> tuple[Tensor, Tensor]:
    """Images of 2 on the left and 0 on the right; coils that see all but the last row."""
    start = torch.full((1, sets, 20, 20), 2j, dtype=torch.complex64)
    start[..., 10:] = 0
    maps = torch.ones(1, sets, 3, 20, 20, dtype=torch.complex64)
    maps[..., -1, :] = 0
    return start, maps


def test_the_weight_is_wieners_of_the_local_signal_and_zero_without_any() -> None:
    weight = signal_weight(*half_bright(), level=2.0)[0, 0]
    assert torch.equal(weight[0, :7], torch.full((7,), 0.5))  # s equals l, up to the image's edge
    assert 0 < float(weight[0, 12]) < float(weight[0, 9]) < 0.5
    assert not weight[:, 13:].any()  # half a window further
    assert not weight[-1].any()  # no coil sees


def test_the_weight_without_a_level_is_one_wherever_a_coil_sees() -> None:
    weight = signal_weight(*half_bright(), level=None)[0, 0]
    assert bool((weight[:-1] == 1).all())
    assert not weight[-1].any()


def test_map_sets_share_the_signal_of_all() -> None:
    start, maps = half_bright(sets=2)
    start[:, 1] = 0
    maps[:, 1, :, 0] = 0
    weight = signal_weight(start, maps, level=2.0)[0]
    assert torch.equal(weight[0, 1:], weight[1, 1:])
    assert weight[0, 0].any()
    assert not weight[1, 0].any()


def test_scaled_images_are_blended_alike(generator: torch.Generator) -> None:
    start, maps = half_bright()
    adapted = torch.randn(start.shape, dtype=start.dtype, generator=generator)
    once = SignalBlend.of(start, maps, scale=1.5, level=0.3)(adapted)
    twice = SignalBlend.of(8 * start, maps, scale=12.0, level=0.3)(8 * adapted)
    assert torch.equal(twice, 8 * once)  # powers of two: to the last bit


def test_the_adapted_image_is_the_blend_of_both_networks() -> None:
    (scan,) = scans(1)
    start = model(SMALL)
    found = ZeroShotMethod(start, SETTINGS).fixed(scan)
    assert found.adaptation.kept_step == 4
    scale = rss_scale(scan.samples)
    before, after = (LearnedMethod(one, scale).solve(scan) for one in (start, found.model))
    blend = SignalBlend.of(before, scan.maps, scale=scale, level=SETTINGS.signal_level)
    assert torch.equal(found.solve(scan), blend(after))
    unseen = scan.maps.abs().sum(2) == 0
    assert torch.equal(found.solve(scan)[unseen], before[unseen])


def test_slabs_are_blended_as_their_volume(generator: torch.Generator) -> None:
    """Slices of other brightness: a level or scale of each slab would move them otherwise."""
    scan = random_scan(generator, slices=3)
    brightness = torch.tensor([1.0, 0.3, 0.05])[:, None, None, None]
    scan = scan.with_samples(brightness * scan.samples)
    start, other = model(), model(seed=1)
    done = Adaptation(gamma=(0.3, 0.2), steps=1, kept_step=1, seconds=0.0)
    method = AdaptedMethod(
        other, rss_scale(scan.samples), adaptation=done, origin={}, start=start, signal_level=0.5
    )
    whole = method.solve(scan)
    slabs = [method.solve(slab) for _, slab in in_slabs(scan).slabs("blend")]
    torch.testing.assert_close(torch.cat(slabs), whole)
    for one in (start, other):
        assert not torch.allclose(whole, LearnedMethod(one, method.scale).solve(scan), rtol=1e-3)


def test_what_is_judged_is_the_blended_image() -> None:
    """A level so high that nothing is moved: the judges see no change, whatever was trained."""
    (scan,) = scans(1)
    start = model(SMALL)
    found = ZeroShotMethod(start, replace(SETTINGS, signal_level=1e9)).fixed(scan)
    plain = ZeroShotMethod(start, SETTINGS).fixed(scan)
    assert plain.adaptation.judged is not None
    assert plain.adaptation.judged.fall > 0.01
    if found.adaptation.judged is not None:  # else rounding never fell: the start was kept
        assert abs(found.adaptation.judged.fall) < 1e-6
    assert torch.allclose(found.solve(scan), LearnedMethod(start).solve(scan), rtol=1e-5)


def test_a_level_of_no_signal_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"signal_level got 0\.0; allowed: a positive"):
        ZeroShot(signal_level=0.0)
