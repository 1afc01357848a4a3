"""Volumes: one scan in every format that can hold it, split along its readout, in place."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.errors import BudgetError, RefusedInputError
from medconsist.mri.formats.cfl import write_cfl
from medconsist.mri.kspace import KSpace
from medconsist.mri.readers import read_kspace
from medconsist.mri.readers.volume import as_complex64
from medconsist.operators.fourier import Fourier
from tests.mri.asymmetric import asymmetric_kspace
from tests.mri.conftest import header_xml, write_fastmri
from tests.mri.ismrmrd_writer import ismrmrd_xml, readout, write_rows

READ, LINES, PARTITIONS, COILS = 32, 20, 28, 3
IN_PLACE = 1e-6  # relative to the largest sample: one complex64 transform pair along 32 samples


def planes() -> Tensor:
    """Return what a reader should give: readout positions of unequal brightness."""
    brightness = 1 + torch.cos(torch.linspace(-2.5, 2.0, READ)) / 2
    phantom = asymmetric_kspace(slices=1, n_coils=COILS, height=LINES, width=PARTITIONS)
    return phantom * brightness[:, None, None, None]


def spectrum(slices: Tensor) -> Tensor:
    """Return the samples that a scanner measures: ``readout coils lines partitions``."""
    return Fourier(dims=(0,))(slices)


def read_npy(folder: Path, volume: Tensor) -> KSpace:
    np.save(folder / "volume.npy", volume.numpy())
    return read_kspace(folder / "volume.npy", first_axis="readout")


def read_bart(folder: Path, volume: Tensor) -> KSpace:
    write_cfl(folder / "volume", volume.permute(0, 2, 3, 1))
    return read_kspace(folder / "volume.cfl")


def read_fastmri(folder: Path, volume: Tensor) -> KSpace:
    return read_kspace(write_fastmri(folder / "volume", volume), first_axis="readout")


def read_ismrmrd(folder: Path, volume: Tensor) -> KSpace:
    rows = [
        readout(volume[..., y, z].T, kspace_encode_step_1=y, kspace_encode_step_2=z)
        for y in range(LINES)
        for z in range(PARTITIONS)
        if (volume[:, :, y, z] != 0).any()
    ]
    centres = (LINES // 2, PARTITIONS // 2)
    header = ismrmrd_xml((READ, LINES, PARTITIONS), recon_read=READ, centres=centres)
    return read_kspace(write_rows(folder / "volume", rows, header))


FORMATS = {"npy": read_npy, "bart": read_bart, "fastmri": read_fastmri, "ismrmrd": read_ismrmrd}


def ellipse() -> Tensor:
    y, z = torch.linspace(-1, 1, LINES)[:, None], torch.linspace(-1, 1, PARTITIONS)
    return y.square() + z.square() <= 1


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("shutter", ["none", "ellipse and partial Fourier"])
def test_every_format_gives_the_planes_and_the_mask_of_the_phase_encodings(
    kind: str, shutter: str, tmp_path: Path
) -> None:
    mask = torch.ones(LINES, PARTITIONS, dtype=torch.bool)
    if shutter != "none":
        mask = ellipse()
        mask[:, PARTITIONS * 3 // 4 :] = False
        mask[: LINES // 4] = False
    expected = planes() * mask
    read = FORMATS[kind](tmp_path, spectrum(expected))
    assert (read.data - expected).abs().max() <= IN_PLACE * expected.abs().max()
    assert torch.equal(read.mask, mask[None])
    partial = sum("Partial Fourier" in note for note in read.notes)
    assert partial == (2 if shutter != "none" else 0)


@pytest.mark.parametrize("kind", ["npy", "bart", "fastmri"])
def test_readout_whose_centre_is_in_the_corner_is_moved(kind: str, tmp_path: Path) -> None:
    stored = torch.fft.ifftshift(spectrum(planes()), dim=0)
    read = FORMATS[kind](tmp_path, stored)
    assert (read.data - planes()).abs().max() <= IN_PLACE * planes().abs().max()
    assert any("along readout" in note for note in read.notes)


@pytest.mark.parametrize("kind", ["npy", "bart", "fastmri"])
def test_readout_that_is_not_complete_is_refused(kind: str, tmp_path: Path) -> None:
    volume = spectrum(planes())
    volume[5, :, 3, 4] = 0
    with pytest.raises(RefusedInputError, match="readout is not fully sampled"):
        FORMATS[kind](tmp_path, volume)


@pytest.mark.parametrize("kind", ["npy", "bart", "fastmri"])
def test_volumes_that_are_not_finite_or_zero_are_refused(kind: str, tmp_path: Path) -> None:
    volume = spectrum(planes())
    volume[5, 1, 3, 4] = torch.nan
    with pytest.raises(RefusedInputError, match="1 samples that are NaN or infinite"):
        FORMATS[kind](tmp_path, volume)
    with pytest.raises(RefusedInputError, match="zero everywhere"):
        FORMATS[kind](tmp_path, 0 * planes())


def test_volume_of_one_coil_is_read_and_one_beyond_the_budget_is_not(tmp_path: Path) -> None:
    one = spectrum(planes()[:, :1])
    read = read_bart(tmp_path, one)
    assert (read.data - planes()[:, :1]).abs().max() <= IN_PLACE * planes().abs().max()
    (tmp_path / "volume.hdr").write_text("# Dimensions\n9999 9999 9999 8\n")
    with pytest.raises(BudgetError, match="budget"):
        read_kspace(tmp_path / "volume.cfl")


@pytest.mark.parametrize("kind", ["npy", "fastmri"])
def test_frequencies_are_not_taken_for_slices(kind: str, tmp_path: Path) -> None:
    volume = spectrum(planes())
    if kind == "npy":
        path = tmp_path / "volume.npy"
        np.save(path, volume.numpy())
    else:
        path = write_fastmri(tmp_path / "volume", volume)
    with pytest.raises(RefusedInputError, match=r"\d+% of the energy .*--first-axis readout"):
        read_kspace(path)
    said = read_kspace(path, first_axis="slices")
    assert torch.equal(said.data, volume)
    assert any("as asked" in note for note in said.notes)


def test_header_of_one_partition_is_believed(tmp_path: Path) -> None:
    volume = spectrum(planes())
    path = write_fastmri(tmp_path / "slices", volume, ismrmrd_header=header_xml())
    assert torch.equal(read_kspace(path).data, volume)


def test_slices_need_no_word(tmp_path: Path) -> None:
    np.save(tmp_path / "slices.npy", planes().numpy())
    assert torch.equal(read_kspace(tmp_path / "slices.npy").data, planes())


@pytest.mark.parametrize("order", ["partitions first", "readout first"])
@pytest.mark.parametrize("domain", ["frequencies", "positions"])
def test_volume_by_its_header_is_transformed_if_its_energy_says_frequencies(
    order: str, domain: str, tmp_path: Path
) -> None:
    names = ("x", "y", "z") if order == "readout first" else ("z", "x", "y")
    axes = dict(zip(names, zip((READ, LINES, PARTITIONS), (1, 2, 3), strict=True), strict=True))
    matrix = "".join(f"<{name}>{n}</{name}>" for name, (n, _) in axes.items())
    fov = "".join(f"<{name}>{n * mm}</{name}>" for name, (n, mm) in axes.items())
    size = f"<matrixSize>{matrix}</matrixSize><fieldOfView_mm>{fov}</fieldOfView_mm>"
    xml = (
        '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
        f"<encodedSpace>{size}</encodedSpace><reconSpace>{size}</reconSpace>"
        "</encoding></ismrmrdHeader>"
    )
    stored = spectrum(planes()) if domain == "frequencies" else planes()
    read = read_kspace(write_fastmri(tmp_path / "volume", stored, ismrmrd_header=xml))
    assert (read.data - planes()).abs().max() <= IN_PLACE * planes().abs().max()
    assert read.voxel_size_mm == (1.0, 2.0, 3.0)
    assert read.recon_matrix == (LINES, PARTITIONS)
    assert any("volume by the header" in note.lower() for note in read.notes)


@pytest.mark.parametrize("bright", [0, 1, 7, 8, 15])
def test_one_bright_slice_makes_no_volume(bright: int, tmp_path: Path) -> None:
    slices = planes()[:16]
    slices[bright] *= 12
    header = header_xml().replace("<z>1</z>", "<z>16</z>")
    path = write_fastmri(tmp_path / "stack", slices, ismrmrd_header=header)
    with pytest.raises(RefusedInputError, match=r"the rest does not fall off .*--first-axis"):
        read_kspace(path)
    assert torch.equal(read_kspace(path, first_axis="slices").data, slices)


def test_finite_numbers_are_looked_for_in_small_parts_of_a_single_slab() -> None:
    slab = np.ones((1, 64, 32, 32), np.complex64)
    tracemalloc.start()
    as_complex64(slab, name="slab")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < slab.size // 4  # a mask of all of it takes one byte each


def test_header_of_a_volume_too_short_to_tell_asks(tmp_path: Path, samples: Tensor) -> None:
    header = header_xml().replace("<z>1</z>", "<z>2</z>")
    path = write_fastmri(tmp_path / "two", samples, ismrmrd_header=header)
    with pytest.raises(RefusedInputError, match="2 are too few to tell"):
        read_kspace(path)
    assert torch.equal(read_kspace(path, first_axis="slices").data, samples)


def test_axes_that_the_header_does_not_name_leave_the_spacing_unknown(tmp_path: Path) -> None:
    header = header_xml().replace("<z>1</z>", "<z>9</z>")
    path = write_fastmri(tmp_path / "other", planes(), ismrmrd_header=header)
    read = read_kspace(path)
    assert read.voxel_size_mm == (None, None, None)
    assert any("spacing unknown" in note for note in read.notes)


def test_first_axis_is_refused_where_it_is_known_or_not_there(
    tmp_path: Path, samples: Tensor
) -> None:
    write_cfl(tmp_path / "plane", samples[0].permute(1, 2, 0)[:, :, None])
    np.save(tmp_path / "plane.npy", samples[0].numpy())
    np.save(tmp_path / "one.npy", samples[:1].numpy())
    for name, says in {
        "plane.cfl": "fixed by its layout",
        "plane.npy": "has 3 axes",
        "one.npy": "has one entry, no readout",
    }.items():
        with pytest.raises(RefusedInputError, match=says):
            read_kspace(tmp_path / name, first_axis="readout")
    with pytest.raises(RefusedInputError, match=r"coils first; --first-axis slices goes with 4"):
        read_kspace(tmp_path / "plane.npy", first_axis="slices")


def test_patient_of_a_fastmri_file_is_told_if_it_is_an_id(tmp_path: Path, samples: Tensor) -> None:
    path = write_fastmri(tmp_path / "scan", samples)
    assert read_kspace(path).patient is None
    for said, patient in (("0f9a3c", "0f9a3c"), ("../Jane Doe", None)):
        with h5py.File(path, "a") as file:
            file.attrs["patient_id"] = said
        assert read_kspace(path).patient == patient


MEMORY = """
import sys
from pathlib import Path
from medconsist.mri.readers import read_kspace
from medconsist.results.resident import peak_bytes, resident_bytes, restart_peak
folder = Path(sys.argv[1])
read_kspace(folder / "small.npy", first_axis="readout")  # what imports and threads take
restart_peak()
before = resident_bytes()
read = read_kspace(folder / sys.argv[2], first_axis="readout" if ".npy" in sys.argv[2] else None)
print((peak_bytes() - before) / (8 * read.data.numel()))
"""


@pytest.mark.parametrize("kind", ["volume.npy", "volume.cfl"])
def test_a_volume_is_read_and_transformed_without_a_second_copy(
    kind: str, tmp_path: Path, generator: torch.Generator
) -> None:
    volume = torch.randn(64, 8, 128, 160, dtype=torch.complex64, generator=generator)
    if kind.endswith("npy"):
        np.save(tmp_path / kind, volume.numpy())
    else:
        write_cfl(tmp_path / "volume", volume.permute(0, 2, 3, 1))
    np.save(tmp_path / "small.npy", volume[:, :1, :8, :16].numpy())
    words = [sys.executable, "-c", MEMORY, str(tmp_path), kind]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)
    # Blocks and their temporaries, a coil of the file, masks: less than half of these 80 MiB.
    assert float(said.stdout) < 1.6
