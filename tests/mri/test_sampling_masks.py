"""Masks: what they promise about number, place and randomness."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from medconsist.errors import RefusedInputError
from medconsist.mri.sampling_masks import (
    Equispaced1D,
    Gaussian1D,
    Gaussian2D,
    MaskKind,
    PartialFourier,
    Poisson2D,
    Random1D,
    effective_acceleration,
)

KINDS: list[MaskKind] = [
    Random1D(acceleration=4),
    Random1D(acceleration=4, axis=-2),
    Gaussian1D(acceleration=4),
    Gaussian1D(acceleration=4, density="sqrt"),
    Equispaced1D(acceleration=5),
    Equispaced1D(acceleration=4, form="fastmri"),
    Gaussian2D(acceleration=8),
    Gaussian2D(acceleration=8, density="plain", center_shape="ellipse"),
    Poisson2D(acceleration=8),
    Poisson2D(acceleration=6, corners="cropped", spread=1.0),
    PartialFourier(base=Gaussian2D(acceleration=4)),
]
SIZES = st.tuples(st.integers(33, 150), st.integers(33, 150))
LINES: list[Callable[..., MaskKind]] = [Random1D, Gaussian1D, Equispaced1D]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_close_to_asked(mask: torch.Tensor, acceleration: float, *, unit: int) -> None:
    """Within 2 % or half a line (``unit`` samples), whichever is larger."""
    acquired, wanted = int(mask.sum()) / unit, mask.numel() / unit / acceleration
    relative = abs(effective_acceleration(mask) / acceleration - 1)
    assert relative <= 0.02 or abs(acquired - wanted) <= 0.5


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_same_generator_gives_the_same_mask_and_another_seed_another(kind: MaskKind) -> None:
    first, again = kind((130, 121), seeded(1)), kind((130, 121), seeded(1))
    others = [kind((130, 121), seeded(seed)) for seed in range(2, 8)]
    assert torch.equal(first, again)
    assert first.shape == (130, 121)
    assert first.dtype == torch.bool
    assert any(not torch.equal(first, other) for other in others)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_masks_leave_the_global_generator_alone(kind: MaskKind) -> None:
    before = torch.random.get_rng_state()
    kind((130, 121), seeded(1))
    assert torch.equal(before, torch.random.get_rng_state())


def _is_reachable(kind: MaskKind, shape: tuple[int, int], seed: int) -> bool:
    try:
        kind(shape, seeded(seed))
    except RefusedInputError:
        return False
    return True


@given(shape=SIZES, acceleration=st.floats(1, 12), seed=st.integers(0, 99), which=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_line_masks_keep_the_acceleration_or_say_what_is_reachable(
    shape: tuple[int, int], acceleration: float, seed: int, which: int
) -> None:
    kind = LINES[which](acceleration=acceleration, center_lines=8)
    if not _is_reachable(kind, shape, seed):
        with pytest.raises(RefusedInputError, match="reachable"):
            kind(shape, seeded(seed))
        return
    mask = kind(shape, seeded(seed))
    assert_close_to_asked(mask, acceleration, unit=shape[0])
    assert torch.equal(mask, mask[:1].expand(shape))
    assert bool(mask[:, shape[1] // 2 - 4 : shape[1] // 2 + 4].all())


@given(shape=SIZES, acceleration=st.floats(1, 20), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_point_masks_keep_the_acceleration_exactly(
    shape: tuple[int, int], acceleration: float, seed: int
) -> None:
    assume(math.prod(shape) / acceleration > 65)
    rows, columns = (slice(n // 2 - 4, n // 2 + 4) for n in shape)
    for kind in (
        Gaussian2D(acceleration=acceleration, center=(8, 8)),
        Poisson2D(acceleration=acceleration, center=(8, 8)),
    ):
        mask = kind(shape, seeded(seed))
        assert int(mask.sum()) == round(math.prod(shape) / acceleration)
        assert bool(mask[rows, columns].all())


@given(n_lines=st.integers(40, 400), acceleration=st.sampled_from([4.0, 8.0]))
@example(n_lines=136, acceleration=8.0)  # lines at x.5, where the last bit decides
@example(n_lines=212, acceleration=4.0)
@settings(max_examples=30, deadline=None)
def test_fastmri_form_is_one_of_the_masks_of_fastmri(n_lines: int, acceleration: float) -> None:
    n_low = round(n_lines * (0.08 if acceleration == 4 else 0.04))
    kind = Equispaced1D(acceleration=acceleration, center_lines=n_low, form="fastmri")
    adjusted = acceleration * (n_low - n_lines) / (n_low * acceleration - n_lines)
    pad = n_lines // 2 - n_low // 2
    theirs = []
    for offset in range(max(1, round(adjusted))):
        lines = [False] * n_lines
        lines[pad : pad + n_low] = [True] * n_low
        for line in np.around(np.arange(offset, n_lines - 1, adjusted)).astype(int):
            lines[line] = True
        theirs.append(lines)
    try:
        ours = kind((2, n_lines), seeded(0))[0].tolist()
    except RefusedInputError:
        return
    assert ours in theirs


def test_constant_form_has_one_spacing() -> None:
    mask = Equispaced1D(acceleration=5, center_lines=16)((4, 192), seeded(3))[0]
    outer = torch.nonzero(mask & (torch.arange(192) < 88)).flatten()
    assert len(set(outer.diff().tolist())) == 1


def test_constant_form_names_what_is_reachable() -> None:
    with pytest.raises(RefusedInputError, match=r"nearest reachable: 4\.17 or 3\.84"):
        Equispaced1D(acceleration=4)((8, 192), seeded(0))


def test_gaussian_density_follows_the_formula() -> None:
    kind = Gaussian1D(acceleration=20, center_lines=0)
    masks = [kind((1, 61), seeded(seed))[0].double() for seed in range(2000)]
    draws = torch.stack(masks).sum(dim=0)
    x = (torch.arange(61) - 30) / 30.5
    density = torch.exp(-4 * math.log(2) * (x / 0.7) ** 2)
    # 3 of 61 lines without replacement: the densest are drawn a little less often than p says
    assert abs(float(draws[30] / draws[12]) / float(density[30] / density[12]) - 1) < 0.25
    assert abs(float(draws[:30].sum() / draws[31:].sum()) - 1) < 0.1


@pytest.mark.parametrize("fwhm", [0.005, 0.02])
def test_a_density_that_underflows_keeps_the_acceleration(fwhm: float) -> None:
    plane = Gaussian2D(acceleration=2, fwhm=fwhm)((192, 160), seeded(0))
    assert effective_acceleration(plane) == 2
    lines = Gaussian1D(acceleration=2, fwhm=fwhm)((192, 160), seeded(0))
    assert effective_acceleration(lines) == 2


def test_square_root_widens_the_density() -> None:
    narrow, wide = (
        Gaussian2D(acceleration=10, center=(0, 0), density=density)((200, 200), seeded(0))
        for density in ("plain", "sqrt")
    )
    spread = [torch.nonzero(mask).double().std() for mask in (narrow, wide)]
    assert 1.25 < float(spread[1] / spread[0]) < 1.42  # sqrt(2), less what the edge cuts off


def test_ellipse_lies_in_its_rectangle() -> None:
    kind = Gaussian2D(acceleration=120000 / 157, center=(20, 10), center_shape="ellipse")
    mask = kind((400, 300), seeded(0))
    rows, columns = torch.nonzero(mask, as_tuple=True)
    assert len(rows) == 157  # the area of the ellipse, pi 10 5
    assert (int(rows.min()), int(rows.max())) == (190, 210 - 1)
    assert (int(columns.min()), int(columns.max())) == (145, 155 - 1)


def test_cropped_corners_stay_empty() -> None:
    mask = Poisson2D(acceleration=4, corners="cropped")((90, 120), seeded(0))
    assert not mask[:8, :8].any()
    with pytest.raises(RefusedInputError, match="corners='sampled'"):
        Poisson2D(acceleration=1.1, corners="cropped")((90, 120), seeded(0))


@pytest.mark.parametrize(("axis", "edge"), [(-2, "low"), (-2, "high"), (-1, "low"), (-1, "high")])
def test_partial_fourier_drops_one_edge_of_another_mask(
    axis: Literal[-2, -1], edge: Literal["low", "high"]
) -> None:
    kind = PartialFourier(kept=0.7, axis=axis, edge=edge, base=Random1D(acceleration=2))
    mask = kind((100, 100), seeded(0))
    lines = mask.any(dim=-1 if axis == -2 else -2)
    dropped = lines[:30] if edge == "low" else lines[70:]
    assert not dropped.any()
    assert bool(mask[50, 50])
    assert effective_acceleration(PartialFourier(kept=0.7)((100, 100), seeded(0))) == 100 / 70


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Random1D(acceleration=0.5), "at least 1"),
        (Random1D(acceleration=math.nan), "at least 1"),
        (Random1D(acceleration=20), "reachable: 1 to 6.25"),
        (Random1D(acceleration=2, center_lines=101), "does not fit"),
        (Gaussian2D(acceleration=30), "reachable: 1 to 17.36"),
        (Gaussian2D(acceleration=4, fwhm=0), "fwhm must be positive"),
        (Poisson2D(acceleration=4, spread=0.5), "spread must be at least 1"),
        (PartialFourier(kept=0.5), r"kept must be in \(0.5, 1\]"),
        (PartialFourier(kept=0.504, edge="high"), "50 of 100 lines, DC not among them"),
    ],
)
def test_unreachable_requests_are_refused(kind: MaskKind, text: str) -> None:
    with pytest.raises(RefusedInputError, match=text):
        kind((100, 100), seeded(0))
