"""ISMRMRD: every readout at its place, geometry from the heads, doubt refused."""

from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.errors import BudgetError, RefusedInputError, TruncatedFileError
from medconsist.mri.formats.nifti import write_nifti
from medconsist.mri.oversampling import remove_readout_oversampling
from medconsist.mri.readers import read_kspace
from medconsist.mri.simulate import ScanConfig, simulate
from medconsist.operators.fourier import Fourier
from tests.mri.asymmetric import asymmetric_coils, asymmetric_image, asymmetric_kspace
from tests.mri.ismrmrd_writer import (
    BOTH,
    CALIBRATION,
    DUMMY,
    NAVIGATOR,
    NOISE,
    REVERSE,
    ismrmrd_xml,
    lines_of,
    readout,
    write_rows,
)

IN_PLACE = 1e-5  # relative to the largest value: three complex64 transforms and a mean
READ, PHASE, SLICE = (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)
POSED: dict[str, Any] = {"read_dir": READ, "phase_dir": PHASE, "slice_dir": SLICE}


def test_phantom_is_neither_mirrored_nor_shifted(tmp_path: Path, samples: Tensor) -> None:
    lines = lines_of(samples)
    read = read_kspace(write_rows(tmp_path / "scan", lines[::-1]))
    maps = asymmetric_coils()
    image = (maps.conj() * Fourier().adjoint(read.data)).sum(1)
    expected = torch.stack([asymmetric_image(), 2 * asymmetric_image()])
    assert (image - expected).abs().max() <= IN_PLACE * expected.max()
    assert read.mask.all()
    assert read.field_strength_t == 1.5
    assert read.voxel_size_mm == (None, 2.0, 3.0)
    assert read.recon_matrix == (10, 28)
    assert remove_readout_oversampling(read).data.shape[-2] == 10


def test_undersampled_lines_give_the_mask_of_their_counters(
    tmp_path: Path, samples: Tensor
) -> None:
    samples[:, :, 3, 4] = 0  # acquired, and exactly zero
    lines = [line for line in lines_of(samples) if line.idx.kspace_encode_step_1 % 2 == 0]
    read = read_kspace(write_rows(tmp_path / "scan", lines))
    assert torch.equal(read.data[..., ::2], samples[..., ::2])
    assert read.mask[0, :, ::2].all()
    assert not read.mask[0, :, 1::2].any()


def test_partial_fourier_and_zero_padding_are_placed_by_the_centres(
    tmp_path: Path, samples: Tensor
) -> None:
    # Lines 6 ... 24 and samples 5 ... 19 of 20 x 28 were acquired; the file counts from 0.
    rows = [
        readout(samples[s, :, 5:, line], slice=s, kspace_encode_step_1=line - 6, center_sample=5)
        for s in range(2)
        for line in range(6, 25)
    ]
    read = read_kspace(write_rows(tmp_path / "scan", rows, ismrmrd_xml(centres=(8, 0))))
    expected = torch.zeros(20, 28, dtype=torch.bool)
    expected[5:, 6:25] = True
    assert torch.equal(read.mask[0], expected)
    assert torch.equal(read.data, samples * expected)
    assert any("Partial Fourier along height" in note for note in read.notes)


def test_samples_to_discard_are_not_taken(tmp_path: Path, samples: Tensor) -> None:
    rows = lines_of(samples, discard_pre=2, discard_post=3)
    read = read_kspace(write_rows(tmp_path / "scan", rows))
    assert torch.equal(read.data[:, :, 2:17], samples[:, :, 2:17])
    assert not read.mask[:, :2].any()
    assert not read.mask[:, 17:].any()


def test_noise_scan_is_kept_apart_and_scaled_to_the_image(
    tmp_path: Path, samples: Tensor, generator: torch.Generator
) -> None:
    noise = torch.randn(3, 64, dtype=torch.complex64, generator=generator)
    rows = [readout(noise, flags=(NOISE,), sample_time_us=20.0), *lines_of(samples)]
    read = read_kspace(write_rows(tmp_path / "scan", rows))
    assert torch.equal(read.data, samples)
    assert read.noise is not None
    # Four times the sampling time: half the noise, so twice the noise scan.
    assert torch.allclose(read.noise, 2 * noise)


