"""Virtual coils: unitary when all are kept, the least loss when fewer are."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.coil_compression import CoilCombinations
from medconsist.mri.kspace import KSpace
from medconsist.mri.readers import read_kspace
from medconsist.operators.fourier import Fourier
from tests.mri.asymmetric import asymmetric_coils, asymmetric_image, asymmetric_kspace

ROUNDING = 2e-5  # two transforms, a matrix product of 8 coils, complex64


def scan(kind: str, generator: torch.Generator, *, coils: int = 8) -> KSpace:
    """Return noisy k-space of a kind: readout along height, along width, or none."""
    samples = asymmetric_kspace(2, coils)
    samples = samples + 0.01 * torch.randn(samples.shape, dtype=samples.dtype, generator=generator)
    mask = torch.ones(1, 20, 28, dtype=torch.bool)
    if kind == "height":
        mask[..., 1::2] = False
    if kind == "width":
        mask[:, 1::2] = False
    if kind == "none":
        mask[:, 1::2, 1::2] = False
    return KSpace(samples * mask[:, None], mask)


def rss(samples: Tensor) -> Tensor:
    """Return the root sum of squares of the coil images."""
    norm: Tensor = torch.linalg.vector_norm(Fourier().adjoint(samples), dim=1)
    return norm


def virtual_coils(kspace: KSpace, n_coils: int) -> tuple[KSpace, float]:
    """Return k-space of the virtual coils, and the share of the energy in it."""
    return CoilCombinations.of(kspace, n_coils).compress(kspace)


@pytest.mark.parametrize("kind", ["height", "width", "none"])
def test_all_virtual_coils_leave_the_rss_unchanged(kind: str, generator: torch.Generator) -> None:
    kspace = scan(kind, generator)
    compressed, energy_kept = virtual_coils(kspace, 8)
    assert CoilCombinations.of(kspace, 8).readout == (None if kind == "none" else kind)
    before, after = rss(kspace.data), rss(compressed.data)
    assert (before - after).abs().max() <= ROUNDING * before.max()
    assert energy_kept == pytest.approx(1, abs=ROUNDING)


@pytest.mark.parametrize("kind", ["height", "width", "none"])
def test_fewer_coils_keep_most_energy_and_the_mask(kind: str, generator: torch.Generator) -> None:
    kspace = scan(kind, generator)
    compressed, energy_kept = virtual_coils(kspace, 3)
    assert compressed.data.shape == (2, 3, 20, 28)
    assert 0.99 < energy_kept < 1
    assert (compressed.data.abs().sum(1)[~kspace.mask.expand(2, -1, -1)] == 0).all()
    said = "one matrix per slice" if kind == "none" else f"readout along {kind}"
    assert said in compressed.notes[-1]
    assert "of the energy kept" in compressed.notes[-1]


def test_geometric_form_keeps_at_least_the_energy_of_one_matrix(
    generator: torch.Generator,
) -> None:
    kspace = scan("height", generator)
    flat = kspace.data.flatten(2)
    singular = torch.linalg.svdvals(flat).square()
    one_matrix = float(singular[:, :2].sum() / singular.sum())
    assert virtual_coils(kspace, 2)[1] >= one_matrix - ROUNDING


def test_no_other_rotation_brings_neighbours_closer(generator: torch.Generator) -> None:
    matrices = CoilCombinations.of(scan("height", generator), 3).matrices
    middle = matrices.shape[1] // 2
    after, before = matrices[:, middle + 1 :], matrices[:, middle:-1]
    aligned = torch.linalg.matrix_norm(after - before)
    for _ in range(20):
        mixing = torch.randn(3, 3, dtype=torch.complex64, generator=generator)
        rotation = torch.linalg.qr(torch.eye(3) + 0.3 * mixing).Q
        rotated = torch.linalg.matrix_norm(rotation @ after - before)
        assert (rotated >= aligned - ROUNDING).all()


def test_rows_are_orthonormal_so_white_noise_stays_white(generator: torch.Generator) -> None:
    matrices = CoilCombinations.of(scan("height", generator), 3).matrices
    gram = matrices @ matrices.mH
    assert (gram - torch.eye(3)).abs().max() <= ROUNDING


@pytest.mark.parametrize("kind", ["height", "width", "none"])
def test_compressed_maps_predict_the_compressed_samples(
    kind: str, generator: torch.Generator
) -> None:
    kspace = replace(scan(kind, generator), data=asymmetric_kspace(2, 8))
    combinations = CoilCombinations.of(kspace, 4)
    along = -1 if combinations.readout == "width" else -2
    maps = asymmetric_coils(8).to(torch.complex64).expand(2, 8, 20, 28).movedim(along, 1)
    matrices = combinations.matrices.expand(-1, maps.shape[1], -1, -1)
    virtual = torch.einsum("sxvc,sxcp->sxvp", matrices, maps).movedim(1, along)
    image = asymmetric_image() * torch.tensor([1.0, 2.0])[:, None, None]
    error = Fourier()(virtual * image[:, None]) - combinations.compress(kspace)[0].data
    assert error.abs().max() <= ROUNDING * kspace.data.abs().max()


@pytest.mark.parametrize("n_coils", [0, 9])
def test_number_of_virtual_coils_out_of_range_is_refused(
    n_coils: int, generator: torch.Generator
) -> None:
    with pytest.raises(RefusedInputError, match=r"1\.\.8"):
        virtual_coils(scan("height", generator), n_coils)


@pytest.mark.data
def test_real_slice_keeps_98_percent_in_four_coils(data_dir: Path) -> None:
    compressed, kept = virtual_coils(read_kspace(data_dir / "mri" / "sigpy_cartesian_ksp.npy"), 4)
    assert "one matrix per slice" in compressed.notes[-1]
    assert kept == pytest.approx(0.9844, abs=0.001)
