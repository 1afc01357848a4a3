"""Files of simulated scans: read back equal, and readable as fastMRI files."""

import dataclasses
from pathlib import Path

import h5py
import pytest
import torch

from medconsist.errors import RefusedInputError, StorageError
from medconsist.mri.readers import read_kspace
from medconsist.mri.sampling_masks import Gaussian2D, Random1D
from medconsist.mri.scan_file import read_reference, read_scan, write_scan
from medconsist.mri.simulate import ScanConfig, SimulatedScan, generator_hash, simulate

CONFIG = ScanConfig(
    shape=(80, 72),
    voxel_size_mm=(6.0, 3.0, 3.0),
    n_slices=2,
    n_coils=4,
    lesions=(4, 4),
    orientation="diagonal",
)


@pytest.fixture(scope="module")
def scan() -> SimulatedScan:
    return simulate(CONFIG, torch.Generator().manual_seed(1))


def test_scan_is_read_back_equal(scan: SimulatedScan, tmp_path: Path) -> None:
    mask = Gaussian2D(acceleration=4)((80, 72), torch.Generator().manual_seed(0))
    few = scan.undersampled(mask)
    write_scan(few, tmp_path / "scan.h5")
    back = read_scan(tmp_path / "scan.h5")
    for name in ("reference", "lesion_mask", "labels", "head"):
        assert torch.equal(getattr(few, name), getattr(back, name))
    assert torch.equal(few.kspace.data, back.kspace.data)
    assert torch.equal(few.kspace.mask, back.kspace.mask)
    assert few.kspace.noise is not None
    assert back.kspace.noise is not None
    assert torch.equal(few.kspace.noise, back.kspace.noise)
    assert back.config == few.config
    assert back.kspace.affine is not None
    assert (back.phantom, back.generator_hash) == (few.phantom, generator_hash())
    assert back.kspace.voxel_size_mm == (6.0, 3.0, 3.0)


@pytest.mark.parametrize("kind", [Gaussian2D(acceleration=4), Random1D(acceleration=3), None])
def test_reader_of_fastmri_files_reads_it(
    kind: Gaussian2D | Random1D | None, scan: SimulatedScan, tmp_path: Path
) -> None:
    seen = scan
    if kind is not None:
        seen = scan.undersampled(kind((80, 72), torch.Generator().manual_seed(0)))
    write_scan(seen, tmp_path / "scan.h5")
    kspace = read_kspace(tmp_path / "scan.h5")
    assert torch.equal(kspace.data, seen.kspace.data)
    assert torch.equal(kspace.mask.expand(2, -1, -1), seen.kspace.mask.expand(2, -1, -1))
    assert kspace.noise is not None
    assert kspace.voxel_size_mm[1:] == pytest.approx((3.0, 3.0))
    assert (kspace.contrast, kspace.field_strength_t) == ("FLAIR", 1.5)
    assert kspace.affine is None


def test_reference_is_its_magnitude_and_absent_elsewhere(
    scan: SimulatedScan, tmp_path: Path
) -> None:
    write_scan(scan, tmp_path / "scan.h5")
    reference = read_reference(tmp_path / "scan.h5")
    assert reference is not None
    assert torch.equal(reference, scan.reference.abs())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kspace"] = scan.kspace.data.numpy()
    assert read_reference(tmp_path / "other.h5") is None
    assert read_reference(tmp_path / "other.npy") is None
    with pytest.raises(RefusedInputError, match="no scan of this simulator"):
        read_scan(tmp_path / "other.h5")


def test_file_says_what_it_is(scan: SimulatedScan, tmp_path: Path) -> None:
    write_scan(scan, tmp_path / "scan.h5")
    with h5py.File(tmp_path / "scan.h5") as file:
        truth = file["simulation"]
        assert "not of a person" in truth.attrs["said"]
        assert truth["generator_hash"][()].decode() == generator_hash()
        assert set(file) == {"kspace", "medconsist_noise", "ismrmrd_header", "simulation"}


def test_a_config_of_another_version_is_refused(scan: SimulatedScan, tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    write_scan(scan, path)
    with h5py.File(path, "r+") as file:
        said = file["simulation/config"][()].decode()
        del file["simulation/config"]
        file["simulation/config"] = said.replace("snr", "signal")
    with pytest.raises(RefusedInputError, match="not one of this version"):
        read_scan(path)


def test_what_the_layout_cannot_hold_is_refused(scan: SimulatedScan, tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match=r"must end in \.h5"):
        write_scan(scan, tmp_path / "scan.npy")
    masks = torch.ones(2, 80, 72, dtype=torch.bool)
    masks[1, 0] = False
    kspace = dataclasses.replace(scan.kspace, mask=masks)
    with pytest.raises(RefusedInputError, match="slice to slice"):
        write_scan(dataclasses.replace(scan, kspace=kspace), tmp_path / "scan.h5")
    with pytest.raises(StorageError, match="scan"):
        write_scan(scan, tmp_path / "nowhere" / "scan.h5")
