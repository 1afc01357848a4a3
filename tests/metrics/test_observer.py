"""The channelised Hotelling observer beside what theory says of Gaussian patches."""

import math

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.observer import (
    Trials,
    crossed_observer,
    half_of,
    hotelling_template,
    with_internal_noise,
)
from medconsist.metrics.observer_channels import (
    channel_outputs,
    dense_gaussian_channels,
    laguerre_gauss_channels,
)

SIDE, SIGMA, GROUPS = 17, 0.5, 40
CHANNELS = dense_gaussian_channels(SIDE, count=5, first=0.03)


def signal(height: float, *, fwhm: float = 4.0) -> Tensor:
    steps = (torch.arange(SIDE, dtype=torch.float64) - SIDE // 2) ** 2
    return height * torch.exp(-4 * math.log(2) * (steps[:, None] + steps[None, :]) / fwhm**2)


def white(count: int, generator: Generator) -> Tensor:
    drawn = torch.randn(count, SIDE, SIDE, dtype=torch.float64, generator=generator)
    return SIGMA * drawn


def trials_of(present: Tensor, absent: Tensor, *, groups: int = GROUPS) -> Trials:
    of_present, of_absent = (torch.arange(len(one)) % groups for one in (present, absent))
    outputs = (channel_outputs(one, CHANNELS) for one in (present, absent))
    one, other = outputs
    return Trials(present=one, absent=other, of_present=of_present, of_absent=of_absent)


def expected(height: float, covariance: Tensor | None = None) -> float:
    """Return ``sqrt(dv^T K^-1 dv)`` with ``dv = U^T s`` and ``K = U^T C U``."""
    rows = CHANNELS.flatten(1)
    pixels = (
        SIGMA**2 * torch.eye(SIDE**2, dtype=torch.float64) if covariance is None else covariance
    )
    mean = rows @ signal(height).flatten()
    return float((mean @ torch.linalg.solve(rows @ pixels @ rows.T, mean)).sqrt())


@pytest.fixture
def half(generator: Generator) -> tuple[int, ...]:
    return half_of(range(GROUPS), generator=generator)


def test_white_noise_gives_the_detectability_of_theory(
    generator: Generator, half: tuple[int, ...]
) -> None:
    present = white(4000, generator) + signal(0.7)
    found = crossed_observer(trials_of(present, white(4000, generator)), first_half=half)
    wanted = expected(0.7)
    # d' of 4,000 + 4,000 patches has a standard error of about sqrt((2 + d'^2 / 4) / 4000) = 0.03
    assert float(found.detectability.mean()) == pytest.approx(wanted, abs=0.1)
    normal = 0.5 * (1 + math.erf(wanted / 2))
    assert float(found.area.mean()) == pytest.approx(normal, abs=0.01)


def test_for_orthonormal_channels_theory_is_the_length_of_what_passes() -> None:
    rows = torch.linalg.qr(CHANNELS.flatten(1).T).Q.T
    length = float(torch.linalg.vector_norm(rows @ signal(0.7).flatten())) / SIGMA
    assert expected(0.7) == pytest.approx(length, rel=1e-9)


def test_correlated_noise_is_whitened_by_the_template(
    generator: Generator, half: tuple[int, ...]
) -> None:
    distance = (torch.arange(SIDE)[:, None] - torch.arange(SIDE)[None, :]).abs().double()
    line = 0.7**distance
    root = torch.linalg.cholesky(line)
    covariance = SIGMA**2 * torch.kron(line, line)
    present, absent = (root @ white(4000, generator) @ root.T for _ in range(2))
    found = crossed_observer(trials_of(present + signal(2.0), absent), first_half=half)
    assert float(found.detectability.mean()) == pytest.approx(expected(2.0, covariance), abs=0.12)
    # the matched filter, which takes the noise for white, is worse by theory
    mean = CHANNELS.flatten(1) @ signal(2.0).flatten()
    spread = CHANNELS.flatten(1) @ covariance @ CHANNELS.flatten(1).T
    unwhitened = float(mean @ mean / (mean @ spread @ mean).sqrt())
    assert float(found.detectability.mean()) > unwhitened + 0.2


def test_units_and_a_common_background_do_not_matter(
    generator: Generator, half: tuple[int, ...]
) -> None:
    present, absent = white(400, generator) + signal(0.5), white(400, generator)
    found = crossed_observer(trials_of(present, absent), first_half=half)
    scaled = crossed_observer(trials_of(1e6 * present + 7, 1e6 * absent + 7), first_half=half)
    torch.testing.assert_close(scaled.area, found.area)
    # 7 beside noise of 5e5, and channels whose sum is 0 but for rounding
    torch.testing.assert_close(scaled.detectability, found.detectability, rtol=1e-6, atol=1e-6)


def test_without_a_signal_nothing_is_found(generator: Generator, half: tuple[int, ...]) -> None:
    found = crossed_observer(
        trials_of(white(2000, generator), white(2000, generator)), first_half=half
    )
    # without a signal both halves give one inner product, of standard deviation about 0.015
    assert float(found.area.mean()) == pytest.approx(0.5, abs=0.045)
    # trained and tested on the same patches it would find something: the halves keep it honest
    every = trials_of(white(60, generator), white(60, generator), groups=4)
    template = hotelling_template(every)
    scores = torch.cat([every.present @ template, every.absent @ template])
    assert area_under_roc(scores, torch.arange(120) < 60) > 0.55


def test_values_per_group_have_the_figure_as_their_mean(
    generator: Generator, half: tuple[int, ...]
) -> None:
    trials = trials_of(white(400, generator) + signal(0.5), white(400, generator))
    found = crossed_observer(trials, first_half=half)
    others = set(range(GROUPS)) - set(half)
    areas = []
    for trained, tested in ((half, others), (others, half)):
        template, there = hotelling_template(trials.of(trained)), trials.of(tested)
        pairs = (there.present @ template)[:, None] > (there.absent @ template)[None, :]
        areas.append(float(pairs.double().mean()))
    assert float(found.area.mean()) == pytest.approx(sum(areas) / 2, rel=1e-12)
    assert found.groups == tuple(range(GROUPS))


def test_patches_that_one_template_is_fitted_to_do_not_judge_it(
    generator: Generator, half: tuple[int, ...]
) -> None:
    present, absent = white(400, generator) + signal(0.5), white(400, generator)
    trials = trials_of(present, absent)
    before = crossed_observer(trials, first_half=half)
    strange = trials.present.clone()
    strange[trials.of_present == half[0]] += 100.0
    after = crossed_observer(
        Trials(
            present=strange,
            absent=trials.absent,
            of_present=trials.of_present,
            of_absent=trials.of_absent,
        ),
        first_half=half,
    )
    # the other half's template is the same, so of the first half only the strange group moves up
    rest = [place for place in half if place != half[0]]
    template = hotelling_template(trials.of(set(range(GROUPS)) - set(half)))
    scores = [
        float((one[trials.of_present == rest[0]] @ template).mean())
        for one in (trials.present, strange)
    ]
    assert scores[0] == scores[1]
    assert not torch.equal(before.area, after.area)


def test_halves_hold_each_group_once_and_follow_the_generator() -> None:
    one, again = (half_of(range(9), generator=Generator().manual_seed(3)) for _ in range(2))
    assert one == again
    assert len(set(one)) == 4
    assert half_of(range(9), generator=Generator().manual_seed(4)) != one


def test_internal_noise_lowers_the_detectability_as_theory_says(
    generator: Generator, half: tuple[int, ...]
) -> None:
    trials = trials_of(white(4000, generator) + signal(0.7), white(4000, generator))
    assert torch.equal(
        with_internal_noise(trials, share=0.0, generator=generator).present, trials.present
    )
    noisy = with_internal_noise(trials, share=2.0, generator=generator)
    rows = CHANNELS.flatten(1)
    spread = SIGMA**2 * rows @ rows.T
    spread = spread + 2.0 * torch.diag(spread.diagonal())
    mean = rows @ signal(0.7).flatten()
    wanted = float((mean @ torch.linalg.solve(spread, mean)).sqrt())
    found = crossed_observer(noisy, first_half=half)
    assert float(found.detectability.mean()) == pytest.approx(wanted, abs=0.1)
    with pytest.raises(RefusedInputError, match="0 or more times the variance"):
        with_internal_noise(trials, share=-1.0, generator=generator)


def test_channels_pass_the_band_of_their_formula() -> None:
    side, sigma, width = 129, 0.04, 1.67
    (channel,) = dense_gaussian_channels(side, count=1, first=sigma, width=width)
    passed = torch.fft.fft2(torch.fft.ifftshift(channel)).real
    rows = torch.fft.fftfreq(side, dtype=torch.float64)
    squared = rows[:, None] ** 2 + rows[None, :] ** 2
    formula = torch.exp(-squared / 2 / (width * sigma) ** 2) - torch.exp(-squared / 2 / sigma**2)
    formula = formula / torch.linalg.vector_norm(formula) * side
    # the patch cuts off what is 1e-14 of the peak, and aliases are smaller still
    torch.testing.assert_close(passed, formula, rtol=0, atol=1e-6)


def test_laguerre_gauss_channels_are_orthonormal_and_the_first_is_a_gaussian() -> None:
    channels = laguerre_gauss_channels(65, count=4, width_px=12.0)
    rows = channels.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-6)
    assert channels[0, 32, 32] == pytest.approx(math.sqrt(2) / 12)
    # L_2(x) = 1 - 2 x + x^2 / 2 at x = 2 pi r^2 / a^2
    x = 2 * math.pi * 25 / 144
    wanted = math.sqrt(2) / 12 * math.exp(-x / 2) * (1 - 2 * x + x**2 / 2)
    assert float(channels[2, 32, 37]) == pytest.approx(wanted)


