"""ESPIRiT against a naive form, known maps, and its own promises."""

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.errors import CalibrationError, RefusedInputError
from medconsist.mri import espirit as module
from medconsist.mri.espirit import EspiritConfig, espirit
from medconsist.operators.fourier import Fourier
from tests.mri.linear_scan import maps as smooth_maps

SHAPE = (40, 36)
SMALL = EspiritConfig(kernel=3, threshold=1e-4)


def calibration_of(coils: Tensor, generator: torch.Generator, side: int = 16) -> Tensor:
    """The centre of k-space of a random textured object, `1 coils side side`."""
    shape = coils.shape[-2:]
    texture = torch.randn(*shape, dtype=torch.complex128, generator=generator)
    samples = Fourier()(coils * (texture + 3))
    top, left = (n // 2 - side // 2 for n in shape)
    return samples[..., top : top + side, left : left + side]


@pytest.fixture
def calibration(generator: torch.Generator) -> Tensor:
    return calibration_of(smooth_maps(shape=SHAPE)[0], generator)


def naive_gram(calibration: Tensor, row: int, column: int, config: EspiritConfig) -> np.ndarray:
    """G(r) of the docstring by loops over patches, kernels, coils and offsets."""
    samples = calibration.numpy()
    coils, height, width = samples.shape
    side = config.kernel
    patches = [
        samples[:, i : i + side, j : j + side].ravel()
        for i in range(height - side + 1)
        for j in range(width - side + 1)
    ]
    vectors, values, _ = np.linalg.svd(np.array(patches).T, full_matrices=False)
    gram = np.zeros((coils, coils), dtype=complex)
    for k in np.flatnonzero((values / values[0]) ** 2 > config.threshold):
        kernel = vectors[:, k].reshape(coils, side, side)
        image = np.zeros(coils, dtype=complex)
        for i in range(side):
            for j in range(side):
                angle = (
                    i * (row - SHAPE[0] // 2) / SHAPE[0] + j * (column - SHAPE[1] // 2) / SHAPE[1]
                )
                image += kernel[:, i, j] * np.exp(2j * np.pi * angle)
        gram += np.outer(image, image.conj()) / side**2
    return gram


@pytest.mark.parametrize(("row", "column"), [(0, 0), (13, 30), (20, 18), (39, 35)])
def test_map_is_leading_eigenvector_of_naive_gram(
    calibration: Tensor, row: int, column: int
) -> None:
    found = espirit(calibration, SHAPE, config=SMALL)
    values, vectors = np.linalg.eigh(naive_gram(calibration[0], row, column, SMALL))
    assert found.eigenvalues[0, 0, row, column] == pytest.approx(values[-1], abs=1e-9)
    overlap = abs(np.vdot(vectors[:, -1], found.maps[0, 0, :, row, column].numpy()))
    # A cropped map is 0; else both have unit length.
    assert overlap == pytest.approx(float(values[-1] > SMALL.crop), abs=1e-9)


def test_true_maps_are_found_inside_the_object(generator: torch.Generator) -> None:
    truth = smooth_maps(shape=SHAPE)
    found = espirit(calibration_of(truth[0], generator, side=24), SHAPE).maps
    overlap = (truth.conj() * found).sum(2).abs()
    rows, columns = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    inside = rows**2 + columns**2 < 0.5
    # These maps end at the edge of the object, which six lags describe only nearly.
    assert overlap[0, 0, inside].min() > 0.995


def test_maps_have_unit_norm_or_are_zero(calibration: Tensor) -> None:
    found = espirit(calibration, SHAPE)
    norm = torch.linalg.vector_norm(found.maps, dim=2)
    kept = found.eigenvalues > 0.8
    assert kept.any()
    assert not kept.all()
    assert torch.allclose(norm, kept.double(), atol=1e-12)


def test_eigenvalues_lie_between_zero_and_one(calibration: Tensor) -> None:
    values = espirit(calibration, SHAPE, config=EspiritConfig(sets=4)).eigenvalues
    assert values.min() > -1e-12
    assert values.max() < 1 + 1e-12


def test_phase_is_that_of_the_principal_coil_component(calibration: Tensor) -> None:
    found = espirit(calibration, SHAPE).maps[0, 0]
    component = torch.linalg.svd(calibration[0].flatten(1)).U[:, 0]
    component = component / torch.sgn(component[-1])
    projection = (component.conj()[:, None, None] * found).sum(0)
    assert projection.imag.abs().max() < 1e-12
    assert projection.real.min() >= 0


def test_scale_of_the_data_does_not_matter(calibration: Tensor) -> None:
    maps = espirit(calibration, SHAPE).maps
    assert torch.allclose(espirit(calibration * 7e-6, SHAPE).maps, maps, atol=1e-9)


def test_order_of_the_coils_moves_with_the_maps(calibration: Tensor) -> None:
    order = torch.tensor([2, 0, 1, 3])  # the last coil fixes the phase, so it stays
    maps = espirit(calibration, SHAPE).maps
    assert torch.allclose(espirit(calibration[:, order], SHAPE).maps, maps[:, :, order], atol=1e-9)


def test_stack_equals_slice_by_slice(calibration: Tensor, generator: torch.Generator) -> None:
    other = calibration_of(smooth_maps(shape=SHAPE)[0], generator)
    stacked = espirit(torch.cat([calibration, other]), SHAPE)
    for index, one in enumerate((calibration, other)):
        assert torch.equal(stacked.maps[index], espirit(one, SHAPE).maps[0])


def test_blocks_of_rows_do_not_show(calibration: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = espirit(calibration, SHAPE).maps
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 1)
    assert torch.allclose(espirit(calibration, SHAPE).maps, whole, atol=1e-12)


def test_precision_follows_the_input(calibration: Tensor) -> None:
    double = espirit(calibration, SHAPE)
    single = espirit(calibration.to(torch.complex64), SHAPE)
    assert single.maps.dtype == torch.complex64
    assert single.eigenvalues.dtype == torch.float32
    assert double.maps.dtype == torch.complex128
    clear = (double.eigenvalues - 0.8).abs() > 1e-3  # away from the crop, where rounding decides
    difference = (single.maps - double.maps).abs().amax(2)[clear]
    assert difference.max() < 1e-3  # single precision over the gap of the eigenvalues


def test_bart_form_converges_to_exact_where_the_first_coil_sees(calibration: Tensor) -> None:
    exact, bart = (
        espirit(calibration, SHAPE, config=EspiritConfig(eigenvectors=form))
        for form in ("exact", "bart")
    )
    values = espirit(calibration, SHAPE, config=EspiritConfig(sets=2)).eigenvalues[0]
    # What is left of the second eigenvector after 30 iterations: 0.7^30 / 0.5 = 5e-5.
    seen = (exact.maps[0, 0, 0].abs() > 0.5) & (values[1] < 0.7 * values[0])
    assert seen.any()
    assert torch.allclose(bart.maps[0, 0][:, seen], exact.maps[0, 0][:, seen], atol=1e-4)


@pytest.mark.parametrize("form", ["exact", "bart"])
def test_two_sets_are_orthonormal(calibration: Tensor, form: Literal["exact", "bart"]) -> None:
    config = EspiritConfig(sets=2, eigenvectors=form, crop=0.0)
    pixels = espirit(calibration, SHAPE, config=config).maps[0].permute(2, 3, 0, 1)
    assert torch.allclose(pixels @ pixels.mH, torch.eye(2, dtype=pixels.dtype), atol=1e-9)


def test_folded_object_needs_a_second_set(generator: torch.Generator) -> None:
    coils = smooth_maps(shape=(80, 36))[0]
    texture = torch.randn(80, 36, dtype=torch.complex128, generator=generator) + 3
    whole = Fourier()(coils * texture)
    folded = whole[..., ::2, :]  # every second row: half the field of view
    samples = folded[..., 8:32, 6:30]
    second = espirit(samples, SHAPE, config=EspiritConfig(sets=2)).eigenvalues[0, 1]
    # Rows 20 and 60 of the object meet in row 0; row 40 is alone in row 20.
    assert second[0, 18] > EspiritConfig().crop > second[20, 18]


def test_first_coil_without_signal_leaves_no_nan_in_the_bart_form(calibration: Tensor) -> None:
    calibration[:, 0] = 0
    config = EspiritConfig(eigenvectors="bart")
    found = espirit(calibration, SHAPE, config=config)
    assert found.maps.isfinite().all()
    assert not found.maps.any()


@pytest.mark.parametrize("sides", [(5, 24), (24, 5)])
def test_region_smaller_than_kernel_is_refused(sides: tuple[int, int]) -> None:
    with pytest.raises(CalibrationError, match=r"--maps.*--method zerofilled --combine rss"):
        espirit(torch.ones(1, 4, *sides, dtype=torch.complex64), SHAPE)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_region_without_finite_signal_is_refused(calibration: Tensor, value: float) -> None:
    stack = torch.cat([calibration, torch.full_like(calibration, value)])
    with pytest.raises(CalibrationError, match="all zero or not finite"):
        espirit(stack, SHAPE)


def test_more_sets_than_coils_are_refused(calibration: Tensor) -> None:
    with pytest.raises(RefusedInputError, match="asked for 5 map sets of 4 coils"):
        espirit(calibration, SHAPE, config=EspiritConfig(sets=5))


@pytest.mark.parametrize(
    ("name", "value"), [("kernel", 1), ("threshold", 0.0), ("crop", 1.0), ("sets", 0)]
)
def test_config_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(RefusedInputError, match=f"{name}={value}; allowed"):
        EspiritConfig(**{name: value})  # type: ignore[arg-type]  # the wrong value is the test


@pytest.mark.gpu
def test_maps_on_cuda_equal_those_on_cpu(calibration: Tensor) -> None:
    for form in ("exact", "bart"):
        config = EspiritConfig(sets=2, eigenvectors=form)
        on_cpu = espirit(calibration, SHAPE, config=config)
        on_gpu = espirit(calibration.cuda(), SHAPE, config=config)
        assert on_gpu.maps.is_cuda
        assert torch.allclose(on_gpu.maps.cpu(), on_cpu.maps, atol=1e-8)