def test_noise_scan_lost_to_the_receiver_and_discarded_samples_are_accounted_for(
    tmp_path: Path, samples: Tensor, generator: torch.Generator
) -> None:
    noise = torch.randn(3, 64, dtype=torch.complex64, generator=generator)
    rows = [readout(noise, flags=(NOISE,), discard_pre=4, discard_post=10), *lines_of(samples)]
    field = "</systemFieldStrength_T>"
    share = "<relativeReceiverNoiseBandwidth>0.25</relativeReceiverNoiseBandwidth>"
    header = ismrmrd_xml().replace(field, field + share)
    read = read_kspace(write_rows(tmp_path / "scan", rows, header))
    assert read.noise is not None
    assert torch.allclose(read.noise, 2 * noise[:, 4:54])


@pytest.mark.parametrize("dwell", [np.nan, np.inf, 0.0])
def test_sampling_time_that_is_no_time_leaves_the_noise_scan_as_it_is(
    dwell: float, tmp_path: Path, samples: Tensor, generator: torch.Generator
) -> None:
    noise = torch.randn(3, 64, dtype=torch.complex64, generator=generator)
    rows = [readout(noise, flags=(NOISE,)), *lines_of(samples, sample_time_us=dwell)]
    read = read_kspace(write_rows(tmp_path / "scan", rows))
    assert read.noise is not None
    assert torch.equal(read.noise, noise)
    assert any("(not known)" in note for note in read.notes)


def test_averages_are_averaged_and_the_noise_scan_follows(
    tmp_path: Path, samples: Tensor, generator: torch.Generator
) -> None:
    noise = torch.randn(3, 64, dtype=torch.complex64, generator=generator)
    rows = [readout(noise, flags=(NOISE,))]
    rows += [*lines_of(samples * 0.5, average=0), *lines_of(samples * 1.5, average=1)]
    read = read_kspace(write_rows(tmp_path / "scan", rows))
    assert (read.data - samples).abs().max() <= IN_PLACE * samples.abs().max()
    assert any("Mean of 2 readouts" in note for note in read.notes)
    assert read.noise is not None
    assert torch.allclose(read.noise, noise / 2**0.5)


def test_navigators_and_dummies_are_dropped_and_counted(tmp_path: Path, samples: Tensor) -> None:
    wrong = torch.full((3, 20), 1e3, dtype=torch.complex64)
    extra = [readout(wrong, flags=(flag,)) for flag in (NAVIGATOR, DUMMY, DUMMY)]
    read = read_kspace(write_rows(tmp_path / "scan", extra + lines_of(samples)))
    assert torch.equal(read.data, samples)
    assert any(note.startswith("3 readouts left out") for note in read.notes)


def calibrated(samples: Tensor) -> list[Any]:
    """Return every second line of an image, and six lines for calibration, two of them both."""
    rows = [line for line in lines_of(samples) if line.idx.kspace_encode_step_1 % 2 == 0]
    for s in range(2):
        for line in range(12, 18):
            flag = BOTH if line % 2 == 0 else CALIBRATION
            if flag == CALIBRATION:
                data = samples[s, :, :, line]
                rows.append(readout(data, slice=s, kspace_encode_step_1=line, flags=(flag,)))
    return rows


def test_embedded_calibration_lines_join_the_image(tmp_path: Path, samples: Tensor) -> None:
    read = read_kspace(write_rows(tmp_path / "scan", calibrated(samples)))
    assert read.mask[0, 0, 12:18].all()
    assert torch.equal(read.data[..., 12:18], samples[..., 12:18])


def test_separate_calibration_lines_stay_out(tmp_path: Path, samples: Tensor) -> None:
    more = (
        "<trajectory>cartesian</trajectory><parallelImaging><calibrationMode>separate"
        "</calibrationMode></parallelImaging>"
    )
    xml = ismrmrd_xml(more=more)
    read = read_kspace(write_rows(tmp_path / "scan", calibrated(samples), xml))
    assert not read.mask[0, 0, 13:18:2].any()
    assert any("6 separate calibration" in note for note in read.notes)


def test_repetitions_are_refused_until_one_is_chosen(tmp_path: Path, samples: Tensor) -> None:
    rows = [*lines_of(samples, repetition=0), *lines_of(-3 * samples, repetition=4)]
    path = write_rows(tmp_path / "scan", rows)
    with pytest.raises(RefusedInputError, match=r"holds 2 frames .* --frame N, N from 0 to 1"):
        read_kspace(path)
    read = read_kspace(path, frame=1)
    assert torch.equal(read.data, -3 * samples)
    assert any(note.startswith("Frame 1 of 2") for note in read.notes)
    with pytest.raises(RefusedInputError, match="no frame 2"):
        read_kspace(path, frame=2)


