"""Every format gives the same k-space, and says what it inferred."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError, UnsafeFileError
from medconsist.mri.formats.cfl import write_cfl
from medconsist.mri.oversampling import remove_readout_oversampling
from medconsist.mri.readers import read_kspace, read_maps
from medconsist.operators.fourier import Fourier
from tests.mri.asymmetric import asymmetric_coils, asymmetric_image, asymmetric_kspace
from tests.mri.conftest import WRITERS, header_xml, write_bart, write_fastmri, write_npy

IN_PLACE = 1e-6  # relative to the largest pixel: rounding of one complex64 transform pair


def combined(samples: Tensor) -> Tensor:
    """Return the coil-combined image of fully sampled phantom k-space."""
    maps = asymmetric_coils(samples.shape[1], *samples.shape[-2:])
    return (maps.conj() * Fourier().adjoint(samples)).sum(1)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_kspace(kind: str, tmp_path: Path, samples: Tensor) -> None:
    read = read_kspace(WRITERS[kind](tmp_path / "scan", samples))
    assert read.data.dtype == torch.complex64
    assert torch.equal(read.data, samples)
    assert read.mask.all()
    assert read.affine is None


@pytest.mark.parametrize("kind", WRITERS)
def test_zero_filled_image_is_the_phantom_in_place(
    kind: str, tmp_path: Path, samples: Tensor
) -> None:
    image = combined(read_kspace(WRITERS[kind](tmp_path / "scan", samples)).data)
    expected = torch.stack([asymmetric_image(), 2 * asymmetric_image()])
    assert (image - expected).abs().max() <= IN_PLACE * expected.max()


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(("height", "width"), [(20, 28), (21, 27)])
@pytest.mark.parametrize("origin", ["centre", "first pixel"])
def test_uncentred_kspace_is_moved_and_the_image_stays_in_place(
    kind: str, height: int, width: int, origin: str, tmp_path: Path
) -> None:
    images = Fourier().adjoint(asymmetric_kspace(1, 3, height, width))
    if origin == "centre":
        images = torch.fft.ifftshift(images, dim=(-2, -1))
    stored = torch.fft.fft2(images, norm="ortho")
    read = read_kspace(WRITERS[kind](tmp_path / "scan", stored))
    error = (combined(read.data)[0] - asymmetric_image(height, width)).abs().max()
    assert error <= 3 * IN_PLACE * 3  # two more transforms, and the largest pixel is 3
    assert sum("centre at index 0" in note for note in read.notes) == 2
    assert sum("first pixel" in note for note in read.notes) == (2 if origin != "centre" else 0)


def test_one_uncentred_axis_is_found_alone(tmp_path: Path, samples: Tensor) -> None:
    read = read_kspace(write_npy(tmp_path / "scan", torch.fft.ifftshift(samples, dim=-1)))
    assert torch.equal(read.data, samples)
    assert any("along width" in note for note in read.notes)
    assert not any("along height" in note for note in read.notes)


def test_uncentred_mask_moves_with_its_samples(
    tmp_path: Path, samples: Tensor, line_mask: Tensor
) -> None:
    stored = torch.fft.ifftshift(samples * line_mask, dim=(-2, -1))
    np.save(tmp_path / "mask.npy", torch.fft.ifftshift(line_mask).numpy())
    path = write_npy(tmp_path / "scan", stored)
    for read in (read_kspace(path), read_kspace(path, mask=tmp_path / "mask.npy")):
        assert torch.equal(read.mask, line_mask.expand(1, 20, 28))
        assert torch.equal(read.data, samples * line_mask)


def test_unclear_centre_is_kept_and_said(tmp_path: Path, generator: torch.Generator) -> None:
    noise = torch.randn(1, 2, 16, 16, dtype=torch.complex64, generator=generator)
    read = read_kspace(write_npy(tmp_path / "noise", noise))
    assert torch.equal(read.data, noise)
    assert any("not clear" in note for note in read.notes)


def test_mask_is_inferred_from_zeros(tmp_path: Path, samples: Tensor, line_mask: Tensor) -> None:
    read = read_kspace(write_npy(tmp_path / "scan", samples * line_mask))
    assert torch.equal(read.mask, line_mask.expand(1, 20, 28))
    assert any("inferred" in note for note in read.notes)
    assert any("one-dimensional" in note for note in read.notes)


def test_masks_of_slices_may_differ(tmp_path: Path, samples: Tensor) -> None:
    masks = torch.ones(2, 1, 20, 28, dtype=torch.bool)
    masks[1, :, ::2, ::2] = False
    read = read_kspace(write_npy(tmp_path / "scan", samples * masks))
    assert torch.equal(read.mask, masks[:, 0])


def test_sample_that_one_coil_measured_as_zero_counts_as_acquired(
    tmp_path: Path, samples: Tensor
) -> None:
    samples[:, 1] = 0
    read = read_kspace(write_npy(tmp_path / "scan", samples))
    assert read.mask.all()
    assert any(note.startswith("Coils [1]") for note in read.notes)


@pytest.mark.parametrize("file", ["mask.npy", "mask.cfl"])
def test_given_mask_that_agrees_is_taken(
    file: str, tmp_path: Path, samples: Tensor, line_mask: Tensor
) -> None:
    plane = line_mask.expand(20, 28)
    if file.endswith("npy"):
        np.save(tmp_path / file, plane.numpy())
    else:
        write_cfl(tmp_path / file, plane[None].to(torch.complex64))
    path = write_npy(tmp_path / "scan", samples * line_mask)
    read = read_kspace(path, mask=tmp_path / file)
    assert torch.equal(read.mask, plane[None])
    assert {"scan.npy", file} <= set(read.source)


def test_given_mask_that_disagrees_is_refused_with_the_numbers(
    tmp_path: Path, samples: Tensor, line_mask: Tensor
) -> None:
    wrong = line_mask.expand(20, 28).clone()
    wrong[3, 0] = False
    wrong[5, 1:3] = True
    np.save(tmp_path / "mask.npy", wrong.numpy())
    path = write_npy(tmp_path / "scan", samples[:1] * line_mask)
    with pytest.raises(RefusedInputError, match=r"1 positions hold samples.* 2 are marked as acq"):
        read_kspace(path, mask=tmp_path / "mask.npy")


def test_partial_fourier_is_noticed_with_its_share(tmp_path: Path, samples: Tensor) -> None:
    samples[..., :7] = 0
    notes = read_kspace(write_npy(tmp_path / "scan", samples)).notes
    assert any("Partial Fourier along width: 0.75 " in note for note in notes)


def test_fastmri_test_layout_and_header_are_understood(
    tmp_path: Path, samples: Tensor, line_mask: Tensor
) -> None:
    path = write_fastmri(
        tmp_path / "test",
        samples * line_mask,
        mask=line_mask.numpy(),
        ismrmrd_header=header_xml(),
        medconsist_noise=np.ones((3, 5), np.complex64),
    )
    read = read_kspace(path)
    assert torch.equal(read.mask, line_mask.expand(1, 20, 28))
    assert read.voxel_size_mm == (None, 2.0, 3.0)
    assert read.field_strength_t == 2.8936
    assert read.contrast == "AXFLAIR"
    assert read.recon_matrix == (10, 28)
    assert read.noise is not None
    assert any("distance between slices is unknown" in note for note in read.notes)


@pytest.mark.parametrize("shape", [(2, 9), (9,), (3, 3, 3)])
def test_noise_scan_of_other_coils_is_refused(
    shape: tuple[int, ...], tmp_path: Path, samples: Tensor
) -> None:
    noise = np.ones(shape, np.complex64)
    path = write_fastmri(tmp_path / "scan", samples, medconsist_noise=noise)
    with pytest.raises(ShapeError, match="3 coils, samples"):
        read_kspace(path)


def test_padding_that_the_header_declares_leaves_the_mask(tmp_path: Path, samples: Tensor) -> None:
    samples[..., :2] = 0
    samples[..., 25:] = 0
    mask = np.ones(28, np.float32)
    header = header_xml(center=12, maximum=22)
    path = write_fastmri(tmp_path / "test", samples, mask=mask, ismrmrd_header=header)
    read = read_kspace(path)
    assert read.mask[0, 0].nonzero().flatten().tolist() == list(range(2, 25))
    assert any("5 columns of the mask are padding" in note for note in read.notes)


def test_header_with_a_field_of_view_of_zero_leaves_the_spacing_unknown(
    tmp_path: Path, samples: Tensor
) -> None:
    header = header_xml(fov_rows=0, fov_columns=0)
    read = read_kspace(write_fastmri(tmp_path / "scan", samples, ismrmrd_header=header))
    assert read.voxel_size_mm == (None, None, None)
    assert read.recon_matrix == (None, None)


def test_header_that_is_no_xml_is_noted(tmp_path: Path, samples: Tensor) -> None:
    read = read_kspace(write_fastmri(tmp_path / "scan", samples, ismrmrd_header="<broken"))
    assert any("header is not readable" in note for note in read.notes)


def test_header_with_entities_is_refused(tmp_path: Path, samples: Tensor) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>'
    path = write_fastmri(tmp_path / "scan", samples, ismrmrd_header=bomb)
    with pytest.raises(UnsafeFileError, match="document type"):
        read_kspace(path)


def test_single_coil_fastmri_file_becomes_one_coil(tmp_path: Path, samples: Tensor) -> None:
    image = np.zeros((2, 20, 28), np.float32)
    path = write_fastmri(tmp_path / "single", samples[:, 0], reconstruction_esc=image)
    assert torch.equal(read_kspace(path).data, samples[:, :1])


def test_oversampled_readout_keeps_the_central_rows_of_the_image(
    tmp_path: Path, samples: Tensor, line_mask: Tensor
) -> None:
    path = write_fastmri(tmp_path / "scan", samples * line_mask, ismrmrd_header=header_xml())
    read = read_kspace(path)
    cropped = remove_readout_oversampling(read)
    full, part = Fourier().adjoint(read.data), Fourier().adjoint(cropped.data)
    assert (part - full[..., 5:15, :]).abs().max() <= IN_PLACE * full.abs().max()
    assert torch.equal(cropped.mask, line_mask.expand(1, 10, 28))
    assert cropped.voxel_size_mm == read.voxel_size_mm
    assert "central 10 of 20 rows" in cropped.notes[-1]


def test_readout_without_oversampling_is_left_alone(tmp_path: Path, samples: Tensor) -> None:
    read = read_kspace(write_npy(tmp_path / "scan", samples))
    assert remove_readout_oversampling(read) is read


def test_oversampling_of_an_incomplete_readout_is_refused(tmp_path: Path, samples: Tensor) -> None:
    samples[..., 3, 4] = 0
    read = read_kspace(write_npy(tmp_path / "scan", samples))
    with pytest.raises(RefusedInputError, match="not fully sampled"):
        remove_readout_oversampling(read, height=10)
    with pytest.raises(RefusedInputError, match=r"1\.\.20"):
        remove_readout_oversampling(read, height=21)


def test_bart_plane_on_read_and_phase_keeps_its_axes(tmp_path: Path, samples: Tensor) -> None:
    write_cfl(tmp_path / "plane", samples[0].permute(1, 2, 0)[:, :, None])
    read = read_kspace(tmp_path / "plane")
    assert torch.equal(read.data, samples[:1])
    assert read.notes[0].startswith("BART axes read and phase1")


def test_bart_volume_is_split_into_slices_along_its_readout(tmp_path: Path) -> None:
    slices = asymmetric_kspace(slices=4)
    slices[..., ::3] = 0
    volume = Fourier(dims=(0,))(slices)
    write_cfl(tmp_path / "volume", volume.permute(0, 2, 3, 1))
    read = read_kspace(tmp_path / "volume.hdr")
    error = (read.data - slices).abs().max()
    assert error <= IN_PLACE * slices.abs().max()
    assert torch.equal(read.mask[0], (slices != 0).any(1)[0])


def test_bart_volume_with_an_incomplete_readout_is_refused(tmp_path: Path) -> None:
    volume = Fourier(dims=(0,))(asymmetric_kspace(slices=4)).permute(0, 2, 3, 1).clone()
    volume[2, 5, 6] = 0
    write_cfl(tmp_path / "volume", volume)
    with pytest.raises(RefusedInputError, match="readout is not fully sampled"):
        read_kspace(tmp_path / "volume")


@pytest.mark.bart
def test_bart_phantom_is_read_as_bart_sees_it(bart: str, tmp_path: Path) -> None:
    import subprocess

    for words in (
        ["phantom", "-k", "-s", "3", "-x", "32", "ksp"],
        ["fft", "-u", "-i", "3", "ksp", "img"],
        ["phantom", "-T", "-x", "32", "tubes"],
    ):
        subprocess.run([bart, *words], cwd=tmp_path, check=True, capture_output=True)
    read = read_kspace(tmp_path / "ksp")
    image = np.fromfile(tmp_path / "img.cfl", np.complex64).reshape(3, 32, 32).transpose(0, 2, 1)
    ours = Fourier().adjoint(read.data)[0].numpy()
    assert np.abs(ours - image).max() <= IN_PLACE * 10 * np.abs(image).max()


@pytest.mark.parametrize("file", ["maps.npy", "maps.cfl"])
def test_maps_come_back_in_place(file: str, tmp_path: Path) -> None:
    maps = asymmetric_coils().to(torch.complex64)
    if file.endswith("npy"):
        np.save(tmp_path / file, maps.numpy())
    else:
        write_cfl(tmp_path / file, maps.permute(1, 2, 0)[None])
    assert torch.equal(read_maps(tmp_path / file), maps[None, None])


def test_double_precision_is_rounded_with_a_note(tmp_path: Path, samples: Tensor) -> None:
    np.save(tmp_path / "double.npy", samples.numpy().astype(np.complex128))
    read = read_kspace(tmp_path / "double.npy")
    assert torch.equal(read.data, samples)
    assert any("rounded from complex128" in note for note in read.notes)


def test_big_endian_and_column_major_arrays_are_read_alike(tmp_path: Path, samples: Tensor) -> None:
    array = np.asfortranarray(samples.numpy().astype(">c8"))
    np.save(tmp_path / "odd.npy", array)
    assert torch.equal(read_kspace(tmp_path / "odd.npy").data, samples)


def test_suffix_does_not_decide_against_the_content(tmp_path: Path, samples: Tensor) -> None:
    path = write_npy(tmp_path / "scan", samples).rename(tmp_path / "scan.data")
    assert torch.equal(read_kspace(path).data, samples)


def test_compressed_hdf5_is_read(tmp_path: Path, samples: Tensor) -> None:
    with h5py.File(tmp_path / "zip.h5", "w") as file:
        file.create_dataset("kspace", data=samples.numpy(), compression="gzip", chunks=(1, 1, 7, 9))
    assert torch.equal(read_kspace(tmp_path / "zip.h5").data, samples)


def test_axes_in_another_order_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "last.npy", np.ones((230, 180, 8), np.complex64))
    with pytest.raises(ShapeError, match="another order"):
        read_kspace(tmp_path / "last.npy")


def test_bart_pair_is_found_by_either_suffix_or_none(tmp_path: Path, samples: Tensor) -> None:
    path = write_bart(tmp_path / "scan", samples)
    for name in (path, path.with_suffix(".hdr"), path.with_suffix("")):
        assert torch.equal(read_kspace(name).data, samples)


@pytest.mark.data
def test_real_slice_keeps_its_samples(data_dir: Path) -> None:
    path = data_dir / "mri" / "sigpy_cartesian_ksp.npy"
    read = read_kspace(path)
    assert torch.equal(read.data[0], torch.from_numpy(np.load(path)))
    assert int(read.mask.sum()) == 5148
    assert read.source[path.name].startswith("bcfd07b7")
    assert not any("Partial" in note or "centre" in note for note in read.notes)
