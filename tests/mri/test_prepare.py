"""Preparation: y = A x still holds, the scale can be undone, and every step is written down."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medconsist.errors import CalibrationError, RefusedInputError, ShapeError
from medconsist.mri.kspace import KSpace
from medconsist.mri.prepare import PrepareConfig, Prepared, prepare, prepare_without_maps
from medconsist.operators.fourier import Fourier
from tests.mri.asymmetric import asymmetric_coils, asymmetric_image, asymmetric_kspace

COILS, HEIGHT, WIDTH = 4, 32, 40
ROUNDING = 1e-5  # relative, of complex64 through a Fourier transform


def correlated_noise(generator: torch.Generator, *, samples: int = 4000) -> Tensor:
    """Return a noise scan whose coils share noise and differ in level by a factor of 4."""
    mixing = torch.eye(COILS) + 0.4 * torch.randn(COILS, COILS, generator=generator)
    mixing = torch.logspace(-1, -0.4, COILS)[:, None] * mixing
    white = torch.randn(COILS, samples, generator=generator, dtype=torch.complex64)
    return mixing.to(torch.complex64) @ white


def scan(mask: Tensor | None = None, **known: Tensor) -> KSpace:
    """Return noise-free k-space of the phantom, two slices, sampled where the mask is True."""
    full = torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)
    mask = full if mask is None else mask
    data = asymmetric_kspace(2, COILS, HEIGHT, WIDTH) * mask[:, None]
    return KSpace(data, mask, noise=known.get("noise"))


def random_mask(generator: torch.Generator, *, calibration: int = 12) -> Tensor:
    mask = torch.rand(1, HEIGHT, WIDTH, generator=generator) < 0.5
    half = calibration // 2
    centre = slice(HEIGHT // 2 - half, HEIGHT // 2 + half)
    mask[:, centre, WIDTH // 2 - half : WIDTH // 2 + half] = True
    return mask


def true_maps() -> Tensor:
    return asymmetric_coils(COILS, HEIGHT, WIDTH).to(torch.complex64)[None, None]


def misfit(prepared: Prepared, image: Tensor) -> float:
    """Return ``||A x - y|| / ||y||``."""
    measured = prepared.measurement
    difference = measured.operator(image[:, None]) - measured.samples
    return float(difference.norm() / measured.samples.norm())


def true_image() -> Tensor:
    slices = torch.arange(1, 3)[:, None, None]
    return (slices * asymmetric_image(HEIGHT, WIDTH)).to(torch.complex64)


def test_forward_model_holds_after_scaling(generator: torch.Generator) -> None:
    prepared = prepare(scan(random_mask(generator)), maps=true_maps())
    assert misfit(prepared, true_image() / prepared.scale) < ROUNDING


def test_forward_model_holds_after_whitening_with_given_maps(generator: torch.Generator) -> None:
    kspace = scan(random_mask(generator), noise=correlated_noise(generator))
    prepared = prepare(kspace, maps=true_maps())

    # Whitened maps have unit norm, so the image takes up their shading: x' = ||W S|| x.
    complete = prepare(replace(scan(), noise=kspace.noise), maps=true_maps())
    image = complete.measurement.operator.H(complete.measurement.samples)[:, 0]
    assert misfit(complete, image) < ROUNDING
    assert misfit(prepared, image * complete.scale / prepared.scale) < ROUNDING


def test_maps_that_are_not_whitened_would_not_fit(generator: torch.Generator) -> None:
    kspace = scan(noise=correlated_noise(generator))
    prepared = prepare(kspace, maps=true_maps())
    raw = replace(prepared.measurement, maps=true_maps().expand(2, -1, -1, -1, -1))
    image = raw.operator.H(raw.samples)[:, 0]
    assert misfit(replace(prepared, measurement=raw), image) > 0.1


def test_noise_is_white_at_the_stated_level_after_preparation(
    generator: torch.Generator,
) -> None:
    noise = correlated_noise(generator, samples=20_000)
    count = 2 * HEIGHT * WIDTH
    kspace = scan(noise=noise[:, count:])
    noisy = replace(
        kspace, data=kspace.data + noise[:, :count].reshape(COILS, 2, HEIGHT, WIDTH).movedim(1, 0)
    )

    with_noise, without = prepare(noisy), prepare(kspace)

    only = with_noise.measurement.samples * with_noise.scale
    only = (only - without.measurement.samples * without.scale).movedim(1, 0).reshape(COILS, -1)
    covariance = only @ only.mH / only.shape[1]
    sigma = with_noise.measurement.sigma * with_noise.scale
    # 2560 samples estimate each entry to about 2 %, four coils to 5 % at worst.
    torch.testing.assert_close(covariance.real / sigma**2, torch.eye(COILS), atol=0.08, rtol=0)
    level = float(noise.abs().square().mean().sqrt())
    assert sigma == pytest.approx(level, rel=0.02)


@pytest.mark.parametrize("factor", [1e-7, 2.0, 1e4])
def test_scale_takes_the_units_and_nothing_else(factor: float, generator: torch.Generator) -> None:
    kspace = scan(random_mask(generator), noise=correlated_noise(generator))
    assert kspace.noise is not None
    other = replace(kspace, data=factor * kspace.data, noise=factor * kspace.noise)

    one, two = prepare(kspace), prepare(other)

    assert two.scale == pytest.approx(factor * one.scale, rel=ROUNDING)
    assert two.measurement.sigma == pytest.approx(one.measurement.sigma, rel=ROUNDING)
    torch.testing.assert_close(
        two.measurement.samples, one.measurement.samples, rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(two.measurement.maps, one.measurement.maps, rtol=0, atol=1e-3)


def test_scale_is_the_99th_percentile_of_the_zero_filled_image() -> None:
    prepared = prepare(scan(), maps=true_maps())
    image = torch.linalg.vector_norm(Fourier().adjoint(scan().data), dim=1)
    assert prepared.scale == pytest.approx(float(image.quantile(0.99)), rel=0.05)
    assert prepared.measurement.samples.shape == scan().data.shape


def test_samples_stay_zero_outside_the_mask(generator: torch.Generator) -> None:
    mask = random_mask(generator)
    prepared = prepare(scan(mask, noise=correlated_noise(generator)))
    outside = ~prepared.measurement.mask[:, None].expand(2, COILS, -1, -1)
    assert torch.equal(prepared.measurement.mask, mask)
    assert not prepared.measurement.samples[outside].any()


def test_compression_keeps_the_stated_number_of_coils_and_the_image(
    generator: torch.Generator,
) -> None:
    kspace = scan(noise=correlated_noise(generator))
    prepared = prepare(kspace, config=PrepareConfig(compress_to=3))
    measured = prepared.measurement

    assert measured.samples.shape[1] == measured.maps.shape[2] == 3
    whole = prepare(kspace)
    image = whole.measurement.operator.H(whole.measurement.samples)[:, 0] * whole.scale
    fewer = measured.operator.H(measured.samples)[:, 0] * prepared.scale
    inside = asymmetric_image(HEIGHT, WIDTH)[3:-4, 4:-3] > 0
    error = (fewer.abs() - image.abs())[:, 3:-4, 4:-3][:, inside]
    assert float(error.norm() / image.norm()) < 0.05  # the fourth virtual coil is nearly empty


@pytest.mark.parametrize("pattern", ["points", "columns"])
def test_no_sample_outside_the_calibration_has_a_part_in_maps_or_virtual_coils(
    pattern: str, generator: torch.Generator
) -> None:
    mask = random_mask(generator)
    if pattern == "columns":
        mask = mask[:, HEIGHT // 2 : HEIGHT // 2 + 1].expand(-1, HEIGHT, -1).clone()
    config = PrepareConfig(compress_to=2, calibration=10)
    one = prepare(scan(mask), config=config)
    other = scan(mask)
    changed = torch.randn(other.data.shape, dtype=other.data.dtype, generator=generator)
    outside = (mask & ~one.calibration)[:, None]
    assert outside.any()
    two = prepare(replace(other, data=torch.where(outside, changed, other.data)), config=config)

    assert torch.equal(one.calibration, two.calibration)
    torch.testing.assert_close(one.measurement.maps, two.measurement.maps, rtol=0, atol=1e-4)
    inside = one.calibration.expand_as(one.measurement.samples)
    torch.testing.assert_close(
        one.measurement.samples[inside] * one.scale,
        two.measurement.samples[inside] * two.scale,
        rtol=1e-4,
        atol=1e-4,
    )


def test_calibration_is_what_was_sampled_and_no_larger_than_asked(
    generator: torch.Generator,
) -> None:
    mask = random_mask(generator, calibration=14)
    prepared = prepare(scan(mask), config=PrepareConfig(calibration=10))
    assert int(prepared.calibration.sum()) == 100
    assert bool((mask[0] | ~prepared.calibration).all())
    assert "10 x 10 samples" in prepared.kspace.notes[-1]


def test_given_maps_use_no_calibration_region(generator: torch.Generator) -> None:
    mask = torch.rand(1, HEIGHT, WIDTH, generator=generator) < 0.5
    mask[:, HEIGHT // 2, WIDTH // 2] = False
    prepared = prepare(scan(mask), maps=true_maps())
    assert not prepared.calibration.any()
    assert prepared.measurement.maps.shape == (2, 1, COILS, HEIGHT, WIDTH)
    with pytest.raises(CalibrationError, match="--maps FILE"):
        prepare(scan(mask))


def test_a_calibration_that_gives_no_maps_is_refused(generator: torch.Generator) -> None:
    noise = torch.randn(1, COILS, 20, 20, dtype=torch.complex64, generator=generator)
    only_noise = KSpace(noise, torch.ones(1, 20, 20, dtype=torch.bool))
    with pytest.raises(CalibrationError, match=r"no coil maps in slices \[0\].*--combine rss"):
        prepare(only_noise, config=PrepareConfig(calibration=6))


def test_given_maps_of_any_scale_get_unit_norm() -> None:
    shading = torch.linspace(0, 3, WIDTH)
    maps = prepare(scan(), maps=shading * true_maps()).measurement.maps
    norm = torch.linalg.vector_norm(maps, dim=2)
    torch.testing.assert_close(norm[..., 1:], torch.ones_like(norm[..., 1:]))
    assert not maps[..., 0].any()


def test_every_step_is_a_note(generator: torch.Generator) -> None:
    with_noise = prepare(scan(noise=correlated_noise(generator)), config=PrepareConfig())
    without = prepare(scan())
    assert any("Prewhitened with 4000 noise samples" in note for note in with_noise.kspace.notes)
    assert any("No noise scan: one noise level" in note for note in without.kspace.notes)
    assert any("not whitened" in note for note in without.kspace.notes)
    assert not any("E|n|^2 = 1" in note for note in with_noise.kspace.notes)  # units of the file
    assert (with_noise.noise_from, without.noise_from) == ("noise scan", "calibration region")
    assert any("Coil maps by ESPIRiT" in note for note in without.kspace.notes)


def test_note_on_coil_levels_leaves_out_a_dead_coil() -> None:
    kspace = scan()
    kspace.data[:, 1] = 0
    (note,) = [note for note in prepare(kspace).kspace.notes if "No noise scan" in note]
    factor = float(note.split("factor of ")[1].split(")")[0])
    assert 1 <= factor < 100


def test_prepare_without_maps_keeps_the_units_of_the_file(generator: torch.Generator) -> None:
    kspace = scan()
    assert torch.equal(prepare_without_maps(kspace).data, kspace.data)
    white = torch.randn(COILS, 50_000, generator=generator, dtype=torch.complex64)
    ready = prepare_without_maps(replace(kspace, noise=0.01 * white))
    # White noise of one level leaves the samples as they are, but for its estimation.
    torch.testing.assert_close(ready.data, kspace.data, rtol=0.05, atol=0.5)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="drop one"):
        prepare(scan(), config=PrepareConfig(compress_to=2), maps=true_maps())
    with pytest.raises(ShapeError, match=r"do not fit k-space .* allowed: \(2 or 1, sets, 4"):
        prepare(scan(), maps=true_maps()[..., 1:])
    with pytest.raises(RefusedInputError, match="at least the kernel of 6"):
        PrepareConfig(calibration=5)