def test_slices_out_of_order_are_sorted_along_their_normal(tmp_path: Path) -> None:
    samples = asymmetric_kspace(slices=4)
    where = (0.0, 12.0, 6.0, 18.0)  # mm along the normal: interleaved
    rows = [
        row
        for s in range(4)
        for row in lines_of(samples[s : s + 1], slice=s, position=(where[s], 0, 0), **POSED)
    ]
    read = read_kspace(write_rows(tmp_path / "scan", rows))
    assert torch.equal(read.data, samples[[0, 2, 1, 3]])
    assert read.voxel_size_mm == (6.0, 2.0, 3.0)
    assert any("Slices put in order" in note for note in read.notes)


def test_affine_is_that_of_the_heads_and_reaches_the_nifti(tmp_path: Path, samples: Tensor) -> None:
    rows = [
        row
        for s in range(2)
        for row in lines_of(samples[s : s + 1], slice=s, position=(7 + 6 * s, -2, 3), **POSED)
    ]
    read = read_kspace(write_rows(tmp_path / "scan", rows))
    assert read.affine is not None
    centre = read.affine @ torch.tensor([14.0, 10.0, 1.0, 1.0], dtype=torch.float64)
    assert centre[:3].tolist() == [-13.0, 2.0, 3.0]  # left and posterior turn their sign
    row_ahead = read.affine @ torch.tensor([14.0, 11.0, 1.0, 1.0], dtype=torch.float64) - centre
    assert row_ahead[:3].tolist() == [0.0, -2.0, 0.0]  # the readout runs to posterior
    target = tmp_path / "image.nii.gz"
    image = Fourier().adjoint(read.data).abs().square().sum(1).sqrt()
    write_nifti(target, image, voxel_size_mm=read.voxel_size_mm, affine=read.affine)
    written: Any = nibabel.load(target)
    assert np.allclose(written.affine, read.affine.numpy())


def test_simulated_scan_comes_back_with_its_noise_scan_and_orientation(
    tmp_path: Path, generator: torch.Generator
) -> None:
    config = ScanConfig(
        shape=(80, 72),
        voxel_size_mm=(6.0, 3.0, 3.0),
        n_slices=2,
        n_coils=4,
        noise_samples=256,
        orientation="diagonal",
    )
    scan = simulate(config, generator).kspace
    assert scan.affine is not None
    assert scan.noise is not None
    # Rows run to posterior, columns to the left: the axes of the head itself.
    head = {"read_dir": (0, 1, 0), "phase_dir": (1, 0, 0), "slice_dir": (0, 0, 1)}
    first = float(scan.affine[2, 3])
    rows = [readout(scan.noise, flags=(NOISE,))]
    for s in range(2):
        where = (0.0, 0.0, first + 6 * s)
        rows += lines_of(scan.data[s : s + 1], slice=s, position=where, **head)
    xml = ismrmrd_xml((80, 72, 1), (240, 216, 6), recon_read=80, centres=(36, 0))
    read = read_kspace(write_rows(tmp_path / "scan", rows, xml))
    assert torch.equal(read.data, scan.data)
    assert read.noise is not None
    assert torch.equal(read.noise, scan.noise)
    assert read.voxel_size_mm == scan.voxel_size_mm
    assert read.affine is not None
    assert torch.allclose(read.affine, scan.affine.double(), atol=1e-4)  # heads are 32-bit


def test_oversampling_removed_moves_the_affine_with_the_image(
    tmp_path: Path, samples: Tensor
) -> None:
    path = write_rows(tmp_path / "scan", lines_of(samples[:1], **POSED))
    read = read_kspace(path)
    cropped = remove_readout_oversampling(read)
    assert read.affine is not None
    assert cropped.affine is not None
    # Row 5 of the full image is row 0 of the cropped one.
    full = read.affine @ torch.tensor([0.0, 5.0, 0.0, 1.0], dtype=torch.float64)
    assert torch.equal(cropped.affine[:, 3], full)


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"read_dir": READ, "phase_dir": READ, "slice_dir": SLICE},
        {"read_dir": (0, 2, 0), "phase_dir": PHASE, "slice_dir": SLICE},
        {"read_dir": (0, np.nan, 0), "phase_dir": PHASE, "slice_dir": SLICE},
        {**POSED, "position": (np.inf, 0, 0)},
    ],
)
def test_directions_that_are_no_frame_leave_the_affine_unknown(
    head: dict[str, tuple[float, ...]], tmp_path: Path, samples: Tensor
) -> None:
    read = read_kspace(write_rows(tmp_path / "scan", lines_of(samples[:1], **head)))
    assert read.affine is None


