"""The scans of the table: alike for every method, and nothing of the full scan in them."""

from dataclasses import replace

import pytest
import torch

from medconsist.mri.bench.learned.cells import CELLS, UNSEEN_CELLS
from medconsist.mri.bench.learned.scans import DrawnScan, draw_scan, measured_in
from medconsist.mri.methods import CgSense
from medconsist.mri.prepare import prepare
from medconsist.mri.sampling_masks import effective_acceleration
from medconsist.mri.simulate import ScanConfig, simulate


@pytest.fixture(scope="module")
def scan() -> DrawnScan:
    return draw_scan("test", 1, series=2)


def test_cells_are_both_kinds_at_both_accelerations(scan: DrawnScan) -> None:
    for cell, measured in zip(CELLS, measured_in(CELLS, scan), strict=True):
        mask = measured.measurement.mask[0]
        assert effective_acceleration(mask) == pytest.approx(float(cell.name[-2]), rel=0.02)
        is_line = bool((mask == mask[0]).all())
        assert is_line == cell.name.startswith("1-D")
    assert set(UNSEEN_CELLS) <= set(CELLS)


def test_a_scan_is_the_same_whenever_it_is_drawn(scan: DrawnScan) -> None:
    again = draw_scan("test", 1, series=2)
    assert torch.equal(again.samples, scan.samples)
    (only,) = measured_in(CELLS[3:], again)
    assert torch.equal(only.measurement.mask, measured_in(CELLS, scan)[3].measurement.mask)


def test_roles_numbers_and_series_are_other_scans(scan: DrawnScan) -> None:
    others = draw_scan("validation", 1, series=2), draw_scan("test", 4, series=2)
    for other in (*others, draw_scan("test", 1, series=3)):
        assert not torch.equal(other.reference, scan.reference)
        assert other.mask_seed != scan.mask_seed


def test_a_fully_sampled_scan_is_its_reference(scan: DrawnScan) -> None:
    full = replace(CELLS[0], kind=lambda shape, _: torch.ones(shape, dtype=torch.bool))
    (measured,) = measured_in([full], scan)
    image = CgSense(lambda_=0.0)(measured.measurement).abs()
    inside = measured.reference > 0.2 * measured.reference.max()
    error = (image - measured.reference)[inside].norm() / measured.reference[inside].norm()
    # noise of SNR 30 is .033 of the mean intensity; maps estimated from noisy samples add to it
    assert float(error) < 0.06


def test_what_was_not_sampled_reaches_no_method(scan: DrawnScan) -> None:
    (measured,) = measured_in(CELLS[:1], scan)
    unseen = ~measured.measurement.mask[:, None]
    (other,) = measured_in(CELLS[:1], replace(scan, samples=scan.samples + 7 * unseen))
    assert torch.equal(other.measurement.samples, measured.measurement.samples)
    assert other.measurement.sigma == measured.measurement.sigma


def test_scale_and_noise_level_are_those_of_a_job() -> None:
    config = ScanConfig(shape=(64, 64), n_slices=1, voxel_size_mm=(6.0, 3.6, 3.6))
    made = simulate(config, torch.Generator().manual_seed(3))
    full = prepare(made.kspace)
    scan = DrawnScan(
        samples=full.kspace.data,
        maps=full.measurement.maps,
        sigma=full.measurement.sigma * full.scale,
        reference=made.reference.abs(),
        mask_seed=0,
    )
    (measured,) = measured_in(CELLS[2:3], scan)
    job = prepare(made.undersampled(measured.measurement.mask[0]).kspace)
    assert torch.allclose(measured.measurement.samples, job.measurement.samples)
    assert measured.measurement.sigma == pytest.approx(job.measurement.sigma)
    # the calibration region of this mask is the one that the maps are made of
    assert torch.allclose(measured.measurement.maps, job.measurement.maps, atol=1e-5)
