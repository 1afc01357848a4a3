"""The simulator: what it draws, on which scale, and what it hides."""

import dataclasses
import importlib
import inspect
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri import simulate as simulator
from medconsist.mri.kspace import KSpace
from medconsist.mri.phantom.tissue import T1W, T2W, TISSUES, Anatomy, Contrast, tissue_index
from medconsist.mri.phantom.tissue_file import TissueFile
from medconsist.mri.simulate import ScanConfig, SimulatedScan, generator_hash, simulate
from medconsist.operators.fourier import Fourier

SMALL = ScanConfig(shape=(80, 72), voxel_size_mm=(6.0, 3.0, 3.0), n_slices=2, n_coils=4)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def scan() -> SimulatedScan:
    return simulate(dataclasses.replace(SMALL, lesions=(6, 6)), seeded(1))


def _sense(kspace: KSpace, maps: torch.Tensor) -> torch.Tensor:
    return (maps.conj() * Fourier().adjoint(kspace.data)).sum(dim=1)


def test_same_generator_gives_the_same_scan(scan: SimulatedScan) -> None:
    again = simulate(scan.config, seeded(1))
    assert torch.equal(scan.kspace.data, again.kspace.data)
    assert torch.equal(scan.reference, again.reference)


def test_another_generator_gives_another_anatomy(scan: SimulatedScan) -> None:
    other = simulate(scan.config, seeded(2))
    same = (scan.labels == other.labels)[scan.head & other.head].double().mean()
    assert float(same) < 0.85
    assert not torch.equal(scan.head, other.head)