def test_volume_is_split_along_its_readout(tmp_path: Path) -> None:
    planes = asymmetric_kspace(slices=8, height=12, width=14)  # slices are readout positions
    planes[:, :, ::3] = 0
    volume = Fourier(dims=(0,))(planes)
    rows = [
        readout(
            volume[:, :, line, part].T,
            kspace_encode_step_1=line,
            kspace_encode_step_2=part,
            position=(1.0, 2.0, 3.0),
            **POSED,
        )
        for line in range(12)
        for part in range(14)
        if line % 3
    ]
    header = ismrmrd_xml((8, 12, 14), (16, 36, 56), recon_read=4, centres=(6, 7))
    read = read_kspace(write_rows(tmp_path / "scan", rows, header))
    error = (read.data - planes[2:6]).abs().max()
    assert error <= IN_PLACE * planes.abs().max()
    assert torch.equal(read.mask[0, :, 0], torch.arange(12) % 3 != 0)
    assert read.voxel_size_mm == (2.0, 3.0, 4.0)
    assert read.affine is not None
    centre = read.affine @ torch.tensor([7.0, 6.0, 2.0, 1.0], dtype=torch.float64)
    assert centre[:3].tolist() == [-1.0, -2.0, 3.0]


def test_planes_whose_header_counts_slices_as_partitions_stay_planes(
    tmp_path: Path, samples: Tensor
) -> None:
    path = write_rows(tmp_path / "scan", lines_of(samples), ismrmrd_xml((20, 28, 2)))
    read = read_kspace(path)
    assert torch.equal(read.data, samples)
    assert read.voxel_size_mm == (None, 2.0, 3.0)
    assert any("encodes 2 partitions, the readouts hold one" in note for note in read.notes)


def test_volume_with_an_incomplete_readout_is_refused(tmp_path: Path) -> None:
    volume = asymmetric_kspace(slices=8, height=4, width=4)
    rows = [
        readout(
            volume[3:, :, line, part].T,
            kspace_encode_step_1=line,
            kspace_encode_step_2=part,
            center_sample=1,
        )
        for line in range(4)
        for part in range(4)
    ]
    rows[0] = readout(volume[:, :, 0, 0].T)
    header = ismrmrd_xml((8, 4, 4), centres=(2, 2), recon_read=8)
    with pytest.raises(RefusedInputError, match="readout is not fully sampled"):
        read_kspace(write_rows(tmp_path / "scan", rows, header))


def test_header_that_says_nothing_useful_leaves_geometry_unknown(
    tmp_path: Path, samples: Tensor
) -> None:
    header = ismrmrd_xml(fov_mm=(0, 0, 0), centres=None, more="")
    read = read_kspace(write_rows(tmp_path / "scan", lines_of(samples, **POSED), header))
    assert torch.equal(read.data, samples)
    assert read.voxel_size_mm == (None, None, None)
    assert read.affine is None
    assert read.recon_matrix == (None, None)


def test_centre_that_does_not_fit_is_left_unused(tmp_path: Path, samples: Tensor) -> None:
    header = ismrmrd_xml(centres=(0, 0))
    read = read_kspace(write_rows(tmp_path / "scan", lines_of(samples), header))
    assert torch.equal(read.data, samples)
    assert any("centre 0 of 28 lines does not fit" in note for note in read.notes)


@pytest.mark.parametrize(
    ("more", "said"),
    [("<trajectory>radial</trajectory>", "radial trajectory"), ("<trajectory>epi", "not readable")],
)
def test_other_trajectories_and_broken_headers_are_refused(
    more: str, said: str, tmp_path: Path, samples: Tensor
) -> None:
    path = write_rows(tmp_path / "scan", lines_of(samples), ismrmrd_xml(more=more))
    with pytest.raises(RefusedInputError, match=said):
        read_kspace(path)


@pytest.mark.parametrize(
    "said",
    [
        "2 reversed readouts",
        r"of \[2, 3\] channels",
        "falls at",
        "no readout of an image",
        "at least one sample",
    ],
)
def test_readouts_that_cannot_be_an_image_are_refused(
    said: str, tmp_path: Path, samples: Tensor
) -> None:
    lines = lines_of(samples[:, :, :, :6])
    rows = {
        "2 reversed readouts": [
            *lines,
            readout(samples[0, :, :, 0], flags=(REVERSE,)),
            readout(samples[0, :, :, 9], kspace_encode_step_1=9, flags=(CALIBRATION, REVERSE)),
        ],
        r"of \[2, 3\] channels": [*lines, readout(samples[0, :2, :, 0])],
        "falls at": [*lines, readout(samples[0, :, :, 0], kspace_encode_step_1=28)],
        "no readout of an image": [readout(samples[0, :, :, 0], flags=(NOISE,))],
        "at least one sample": [*lines, readout(samples[0, :, :, 0], discard_pre=20)],
    }[said]
    with pytest.raises(RefusedInputError, match=said):
        read_kspace(write_rows(tmp_path / "scan", rows))


