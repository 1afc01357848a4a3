"""The classical reconstructions: against dense algebra, closed forms, and each other."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.mri.forward import Measurement, sense_operator
from medconsist.mri.methods import (
    CgSense,
    CompressedSensing,
    Method,
    Zerofilled,
    combine_sets,
    method_named,
)
from medconsist.mri.zerofilled_rss import rss_images
from medconsist.operators.fourier import Fourier
from tests.mri.asymmetric import asymmetric_coils, asymmetric_image
from tests.mri.linear_scan import Scan, make_scan

Regulariser = Literal["wavelet", "tv"]
METHODS: list[Method] = [
    Zerofilled(),
    CgSense(),
    CompressedSensing(scale=1.3, iterations=15),
    CompressedSensing(scale=1.3, iterations=5, regulariser="tv"),
]


@pytest.fixture
def scan(generator: torch.Generator) -> Scan:
    """Two slices of a known object at acceleration about 2, noisy."""
    return make_scan(generator)


def error(image: Tensor, truth: Tensor) -> float:
    return float(torch.linalg.vector_norm(image - truth) / torch.linalg.vector_norm(truth))


def fully_sampled(image: Tensor, coils: Tensor) -> Measurement:
    """Noise-free samples of images ``slices height width`` by unit-norm coils."""
    maps = coils.expand(len(image), 1, *coils.shape)
    mask = torch.ones(1, *image.shape[1:], dtype=torch.bool)
    samples = sense_operator(mask, maps)((image + 0j)[:, None])
    return Measurement(samples, mask, maps, sigma=1.0)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_stack_equals_slice_by_slice(method: Method, scan: Scan) -> None:
    both = scan.measurement
    both = replace(both, samples=both.samples * torch.tensor([1.0, 30.0])[:, None, None, None])
    together = method(both)
    for index in range(2):
        one = replace(
            both, samples=both.samples[index : index + 1], maps=both.maps[index : index + 1]
        )
        alone = method(one)[0]
        assert error(together[index], alone) < 1e-9  # rounding, through 15 iterations


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_method_runs_twice_alike_and_draws_nothing(method: Method, scan: Scan) -> None:
    state = torch.get_rng_state()
    assert torch.equal(method(scan.measurement), method(scan.measurement))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_precision_follows_the_input(method: Method, dtype: torch.dtype, scan: Scan) -> None:
    given = scan.measurement
    image = method(replace(given, samples=given.samples.to(dtype), maps=given.maps.to(dtype)))
    assert image.dtype == dtype
    assert error(image.to(torch.complex128), method(given)) < 1e-4


@pytest.mark.parametrize(
    "method",
    [
        Zerofilled(),
        CgSense(lambda_=0.0),
        CompressedSensing(lambda_=0.0),
        CompressedSensing(lambda_=0.0, regulariser="tv", iterations=20),
    ],
    ids=repr,
)
def test_full_noise_free_samples_give_the_object_in_place(method: Method) -> None:
    image = torch.stack([asymmetric_image(), 2 * asymmetric_image()]).double()
    found = method(fully_sampled(image, asymmetric_coils().to(torch.complex128)))
    assert error(found, image + 0j) < 1e-6  # no flip, transposition, shift, or other scale


@pytest.mark.parametrize("method", METHODS[1:], ids=repr)
def test_regularised_methods_beat_the_zero_filled_image(method: Method, scan: Scan) -> None:
    zerofilled = error(Zerofilled()(scan.measurement), scan.truth)
    assert error(method(scan.measurement), scan.truth) < 0.8 * zerofilled


@pytest.mark.parametrize("regulariser", ["wavelet", "tv"])
def test_sparsity_beats_least_squares(regulariser: Regulariser, generator: torch.Generator) -> None:
    scan = make_scan(generator, share=0.3, sigma=0.1)
    least_squares = min(
        error(CgSense(lambda_=weight)(scan.measurement), scan.truth)
        for weight in (0.003, 0.03, 0.3)
    )
    sparse = CompressedSensing(lambda_=0.02, regulariser=regulariser)
    assert error(sparse(scan.measurement), scan.truth) < least_squares


def test_zerofilled_is_the_adjoint(scan: Scan) -> None:
    given = scan.measurement
    coils = Fourier().H(torch.where(given.mask[:, None], given.samples, 0))
    expected = (given.maps[:, 0].conj() * coils).sum(1)
    assert torch.allclose(Zerofilled()(given), expected, atol=1e-12)


def test_rss_of_full_samples_is_the_magnitude() -> None:
    image = asymmetric_image()[None].double()
    samples = fully_sampled(image, asymmetric_coils().to(torch.complex128)).samples
    assert torch.allclose(rss_images(samples), image, atol=1e-12)


@pytest.mark.parametrize("sets", [1, 2])
def test_cg_sense_solves_the_dense_normal_equations(sets: int, generator: torch.Generator) -> None:
    maps = torch.randn(1, sets, 3, 5, 4, dtype=torch.complex128, generator=generator)
    mask = torch.rand(1, 5, 4, generator=generator) < 0.6
    samples = torch.randn(1, 3, 5, 4, dtype=torch.complex128, generator=generator) * mask
    operator = sense_operator(mask, maps)
    units = torch.eye(sets * 20, dtype=torch.complex128).reshape(-1, 1, sets, 5, 4)
    dense = torch.stack([operator(unit).flatten() for unit in units], dim=1)
    expected = torch.linalg.solve(
        dense.mH @ dense + 0.3 * torch.eye(sets * 20), dense.mH @ samples.flatten()
    )
    found = CgSense(lambda_=0.3, iterations=80).solve(Measurement(samples, mask, maps, 1.0))
    assert torch.allclose(found.flatten(), expected, atol=1e-8)


def test_tv_moves_two_plateaus_towards_each_other_by_weight_over_width() -> None:
    image = torch.zeros(1, 4, 8, dtype=torch.float64)
    image[..., 3:] = 2.0
    given = fully_sampled(image, torch.ones(1, 4, 8, dtype=torch.complex128))
    method = CompressedSensing(lambda_=0.5, regulariser="tv", scale=1.0, iterations=300)
    expected = torch.where(image > 0, image - 0.5 / 5, image + 0.5 / 3)
    assert torch.allclose(method(given), expected + 0j, atol=1e-4)  # ADMM converges slowly


@pytest.mark.parametrize("regulariser", ["wavelet", "tv"])
def test_estimated_scale_makes_the_weight_independent_of_units(
    regulariser: Regulariser, scan: Scan
) -> None:
    method = CompressedSensing(regulariser=regulariser, iterations=5)
    scaled = replace(scan.measurement, samples=scan.measurement.samples * 5e-7)
    assert error(method(scaled) / 5e-7, method(scan.measurement)) < 1e-9


def test_fixed_scale_is_the_estimated_one_and_stays(scan: Scan) -> None:
    method = CompressedSensing(iterations=5)
    fixed = method.fixed(scan.measurement)
    assert isinstance(fixed, CompressedSensing)
    assert fixed.scale is not None
    assert torch.equal(fixed(scan.measurement), method(scan.measurement))
    doubled = replace(scan.measurement, samples=scan.measurement.samples * 2)
    assert fixed.fixed(doubled) == fixed
    assert CgSense().fixed(doubled) == CgSense()


@pytest.mark.parametrize("regulariser", ["wavelet", "tv"])
def test_maps_of_any_norm_leave_the_problem_the_same(regulariser: Regulariser, scan: Scan) -> None:
    # 1/2 ||g A x - y||^2 + w R(x) with u = g x is 1/2 ||A u - y||^2 + (w / g) R(u).
    method = CompressedSensing(lambda_=0.04, regulariser=regulariser, scale=1.0, iterations=5)
    loud = replace(scan.measurement, maps=scan.measurement.maps * 4)
    found = replace(method, lambda_=0.16)(loud) * 4
    assert error(found, method(scan.measurement)) < 1e-9


def test_stronger_weight_leaves_fewer_wavelet_coefficients(scan: Scan) -> None:
    images = [CompressedSensing(lambda_=weight)(scan.measurement) for weight in (0.001, 0.1)]
    rough, smooth = (float((image.diff(dim=-1).abs()).sum()) for image in images)
    assert smooth < rough


def test_two_sets_are_combined_by_energy_with_the_phase_of_the_first() -> None:
    images = torch.stack([torch.tensor([3j, 0j]), torch.tensor([4 + 0j, 2 + 0j])])[None, :, None]
    assert torch.allclose(combine_sets(images), torch.tensor([[[5j, 2 + 0j]]]))
    assert torch.equal(combine_sets(images[:, :1]), images[:, 0])


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_second_empty_set_changes_nothing(method: Method, scan: Scan) -> None:
    given = scan.measurement
    two = replace(given, maps=torch.cat([given.maps, torch.zeros_like(given.maps)], dim=1))
    solved = method.solve(two)
    assert solved.shape == (2, 2, *given.samples.shape[2:])
    assert not solved[:, 1].any()
    assert error(method(two), method(given)) < 1e-9


@pytest.mark.parametrize("regulariser", ["wavelet", "tv"])
def test_nan_samples_are_refused(regulariser: Regulariser, scan: Scan) -> None:
    method = CompressedSensing(regulariser=regulariser)
    broken = replace(scan.measurement, samples=scan.measurement.samples * float("nan"))
    with pytest.raises(RefusedInputError, match="gives the scale nan"):
        method(broken)
    with pytest.raises(ConvergenceError, match="not finite"):
        replace(method, scale=1.0)(broken)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"lambda_": -0.1}, "lambda got -0.1"),
        ({"lambda_": float("nan")}, "lambda got nan"),
        ({"iterations": 0}, "iterations got 0"),
        ({"scale": 0.0}, r"scale got 0\.0"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, float], named: str) -> None:
    with pytest.raises(RefusedInputError, match=f"{named}; allowed"):
        CompressedSensing(**parameters)  # type: ignore[arg-type]  # the wrong value is the test


def test_methods_are_found_by_name() -> None:
    assert method_named("zerofilled") == Zerofilled()
    assert method_named("cgsense", lambda_=0.02) == CgSense(lambda_=0.02)
    assert method_named("cs", regulariser="tv") == CompressedSensing(regulariser="tv")


def test_a_parameter_that_a_method_lacks_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"--lambda 0\.1 was given, but zerofilled has no"):
        method_named("zerofilled", lambda_=0.1)
    with pytest.raises(RefusedInputError, match="--regulariser tv was given, but cgsense has none"):
        method_named("cgsense", regulariser="tv")
    with pytest.raises(RefusedInputError, match="allowed: cs, cgsense, zerofilled"):
        method_named("varnet")


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_images_on_cuda_equal_those_on_cpu(method: Method, scan: Scan) -> None:
    given = scan.measurement
    moved = Measurement(given.samples.cuda(), given.mask.cuda(), given.maps.cuda(), given.sigma)
    image = method(moved)
    assert image.is_cuda
    assert error(image.cpu(), method(given)) < 1e-8