def test_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    simulate(SMALL, seeded(1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_shapes_units_and_silence_about_orientation(scan: SimulatedScan) -> None:
    kspace = scan.kspace
    assert kspace.data.shape == (2, 4, 80, 72)
    assert kspace.data.dtype == torch.complex64
    assert bool(kspace.mask.all())
    assert kspace.voxel_size_mm == (6.0, 3.0, 3.0)
    assert (kspace.contrast, kspace.field_strength_t) == ("FLAIR", 1.5)
    assert kspace.affine is None
    assert "not of a person" in kspace.notes[0]
    assert {field.name for field in dataclasses.fields(kspace)}.isdisjoint({"maps", "sigma"})


def test_head_is_asymmetric(scan: SimulatedScan) -> None:
    mirrored = scan.reference.abs().flip(-1)
    change = torch.linalg.vector_norm(mirrored - scan.reference.abs())
    assert float(change / torch.linalg.vector_norm(mirrored)) > 0.2


def test_slices_of_a_volume_differ(scan: SimulatedScan) -> None:
    assert float((scan.labels[0] == scan.labels[1])[scan.head.all(dim=0)].double().mean()) < 0.97


def test_all_main_tissues_are_there(scan: SimulatedScan) -> None:
    wanted = {tissue_index(n) for n in ("muscle", "fat", "bone", "csf", "grey", "white")}
    assert wanted <= set(scan.labels.flatten().tolist())
    outside = scan.labels[~scan.head]
    assert bool((outside == tissue_index("background")).all())


def test_noise_scan_and_samples_share_one_covariance() -> None:
    # almost all noise: the covariance of the samples is that of the noise
    scan = simulate(dataclasses.replace(SMALL, snr=1e-4, noise_samples=20000), seeded(3))
    assert scan.kspace.noise is not None
    of_scan, of_data = (
        torch.cov(samples)
        for samples in (scan.kspace.noise, scan.kspace.data.transpose(0, 1).flatten(1))
    )
    distance = torch.linalg.matrix_norm(of_scan - of_data) / torch.linalg.matrix_norm(of_scan)
    assert float(distance) < 0.08  # sqrt(4 coils / 11520 samples) = 0.02, with room
    correlated = of_scan.abs() - torch.diag(of_scan.diagonal().abs())
    assert float(correlated.max() / of_scan.abs().max()) > 0.1


def test_noise_scan_can_be_left_out() -> None:
    assert simulate(dataclasses.replace(SMALL, noise_samples=0), seeded(1)).kspace.noise is None


def test_whitened_signal_over_noise_is_the_one_asked_for() -> None:
    config = dataclasses.replace(SMALL, snr=25.0, noise_samples=40000)
    scan = simulate(config, seeded(4))
    assert scan.kspace.noise is not None
    covariance = scan.kspace.noise @ scan.kspace.noise.mH / 40000
    level = math.sqrt(float(covariance.diagonal().real.mean()))
    snr = float(scan.reference.abs()[scan.head].mean()) / level
    assert snr == pytest.approx(25.0, rel=0.02)  # covariance from 40000 samples


@pytest.mark.parametrize("noise_samples", [0, 40000])
def test_reference_is_the_noise_free_sense_image(noise_samples: int) -> None:
    """Whiten with the noise scan, combine, and meet the reference, shading included."""
    config = dataclasses.replace(SMALL, snr=2000.0, noise_samples=noise_samples)
    scan = simulate(config, seeded(5))
    data = scan.kspace.data
    if scan.kspace.noise is not None:
        covariance = scan.kspace.noise @ scan.kspace.noise.mH / noise_samples
        level = math.sqrt(float(covariance.diagonal().real.mean()))
        whitener = torch.linalg.inv(torch.linalg.cholesky(covariance))
        data = level * torch.einsum("dc,schw->sdhw", whitener, data)
    rss = torch.linalg.vector_norm(Fourier().adjoint(data), dim=1)
    error = torch.linalg.vector_norm((rss - scan.reference.abs())[scan.head])
    # coil images differ from maps times image only by truncation at edges
    assert float(error / torch.linalg.vector_norm(rss[scan.head])) < 0.03


def test_object_is_finer_than_the_reconstruction() -> None:
    """No inverse crime: a thin stripe between two pixels rings, as truncation makes it."""

    class Stripe:
        name = "stripe"

        def __call__(
            self,
            points: torch.Tensor,
            spacing_mm: float,  # noqa: ARG002  the call is that of every phantom
            generator: torch.Generator,  # noqa: ARG002
        ) -> Anatomy:
            assert points.shape[1:3] == (160, 144)
            fractions = torch.zeros(len(TISSUES), *points.shape[:-1])
            fractions[tissue_index("white"), :, 40:120, 73] = 1
            fractions[0] = 1 - fractions.sum(dim=0)
            return Anatomy(fractions)

    config = dataclasses.replace(SMALL, deformation_mm=0.0, lesions=(0, 0), phase_rad=0.0)
    stripe = simulate(config, seeded(6), phantom=Stripe()).reference.abs()[0, 40]
    assert int(stripe.argmax()) in (36, 37)
    assert float(stripe[30] / stripe.max()) > 0.05  # sinc: about 1 / (2 * 6.5)


def _dilated(mask: torch.Tensor, reach: int) -> torch.Tensor:
    size = 2 * reach + 1
    return torch.nn.functional.max_pool2d(mask.float(), size, stride=1, padding=reach) > 0


def test_lesions_lie_in_white_matter_and_shine_on_flair() -> None:
    config = dataclasses.replace(
        SMALL, shape=(160, 144), voxel_size_mm=(6.0, 1.5, 1.5), lesions=(8, 8), snr=1000.0
    )
    scan = simulate(config, seeded(7))
    without = simulate(dataclasses.replace(config, lesions=(0, 0)), seeded(7))
    assert not without.lesion_mask.any()
    assert torch.equal(scan.head, without.head)
    far = scan.head & ~_dilated(scan.lesion_mask, 6)
    change = (scan.reference.abs() - without.reference.abs())[far].abs().median()
    assert float(change / without.reference.abs()[far].median()) < 1e-3  # far ringing of lesions
    assert int(scan.lesion_mask.sum()) > 10
    white = scan.labels == tissue_index("white")
    assert float(scan.reference.abs()[scan.lesion_mask].mean()) > 1.3 * float(
        scan.reference.abs()[white].mean()
    )
    before = without.labels[scan.lesion_mask] == tissue_index("white")
    assert float(before.double().mean()) > 0.9


def test_number_of_lesions_varies_between_its_limits() -> None:
    counts = {
        int(simulate(dataclasses.replace(SMALL, lesions=(0, 1)), seeded(s)).lesion_mask.any())
        for s in range(6)
    }
    assert counts == {0, 1}


@pytest.mark.parametrize("contrast", [T1W, T2W], ids=lambda c: c.name)
def test_contrast_changes_the_image_and_not_the_anatomy(
    contrast: Contrast, scan: SimulatedScan
) -> None:
    other = simulate(dataclasses.replace(scan.config, contrast=contrast), seeded(1))
    assert torch.equal(other.labels, scan.labels)
    assert not torch.allclose(other.reference, scan.reference, rtol=0.1)


def test_diagonal_affine_puts_the_middle_of_the_grid_at_the_origin() -> None:
    affine = dataclasses.replace(SMALL, orientation="diagonal").affine
    assert affine is not None
    assert (affine @ torch.tensor([36.0, 40.0, 0.5, 1.0])).tolist() == [0, 0, 8.0, 1]
    assert affine.diagonal().tolist() == [-3.0, -3.0, 6.0, 1.0]


def test_undersampling_zeroes_what_was_not_acquired(scan: SimulatedScan) -> None:
    mask = torch.rand(80, 72, generator=seeded(0)) < 0.3
    few = scan.undersampled(mask).kspace
    assert torch.equal(few.mask[0], mask)
    assert not few.data[..., ~mask].any()
    assert torch.equal(few.data[..., mask], scan.kspace.data[..., mask])


@pytest.mark.parametrize("oversampling", [2, 3])
@pytest.mark.parametrize("shape", [(80, 72), (81, 75)])
def test_labels_sit_where_the_image_is(shape: tuple[int, int], oversampling: int) -> None:
    config = dataclasses.replace(
        SMALL, shape=shape, oversampling=oversampling, contrast=T2W, lesions=(0, 0), snr=1000.0
    )
    scan = simulate(config, seeded(8))
    image, head = scan.reference.abs(), (scan.labels > 0).double()
    rows, columns = (torch.arange(float(n)) for n in shape)
    # correlate both for shifts of up to 2 pixels: none must beat no shift
    best = max(
        ((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)),
        key=lambda shift: float((image * head.roll(shift, (1, 2))).sum()),
    )
    assert best == (0, 0)
    assert (len(rows), len(columns)) == shape


@pytest.mark.data
def test_tissue_file_makes_scans(data_dir: Path) -> None:
    phantom = TissueFile(data_dir / "mri" / "koma_brain_phantom.h5")
    config = dataclasses.replace(SMALL, contrast=T1W, lesions=(0, 0))
    first, second = (simulate(config, seeded(seed), phantom=phantom) for seed in (0, 1))
    assert not torch.equal(first.labels, second.labels)
    assert phantom.name.startswith("koma_brain_phantom.h5, sha256 69d7f8a6")
    assert first.phantom == phantom.name
    present = set(first.labels.flatten().tolist())
    assert {tissue_index(n) for n in ("csf", "grey", "white", "muscle")} <= present


def test_generator_hash_covers_every_module_that_shapes_a_scan() -> None:
    waiting, found = ["simulate", "phantom.tissue_file"], set[str]()
    while waiting:
        name = waiting.pop()
        found.add(name)
        source = inspect.getsource(importlib.import_module(f"medconsist.mri.{name}"))
        imported = set(re.findall(r"^from medconsist\.mri\.([\w.]+) import", source, re.MULTILINE))
        waiting += imported - found - {"kspace"}  # a container, it draws nothing
    assert found == set(simulator.GENERATOR_MODULES)
    assert re.fullmatch("[0-9a-f]{64}", generator_hash())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"oversampling": 1}, "no inverse crime"),
        ({"snr": 0.0}, "must be positive"),
        ({"snr": math.nan}, "must be positive"),
        ({"lesions": (3, 2)}, "fewest, most"),
        ({"noise_samples": 5}, "at least 2 a coil"),
        ({"phase_rad": -1.0}, "must not be negative"),
        ({"n_coils": 0}, "must be positive"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(RefusedInputError, match=text):
        dataclasses.replace(SMALL, **change)


def test_a_field_of_view_that_cuts_the_head_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="120 x 108 mm cuts the head"):
        simulate(dataclasses.replace(SMALL, voxel_size_mm=(6.0, 1.5, 1.5)), seeded(0))


@pytest.mark.parametrize("seed", [7, 10])  # of 40, those whose first head is cut
def test_a_head_that_the_field_of_view_cuts_is_drawn_again(seed: int) -> None:
    tight = dataclasses.replace(SMALL, voxel_size_mm=(6.0, 2.85, 2.85), n_slices=1)
    edge = torch.ones(tight.shape, dtype=torch.bool)
    edge[1:-1, 1:-1] = False
    assert not simulate(tight, seeded(seed)).head[:, edge].any()


def test_slices_outside_the_head_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="fewer or thinner slices"):
        simulate(dataclasses.replace(SMALL, n_slices=40), seeded(0))