def test_missing_header_is_named(tmp_path: Path, samples: Tensor) -> None:
    path = write_rows(tmp_path / "scan", lines_of(samples))
    with h5py.File(path, "a") as file:
        del file["dataset/xml"]
    with pytest.raises(RefusedInputError, match="dataset/xml is missing"):
        read_kspace(path)


@pytest.mark.parametrize("points", [60_000, 2**31 - 1])
def test_matrix_that_claims_more_than_the_budget_is_refused(
    points: int, tmp_path: Path, samples: Tensor
) -> None:
    rows = [*lines_of(samples), readout(samples[0, :, :, 0], kspace_encode_step_2=1)]
    path = write_rows(tmp_path / "scan", rows, ismrmrd_xml((points, points, points)))
    with pytest.raises(BudgetError, match="memory budget"):
        read_kspace(path, budget_bytes=2**28)


@pytest.mark.parametrize("entry", ["<y>28</y>", "<center>14</center>"])
def test_numbers_beyond_any_matrix_count_as_not_given(
    entry: str, tmp_path: Path, samples: Tensor
) -> None:
    wrong = f"{entry[: entry.index('>')]}>1e300{entry[entry.index('</') :]}"
    header = ismrmrd_xml().replace(entry, wrong, 1)
    read = read_kspace(write_rows(tmp_path / "scan", lines_of(samples), header))
    assert torch.equal(read.data, samples)


def test_given_mask_is_compared_with_the_counters_and_not_with_zeros(
    tmp_path: Path, samples: Tensor
) -> None:
    samples[:, :, 3, 4] = 0  # acquired, and exactly zero
    lines = [line for line in lines_of(samples) if line.idx.kspace_encode_step_1 != 7]
    path = write_rows(tmp_path / "scan", lines)
    mask = np.arange(28) != 7
    np.save(tmp_path / "mask.npy", mask)
    assert torch.equal(read_kspace(path, mask=tmp_path / "mask.npy").mask[0, 3], torch.tensor(mask))
    np.save(tmp_path / "mask.npy", np.ones(28))
    with pytest.raises(RefusedInputError, match="disagrees"):
        read_kspace(path, mask=tmp_path / "mask.npy")


def test_row_that_holds_fewer_samples_than_it_claims_is_refused(
    tmp_path: Path, samples: Tensor
) -> None:
    path = write_rows(tmp_path / "scan", lines_of(samples))
    with h5py.File(path, "a") as file:
        row = file["dataset/data"][5]
        row["data"] = row["data"][:-2]
        file["dataset/data"][5] = row
    with pytest.raises(TruncatedFileError, match="damaged"):
        read_kspace(path)


@pytest.mark.parametrize("field", ["number_of_samples", "active_channels"])
@pytest.mark.parametrize("claimed", [-5, 2**62])
def test_row_that_claims_what_no_row_can_hold_is_refused(
    field: str, claimed: int, tmp_path: Path, samples: Tensor
) -> None:
    noise = readout(samples[0, :, :, 0], flags=(NOISE,))
    path = write_rows(tmp_path / "scan", [noise, *lines_of(samples)])
    with h5py.File(path, "a") as file:
        rows = file["dataset/data"][()]
        del file["dataset/data"]
        old = rows.dtype["head"]
        # a head may say how wide its numbers are
        head = np.dtype([(name, "<i8" if name == field else old[name]) for name in old.names])
        real = h5py.vlen_dtype(np.float32)
        wide = np.empty(len(rows), [("head", head), ("traj", real), ("data", real)])
        for name in old.names:
            wide["head"][name] = rows["head"][name]
        wide["traj"], wide["data"] = rows["traj"], rows["data"]
        wide["head"][field][0] = claimed
        file["dataset/data"] = wide
    with pytest.raises(RefusedInputError, match=f"claims {field} from .*; allowed: 0 to 65535"):
        read_kspace(path)


@pytest.mark.data
def test_simulated_brain_of_mrireco_survives_its_header(data_dir: Path) -> None:
    path = data_dir / "mri" / "mrireco_acqDataBrainSim100.h5"
    read = read_kspace(path)
    with h5py.File(path) as file:
        rows = [row.view(np.complex64) for row in file["dataset/data"]["data"]]
    assert np.array_equal(read.data[0, 0].numpy(), np.stack(rows, axis=1))
    assert read.mask.all()
    assert read.voxel_size_mm == (None, None, None)
    assert (read.affine, read.field_strength_t) == (None, None)