def test_fewer_patches_than_channels_are_refused(generator: Generator) -> None:
    few = trials_of(white(8, generator), white(8, generator), groups=4)
    with pytest.raises(RefusedInputError, match="more of each than channels"):
        crossed_observer(few, first_half=(0, 1))


def test_channels_that_small_patches_cut_off_are_refused(generator: Generator) -> None:
    published = dense_gaussian_channels(SIDE)
    outputs = channel_outputs(white(400, generator), published)
    group = torch.arange(400) % 4
    trials = Trials(present=outputs, absent=outputs, of_present=group, of_absent=group)
    with pytest.raises(RefusedInputError, match="cannot be told apart"):
        hotelling_template(trials)


def test_what_is_not_allowed_is_refused(generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match="an odd side"):
        dense_gaussian_channels(16)
    with pytest.raises(RefusedInputError, match="above 0, 1 and 1"):
        dense_gaussian_channels(17, ratio=1.0)
    with pytest.raises(RefusedInputError, match=r"up to 0\.5"):
        dense_gaussian_channels(17, count=3, first=0.3)
    with pytest.raises(RefusedInputError, match="positive number of pixels"):
        laguerre_gauss_channels(17, width_px=0.0)
    outputs, group = torch.randn(8, 2, generator=generator), torch.arange(8) % 4
    with pytest.raises(RefusedInputError, match="both classes in every group"):
        Trials(present=outputs, absent=outputs, of_present=group, of_absent=group % 2)
    trials = Trials(present=outputs, absent=outputs, of_present=group, of_absent=group)
    with pytest.raises(RefusedInputError, match="two or more groups in each"):
        crossed_observer(trials, first_half=(0,))
    with pytest.raises(RefusedInputError, match="all of the trials"):
        crossed_observer(trials, first_half=(0, 9))
