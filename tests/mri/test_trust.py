"""The trust record says what the samples say: each score against a known truth."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.evidence.determinacy import noise_weight, not_determined
from medconsist.mri.evidence.features import (
    correlate_feature,
    feature_patch,
    object_mask,
    reference_intensity,
)
from medconsist.mri.evidence.refutability import (
    feature_energy,
    matched_filter,
    projected_residual,
    refutable_contrast,
)
from medconsist.mri.evidence.residual import GroupResidual, ResidualSums, degrees_of_freedom
from medconsist.mri.evidence.withheld import WithheldConfig, withheld_error, withhold
from medconsist.mri.forward import Measurement
from medconsist.mri.methods import CgSense, CompressedSensing
from medconsist.mri.prepare import Prepared, prepare
from medconsist.mri.readers import read_kspace
from medconsist.mri.trust import MriTrust, TrustConfig, judge
from medconsist.results.trust import TrustRecord
from tests.mri.linear_scan import (
    SHAPE,
    Scan,
    make_scan,
    maps,
    predict,
    random_mask,
    region,
    ridge,
    scan_of,
    white,
)


@pytest.fixture(scope="module")
def real_slice(data_dir: Path) -> Prepared:
    return prepare(read_kspace(data_dir / "mri" / "sigpy_cartesian_ksp.npy"))


@pytest.fixture
def scan(generator: Generator) -> Scan:
    return make_scan(generator)


def groups_of(
    measurement: Measurement, weight: float, generator: Generator
) -> dict[str, GroupResidual]:
    method = ridge(weight)
    fitted = predict(measurement, method(measurement))
    dof = degrees_of_freedom(
        lambda samples: predict(measurement, method(measurement.with_samples(samples))),
        measurement,
        fitted,
        turns=[torch.randint(4, fitted.shape, generator=generator) for _ in range(2)],
    )
    sums = ResidualSums()
    sums.add(measurement, fitted, dof)
    return {group.name: group for group in sums.groups()}


def feature_at(row: int, column: int, fwhm: float, shape: tuple[int, int] = SHAPE) -> Tensor:
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in shape)
    squared = (rows[:, None] - row) ** 2 + (columns - column) ** 2
    return torch.exp(-4 * math.log(2) * squared / fwhm**2).to(torch.complex128)


# Residual against expectation


def random_signal(generator: Generator, *, signal: float, sigma: float) -> Scan:
    coils = maps()
    truth = white(generator, (8, *SHAPE), signal) * (coils[0, 0].abs().sum(0) > 0)
    noise = white(generator, (8, *coils.shape[2:]), sigma)
    return scan_of(truth, random_mask(generator), coils, noise, sigma)


def test_least_squares_leaves_one_minus_dof_over_n(generator: Generator) -> None:
    scan = make_scan(generator, n_slices=8)
    group = groups_of(scan.measurement, 1e-9, generator)["all"]
    # n = 24,000: the mean of |r|^2 has a standard deviation of 0.007, the trace of 0.004
    assert group.chi_square == pytest.approx(group.expectation, abs=0.03)
    unknowns = 8 * int((maps()[0, 0].abs().sum(0) > 0).sum())
    assert group.expectation == pytest.approx(1 - unknowns / group.n, abs=0.02)


def test_the_wiener_filter_leaves_one_minus_dof_over_n_in_every_group(
    generator: Generator,
) -> None:
    scan = random_signal(generator, signal=0.3, sigma=0.3)
    for group in groups_of(scan.measurement, 1.0, generator).values():
        # four standard deviations of the group mean and of its trace together
        assert group.chi_square == pytest.approx(group.expectation, abs=6 / math.sqrt(group.n))


def test_too_much_smoothing_lies_above_and_noise_fit_below_the_expectation(
    generator: Generator,
) -> None:
    scan = random_signal(generator, signal=0.3, sigma=0.3)
    smooth = groups_of(scan.measurement, 5.0, generator)["all"]
    noisy = groups_of(scan.measurement, 0.2, generator)["all"]
    assert smooth.chi_square > smooth.expectation + 0.05
    assert noisy.chi_square < noisy.expectation - 0.02  # three standard deviations


def test_a_fault_of_the_coil_maps_raises_the_residual(scan: Scan, generator: Generator) -> None:
    sound = groups_of(scan.measurement, 1e-3, generator)
    wrong = scan.measurement.maps.clone()
    wrong[:, :, 1] *= torch.polar(
        torch.ones(SHAPE[1], dtype=torch.float64), torch.linspace(-1.5, 1.5, SHAPE[1]).double()
    )
    faulty = groups_of(replace(scan.measurement, maps=wrong), 1e-3, generator)
    assert sound["all"].chi_square < sound["all"].expectation + 0.15
    assert faulty["all"].chi_square > faulty["all"].expectation + 1
    worst = max((n for n in faulty if "coil" in n), key=lambda n: faulty[n].chi_square)
    assert worst == "coil_1"


def test_a_spike_raises_the_residual_of_its_coil_and_band(scan: Scan, generator: Generator) -> None:
    samples = scan.measurement.samples.clone()
    row, column = scan.measurement.mask[0, :3].nonzero()[0].tolist()
    samples[:, 2, row, column] += 5.0
    groups = groups_of(scan.measurement.with_samples(samples), 1e-3, generator)
    excess = {name: group.chi_square - group.expectation for name, group in groups.items()}
    assert max((n for n in excess if "coil" in n), key=excess.__getitem__) == "coil_2"
    assert max((n for n in excess if "band" in n), key=excess.__getitem__) == "band_4"
    assert excess["all"] > 0.5


def test_a_shift_between_maps_and_samples_raises_the_residual(
    scan: Scan, generator: Generator
) -> None:
    shifted = replace(scan.measurement, maps=scan.measurement.maps.roll(3, -1))
    group = groups_of(shifted, 1e-3, generator)["all"]
    assert group.chi_square > group.expectation + 1


def test_groups_divide_the_samples(scan: Scan, generator: Generator) -> None:
    groups = groups_of(scan.measurement, 1e-2, generator)
    n = scan.measurement.n_samples
    assert groups["all"].n == n
    for kind in ("coil", "band"):
        members = [group for name, group in groups.items() if name.startswith(kind)]
        assert sum(group.n for group in members) == n
        whole = sum(group.n * group.chi_square for group in members) / n
        assert whole == pytest.approx(groups["all"].chi_square, rel=1e-9)


# Withheld evidence


def split_of(scan: Scan, generator: Generator, **config: object) -> tuple[Tensor, Tensor]:
    split = withhold(
        scan.measurement.mask,
        keep_region=scan.keep_region,
        config=WithheldConfig(**config),  # type: ignore[arg-type]  # fields by name
        generator=generator,
    )
    return split.keep, split.hold


def test_withheld_samples_have_no_influence_on_the_image(scan: Scan, generator: Generator) -> None:
    keep, hold = split_of(scan, generator)
    samples = scan.measurement.samples.clone().requires_grad_()
    seen = replace(scan.measurement, samples=samples).visible(keep)
    (slope,) = torch.autograd.grad(ridge(1e-2)(seen).abs().square().sum(), samples)
    assert (slope * hold[:, None]).abs().max() == 0
    assert (slope * keep[:, None]).abs().max() > 0


def test_the_kept_region_is_never_withheld_and_the_rest_divides(
    scan: Scan, generator: Generator
) -> None:
    keep, hold = split_of(scan, generator, fraction=0.3)
    assert not (hold & region()).any()
    assert torch.equal(keep | hold, scan.measurement.mask)
    outside = int((scan.measurement.mask & ~region()).sum())
    assert int(hold.sum()) == round(0.3 * outside)


def test_the_truth_predicts_withheld_samples_to_the_noise_floor(generator: Generator) -> None:
    scan = make_scan(generator, n_slices=8)
    split = withhold(
        scan.measurement.mask,
        keep_region=region(),
        config=WithheldConfig(fraction=0.5),
        generator=generator,
    )
    error = withheld_error(lambda _: scan.truth[:, None], scan.measurement, split)
    # n = 10,000: a standard deviation of 0.01
    assert error.chi_square == pytest.approx(1.0, abs=0.04)
    assert error.nrmse == pytest.approx(error.nrmse_floor, rel=0.02)
    assert error.noise_corrected < 0.04 * error.nrmse_floor**2


def test_a_worse_image_predicts_withheld_samples_worse(scan: Scan, generator: Generator) -> None:
    split = withhold(
        scan.measurement.mask, keep_region=region(), config=WithheldConfig(), generator=generator
    )
    good, bad = (
        withheld_error(CgSense(lambda_=weight).solve, scan.measurement, split)
        for weight in (0.01, 10.0)
    )
    assert 1 < good.chi_square < bad.chi_square


def test_a_mask_of_lines_withholds_whole_lines(generator: Generator) -> None:
    mask = torch.zeros(1, *SHAPE, dtype=torch.bool)
    mask[:, ::2] = True
    mask[:, 15:25] = True
    split = withhold(
        mask, keep_region=region(), config=WithheldConfig(fraction=0.3), generator=generator
    )
    rows = split.hold[0].any(1)
    assert rows.any()
    assert split.hold[0, rows].all()
    assert not rows[15:25].any()


def test_lines_of_a_pattern_without_lines_are_refused(scan: Scan, generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match="not made of whole lines"):
        split_of(scan, generator, unit="line")


def test_nothing_to_withhold_is_refused(generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match="take a larger fraction"):
        withhold(region(), keep_region=region(), config=WithheldConfig(), generator=generator)


def test_an_impossible_fraction_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"fraction 1.5 .* allowed"):
        WithheldConfig(fraction=1.5)


# Not determined by the data


def test_a_fully_sampled_image_is_determined_to_the_noise_level(scan: Scan) -> None:
    full = replace(scan.measurement, mask=torch.ones(1, *SHAPE, dtype=torch.bool))
    weight = noise_weight(0.05, 1.0)
    unknown = not_determined(full, scan.truth[:, None], weight=weight)
    expected = weight / (1 + weight) * scan.truth[:, None]
    torch.testing.assert_close(unknown, expected, rtol=1e-9, atol=1e-12)


def test_an_image_that_no_sample_sees_is_not_determined_at_all(scan: Scan) -> None:
    blind = replace(scan.measurement, mask=torch.zeros(1, *SHAPE, dtype=torch.bool))
    unknown = not_determined(blind, scan.truth[:, None], weight=1e-3)
    assert torch.equal(unknown, scan.truth[:, None])


def test_not_determined_equals_the_dense_formula(generator: Generator) -> None:
    coils = maps(3, (8, 6))
    mask = torch.rand(1, 8, 6, generator=generator) < 0.5
    measurement = Measurement(torch.zeros(1, 3, 8, 6, dtype=torch.complex128), mask, coils, 0.1)
    basis = torch.eye(48, dtype=torch.complex128).view(48, 1, 1, 8, 6)
    gram = torch.stack([measurement.operator.gram(e).flatten() for e in basis], dim=1)
    x = white(generator, (1, 1, 8, 6), 1.0)
    weight = 0.05
    dense = torch.linalg.solve(gram + weight * torch.eye(48), gram @ x.flatten())
    unknown = not_determined(measurement, x, weight=weight)
    # 30 iterations at a condition of 21 leave less than 1e-5
    torch.testing.assert_close(unknown.flatten(), x.flatten() - dense, rtol=0, atol=1e-5)


# Refutability


@pytest.mark.parametrize("fwhm", [1.5, 4.0, 8.0])
def test_feature_energy_equals_the_operator(scan: Scan, fwhm: float) -> None:
    energy = feature_energy(scan.measurement, fwhm)
    stride = max(1, int(fwhm) // 2)
    for place in ((20, 16), (20, 20), (8, 16), (4, 32)):
        row, column = (n // stride * stride for n in place)
        delta = feature_at(row, column, fwhm).expand(2, 1, -1, -1)
        direct = predict(scan.measurement, delta[:, 0]).abs().square().sum((1, 2, 3))
        # the profile is cut off at 3e-4
        torch.testing.assert_close(energy[:, row, column], direct, rtol=2e-3, atol=1e-4)


def test_interpolated_feature_energy_is_near_the_operator_inside(scan: Scan) -> None:
    energy = feature_energy(scan.measurement, 8.0)
    delta = feature_at(21, 18, 8.0)
    direct = predict(scan.measurement, delta.expand(2, -1, -1))[0].abs().square().sum()
    assert float(energy[0, 21, 18]) == pytest.approx(float(direct), rel=0.01)


@pytest.mark.parametrize("side", [7, 10])  # of sides over 4, those that the lattice overshoots
def test_feature_energy_of_a_tiny_plane_lies_where_the_feature_is(
    side: int, generator: Generator
) -> None:
    coils = maps(shape=(side, side)) + 0.1
    mask = torch.rand(1, side, side, generator=generator) < 0.5
    samples = torch.zeros(1, *coils.shape[2:], dtype=coils.dtype)
    measurement = Measurement(samples, mask, coils, sigma=1.0)
    energy = feature_energy(measurement, 8.0)
    for row in range(0, side, 4):
        delta = feature_at(row, 4, 8.0, (side, side))[None]
        direct = predict(measurement, delta).abs().square().sum()
        assert float(energy[0, row, 4]) == pytest.approx(float(direct), rel=2e-3)


def test_refutable_contrast_is_three_deviations_of_the_statistic(scan: Scan) -> None:
    energy = feature_energy(scan.measurement, 4.0)
    contrast = refutable_contrast(scan.measurement, energy, reference=2.0)
    shift = math.sqrt(2) * (2.0 * contrast * energy.sqrt()) / scan.measurement.sigma
    inside = contrast.isfinite()
    torch.testing.assert_close(shift[inside], torch.full_like(shift[inside], 3.0))


def test_where_no_coil_sees_nothing_can_be_refuted(scan: Scan) -> None:
    energy = feature_energy(scan.measurement, 1.5)
    contrast = refutable_contrast(scan.measurement, energy, reference=1.0)
    assert contrast[0, 0, 0] == math.inf
    assert contrast[0, 20, 18].isfinite()


def test_the_energy_does_not_depend_on_how_many_rows_are_worked_on(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = feature_energy(scan.measurement, 4.0)
    monkeypatch.setattr("medconsist.mri.evidence.refutability._PATCH_ELEMENTS", 1)
    torch.testing.assert_close(feature_energy(scan.measurement, 4.0), whole)


def test_the_matched_filter_of_noise_is_standard_normal(generator: Generator) -> None:
    scan = make_scan(generator, n_slices=8)
    energy = feature_energy(scan.measurement, 2.5)
    projected = projected_residual(scan.measurement, scan.truth, scan.noise, fwhm_px=2.5)
    z = matched_filter(scan.measurement, projected, energy=energy)
    inside = z[object_mask(scan.truth)]
    # about 750 independent places: standard deviations .037 of the mean, .026 of the spread
    assert float(inside.mean()) == pytest.approx(0.0, abs=0.12)
    assert float(inside.std()) == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("invented", [1.0, -1.0])
def test_an_invented_lesion_is_the_peak_of_the_matched_filter(scan: Scan, invented: float) -> None:
    measurement, place = scan.measurement, (24, 15)
    energy = feature_energy(measurement, 4.0)
    d_prime = 10.0
    peak = d_prime * measurement.sigma / math.sqrt(2) / float(energy[0, place[0], place[1]].sqrt())
    phase = scan.truth[0, place[0], place[1]].sgn()
    image = scan.truth.clone()
    image[0] += invented * peak * phase * feature_at(*place, 4.0)
    residual = measurement.samples - predict(measurement, image)
    projected = projected_residual(measurement, image, residual, fwhm_px=4.0)
    z = matched_filter(measurement, projected, energy=energy)
    found = divmod(int(z[0].abs().argmax()), SHAPE[1])
    assert math.dist(found, place) <= 1.5
    # noise moves the statistic by one standard deviation
    assert float(z[0, place[0], place[1]]) == pytest.approx(-invented * d_prime, abs=3.0)
    assert float(z[1].abs().max()) < 6


def test_a_lost_lesion_shows_in_a_linear_reconstruction_that_smooths_it(
    scan: Scan, generator: Generator
) -> None:
    smoothed = scan.truth.clone()
    lesion = 0.5 * scan.truth[0].sgn() * feature_at(24, 15, 4.0)
    samples = scan.measurement.samples + predict(scan.measurement, lesion.expand(2, -1, -1))
    measurement = scan.measurement.with_samples(samples)
    trust = judge(
        lambda _: smoothed,
        measurement,
        smoothed,
        keep_region=scan.keep_region,
        generator=generator,
    )
    z = trust.maps["matched_filter"]
    assert math.dist(divmod(int(z[0].argmax()), SHAPE[1]), (24, 15)) <= 2
    assert float(z[0].max()) > 3


def test_the_slices_of_a_volume_do_not_know_each_other(generator: Generator) -> None:
    scan = random_signal(generator, signal=1.0, sigma=0.3)
    whole = scan.measurement
    first = replace(whole, samples=whole.samples[:1], maps=whole.maps[:1])
    energy = feature_energy(whole, 2.5)
    torch.testing.assert_close(energy[:1], feature_energy(first, 2.5))
    unknown = not_determined(whole, scan.truth[:, None], weight=0.1)[:1]
    alone = not_determined(first, scan.truth[:1, None], weight=0.1)
    torch.testing.assert_close(unknown, alone)
    projected = projected_residual(whole, scan.truth, scan.noise, fwhm_px=2.5)
    alone = projected_residual(first, scan.truth[:1], scan.noise[:1], fwhm_px=2.5)
    torch.testing.assert_close(projected[:1], alone)


@pytest.mark.data
def test_detectability_on_the_real_slice_grows_with_width_as_measured_before(
    real_slice: Prepared,
) -> None:
    measurement = real_slice.measurement
    norms = []
    for fwhm in (1.5, 2.5, 4.0, 8.0):
        feature = feature_at(106, 90, fwhm, (230, 180)).to(torch.complex64)
        norms.append(float(predict(measurement, feature[None]).norm()))
    # d' 1.25 / 2.6 / 5.0 / 12 of the reference table, rounded to two digits
    ratios = [norm / norms[0] for norm in norms]
    assert ratios == pytest.approx([1.0, 2.08, 4.0, 9.6], rel=0.02)


# The record


def record(scan: Scan, *, seed: int = 1, config: TrustConfig | None = None) -> MriTrust:
    method = ridge(1e-2)
    return judge(
        method,
        scan.measurement,
        method(scan.measurement),
        keep_region=scan.keep_region,
        config=config,
        generator=Generator().manual_seed(seed),
    )


def test_the_record_holds_every_score_and_map_that_the_design_names(scan: Scan) -> None:
    trust = record(scan)
    names = {score.name for score in trust.scores}
    assert {"withheld_error", "withheld_nrmse", "withheld_noise_corrected", "residual"} <= names
    assert {"residual_coil_3", "residual_band_4", "not_determined_share"} <= names
    assert {"refutable_contrast", "matched_filter_peak"} <= names
    assert set(trust.maps) == {"not_determined", "refutable_contrast", "matched_filter"}
    assert all(image.shape == scan.truth.shape for image in trust.maps.values())
    stored = TrustRecord(scores=trust.scores, maps=tuple(trust.maps), settings=trust.settings)
    assert stored.settings["not_determined_iterations"] == 30


def test_the_residual_is_never_called_quality(scan: Scan) -> None:
    residuals = [score for score in record(scan).scores if score.name.startswith("residual")]
    assert all("Not a quality score" in score.meaning for score in residuals)


def test_the_same_generator_gives_the_same_record(scan: Scan) -> None:
    one, same, other = record(scan), record(scan), record(scan, seed=2)
    assert one.scores == same.scores
    assert one.scores != other.scores


def test_a_record_costs_the_stated_reconstructions(scan: Scan, generator: Generator) -> None:
    calls = []

    def method(measurement: Measurement) -> Tensor:
        calls.append(measurement)
        return ridge(1e-2)(measurement)

    config = TrustConfig(withheld=WithheldConfig(splits=2), probes=3)
    image = ridge(1e-2)(scan.measurement)
    trust = judge(
        method,
        scan.measurement,
        image,
        keep_region=scan.keep_region,
        config=config,
        generator=generator,
    )
    assert len(calls) == 5
    assert {"withheld_error_0", "withheld_error_1"} <= {score.name for score in trust.scores}


def test_a_constant_factor_of_samples_and_noise_changes_no_score(scan: Scan) -> None:
    larger = replace(
        scan.measurement, samples=8 * scan.measurement.samples, sigma=8 * scan.measurement.sigma
    )
    for one, other in zip(
        record(scan).scores, record(replace(scan, measurement=larger)).scores, strict=True
    ):
        assert one.value == pytest.approx(other.value, rel=1e-6, abs=1e-9)


def test_single_precision_gives_the_same_record(scan: Scan) -> None:
    single = replace(
        scan.measurement,
        samples=scan.measurement.samples.to(torch.complex64),
        maps=scan.measurement.maps.to(torch.complex64),
    )
    trust = record(replace(scan, measurement=single))
    assert trust.maps["matched_filter"].dtype == torch.float32
    for one, other in zip(record(scan).scores, trust.scores, strict=True):
        # rounding over the step of 0.1 sigma, and CG that stops elsewhere
        assert one.value == pytest.approx(other.value, rel=1e-3, abs=1e-4)
        assert one.expectation == pytest.approx(other.expectation, abs=1e-3)


def in_two_sets(scan: Scan) -> Measurement:
    """Soft SENSE: the maps of each half of the plane are a set."""
    upper = torch.arange(SHAPE[0])[:, None] < 20
    coils = scan.measurement.maps
    sets = torch.cat([torch.where(upper, coils, 0), torch.where(upper, 0, coils)], dim=1)
    return replace(scan.measurement, maps=sets)


def test_several_map_sets_give_the_record_of_one_where_they_say_the_same(scan: Scan) -> None:
    method = CgSense(lambda_=0.01)
    values = []
    for measurement in (scan.measurement, in_two_sets(scan)):
        image = method(measurement)
        trust = judge(
            method,
            measurement,
            image,
            keep_region=scan.keep_region,
            generator=Generator().manual_seed(1),
        )
        values.append([s.value for s in trust.scores if s.name.startswith(("with", "res", "not"))])
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_compressed_sensing_has_a_record(scan: Scan, generator: Generator) -> None:
    method = CompressedSensing(scale=1.0)
    trust = judge(
        method,
        scan.measurement,
        method(scan.measurement),
        keep_region=scan.keep_region,
        generator=generator,
    )
    score = next(score for score in trust.scores if score.name == "residual")
    assert score.expectation is not None
    assert 0.1 < score.expectation < 1


def test_a_method_that_estimates_its_scale_has_the_record_of_one_scale_for_all_probes(
    scan: Scan,
) -> None:
    free = CompressedSensing()
    fixed = free.fixed(scan.measurement)
    expectations = []
    for method in (free, fixed):
        trust = judge(
            method,
            scan.measurement,
            free(scan.measurement),
            keep_region=scan.keep_region,
            generator=Generator().manual_seed(1),
        )
        expectations.append([s.expectation for s in trust.scores if s.name.startswith("residual")])
    assert expectations[0] == expectations[1]


def test_without_samples_to_withhold_the_record_says_so_and_keeps_the_rest(
    scan: Scan, generator: Generator
) -> None:
    everything = replace(scan, keep_region=scan.measurement.mask)
    trust = record(everything)
    names = {score.name for score in trust.scores}
    assert not any(name.startswith("withheld") for name in names)
    assert {"residual", "refutable_contrast", "not_determined_share"} <= names
    assert "no withheld evidence" in trust.notes[0]
    assert record(scan).notes == ()


def test_several_map_sets_and_a_plain_function_are_refused(
    scan: Scan, generator: Generator
) -> None:
    two = in_two_sets(scan)
    with pytest.raises(RefusedInputError, match="got 2 map sets and a method without"):
        judge(ridge(1.0), two, scan.truth, keep_region=scan.keep_region, generator=generator)


def test_an_unknown_noise_level_is_refused(scan: Scan, generator: Generator) -> None:
    silent = replace(scan.measurement, sigma=0.0)
    with pytest.raises(RefusedInputError, match="noise level is 0"):
        judge(ridge(1.0), silent, scan.truth, keep_region=scan.keep_region, generator=generator)


def test_an_image_of_another_size_is_refused(scan: Scan, generator: Generator) -> None:
    with pytest.raises(ShapeError, match="does not fit samples"):
        judge(
            ridge(1.0),
            scan.measurement,
            scan.truth[:1],
            keep_region=scan.keep_region,
            generator=generator,
        )


def test_an_empty_image_is_refused(scan: Scan, generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match="no object to judge"):
        judge(
            ridge(1.0),
            scan.measurement,
            0 * scan.truth,
            keep_region=scan.keep_region,
            generator=generator,
        )


def test_no_probe_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="got 0 probes"):
        TrustConfig(probes=0)


# Features


def test_correlation_with_a_feature_is_the_sum_over_its_neighbourhood(
    generator: Generator,
) -> None:
    images = white(generator, (2, 20, 18), 1.0)
    patch = feature_patch(2.5, like=images)
    half = patch.shape[0] // 2
    window = images[:, 10 - half : 11 + half, 9 - half : 10 + half]
    direct = (patch * window).sum((1, 2))
    torch.testing.assert_close(correlate_feature(images, 2.5)[:, 10, 9], direct)


def test_a_feature_has_half_its_peak_at_half_its_width(generator: Generator) -> None:
    patch = feature_patch(4.0, like=white(generator, (1,), 1.0))
    middle = patch.shape[0] // 2
    assert float(patch[middle, middle]) == 1.0
    assert float(patch[middle, middle + 2]) == pytest.approx(0.5)


def test_the_reference_intensity_is_that_of_typical_tissue(scan: Scan) -> None:
    assert reference_intensity(scan.truth) == pytest.approx(1.0)


def test_a_feature_without_width_is_refused(scan: Scan) -> None:
    with pytest.raises(RefusedInputError, match="fwhm_px must be a positive number"):
        feature_energy(scan.measurement, 0.0)
