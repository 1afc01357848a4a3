"""DICOM groups and padding, MAT structs, and our own layout in HDF5 and Zarr."""

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pydicom
import pytest
import scipy.io
import zarr
from pydicom.uid import ExplicitVRBigEndian

from medconsist.errors import (
    BudgetError,
    CorruptInputError,
    RefusedInputError,
    StorageError,
    TruncatedFileError,
    UnsafeFileError,
    UnsupportedInputError,
)
from medconsist.timeseries.readers.choice import open_dataset, open_recording
from medconsist.timeseries.readers.hdf5_file import write_hdf5
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.zarr_folder import write_zarr
from medconsist.timeseries.recording import Annotation
from tests.timeseries.readers.writers import (
    in_memory,
    quiet,
    twelve_leads,
    write_dicom,
    write_hdf5_record,
    write_mat,
    write_zarr_record,
)

AT_100 = ReadOptions(rate=100)


def changed(path: Path, **values: Any) -> Path:
    file = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(file.WaveformSequence[0], name, value)
    file.save_as(path)
    return path


def test_several_groups_must_be_chosen(tmp_path: Path) -> None:
    path = write_dicom(tmp_path, twelve_leads(), groups=2)
    with pytest.raises(RefusedInputError, match=r"2 multiplex groups \(0: GROUP 0, 300 samples; 1"):
        open_recording(path)
    with pytest.raises(RefusedInputError, match="2 was chosen"):
        open_recording(path, options=ReadOptions(group=2))
    assert open_recording(path, options=ReadOptions(group=1)).info.trial == "record-1"
    assert [one.info.trial for one in open_dataset(path)] == ["record", "record-1"]


def test_baseline_and_correction_are_applied(tmp_path: Path) -> None:
    recording = open_recording(write_dicom(tmp_path, twelve_leads()))
    stored = np.frombuffer(
        pydicom.dcmread(tmp_path / "record.dcm").WaveformSequence[0].WaveformData, "<i2"
    )
    assert np.allclose(recording.read(0, 1)[0], stored[:12] * 2.5 * 4 + 30)


def test_words_of_a_big_endian_file_are_swapped(tmp_path: Path) -> None:
    path = write_dicom(tmp_path, twelve_leads())
    wanted = open_recording(path).read()
    file = pydicom.dcmread(path)
    group = file.WaveformSequence[0]
    group.WaveformData = np.frombuffer(group.WaveformData, "<i2").astype(">i2").tobytes()
    file.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(tmp_path / "big.dcm", file, enforce_file_format=True)
    assert np.array_equal(open_recording(tmp_path / "big.dcm").read(), wanted)


@pytest.mark.parametrize("change", [{"ChannelSensitivity": "nan"}, {"ChannelSensitivity": "0"},
                                    {"ChannelBaseline": "inf"}])  # fmt: skip
def test_a_scale_that_is_no_scale_is_refused(change: dict[str, str], tmp_path: Path) -> None:
    file = pydicom.dcmread(write_dicom(tmp_path, twelve_leads()))
    with quiet():
        for name, value in change.items():
            setattr(file.WaveformSequence[0].ChannelDefinitionSequence[2], name, value)
        file.save_as(tmp_path / "record.dcm")
    with pytest.raises(CorruptInputError, match=r"Lead III has the sensitivity .* other than 0"):
        open_recording(tmp_path / "record.dcm")


def test_a_damaged_length_of_the_file_head_is_one_sentence(tmp_path: Path) -> None:
    path = write_dicom(tmp_path, twelve_leads())
    content = bytearray(path.read_bytes())
    content[138:140] = b"\x06\x00"  # of the length of the head, which is 4 bytes long
    path.write_bytes(content)
    with pytest.raises(CorruptInputError, match=r"pydicom says .Expected total bytes"):
        open_recording(path)


def test_padding_is_missing(tmp_path: Path) -> None:
    path = write_dicom(tmp_path, twelve_leads())
    stored = np.frombuffer(pydicom.dcmread(path).WaveformSequence[0].WaveformData, "<i2")
    file = pydicom.dcmread(path)
    file.WaveformSequence[0].add_new(0x5400100A, "OW", np.array([-3], "<i2").tobytes())
    file.save_as(path)
    missing = np.isnan(open_recording(path).read())
    assert np.array_equal(missing, stored.reshape(300, 12) == -3)
    assert missing.any()


def test_start_and_coded_annotations_are_read_and_free_text_is_not(tmp_path: Path) -> None:
    info = open_recording(write_dicom(tmp_path, twelve_leads())).info
    assert info.start == datetime(2020, 1, 2, 3, 4, 5, 500_000)
    assert info.annotations == (
        Annotation(start=0.3, label="R peak"),
        Annotation(start=1.1, label="R peak"),
    )


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"NumberOfWaveformSamples": 301}, TruncatedFileError),
        ({"NumberOfWaveformSamples": 299}, CorruptInputError),
        ({"NumberOfWaveformSamples": 4_000_000_000}, TruncatedFileError),
        ({"NumberOfWaveformChannels": 6, "NumberOfWaveformSamples": 600}, CorruptInputError),
        ({"SamplingFrequency": 0}, RefusedInputError),
        ({"SamplingFrequency": None}, CorruptInputError),
        ({"WaveformSampleInterpretation": "MB"}, UnsupportedInputError),
    ],
)
def test_groups_that_lie_are_refused(
    values: dict[str, Any], kind: type[Exception], tmp_path: Path
) -> None:
    path = changed(write_dicom(tmp_path, twelve_leads()), **values)
    with pytest.raises(kind, match=r"record\.dcm"):
        open_recording(path)


def test_a_channel_without_sensitivity_has_no_unit(tmp_path: Path) -> None:
    file = pydicom.dcmread(write_dicom(tmp_path, twelve_leads()))
    del file.WaveformSequence[0].ChannelDefinitionSequence[2].ChannelSensitivity
    file.save_as(tmp_path / "record.dcm")
    assert open_recording(tmp_path / "record.dcm").info.units[2] is None


def test_dicom_without_a_waveform_is_refused(tmp_path: Path) -> None:
    file = pydicom.dcmread(write_dicom(tmp_path, twelve_leads()))
    del file.WaveformSequence
    file.save_as(tmp_path / "record.dcm")
    with pytest.raises(UnsupportedInputError, match="DICOM without a waveform"):
        open_recording(tmp_path / "record.dcm")


@pytest.mark.parametrize(
    "content",
    [
        {"other": 1},
        {"ECG": 5},
        {"ECG": {"sex": "F"}},
        {"ECG": {"data": np.ones((3, 50))}},
        {"ECG": {"data": np.ones((12, 0))}},
        {"ECG": {"data": "text"}},
    ],
)
def test_mat_of_another_content_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", content)
    with pytest.raises(UnsupportedInputError, match=r"a\.mat"):
        open_recording(tmp_path / "a.mat", options=AT_100)


def test_compressed_mat_beyond_the_budget_is_refused_while_it_inflates(tmp_path: Path) -> None:
    scipy.io.savemat(
        tmp_path / "a.mat", {"ECG": {"data": np.zeros((12, 200_000))}}, do_compression=True
    )
    assert (tmp_path / "a.mat").stat().st_size < 100_000
    with pytest.raises(BudgetError, match=r"a\.mat claims .* MiB, more than the memory budget"):
        open_recording(tmp_path / "a.mat", options=ReadOptions(rate=1, budget_bytes=2**21))


def test_mat_without_compression_is_read(tmp_path: Path) -> None:
    write_mat(tmp_path, twelve_leads())
    scipy.io.savemat(tmp_path / "b.mat", {"ECG": {"data": twelve_leads().T}})
    assert np.array_equal(
        open_recording(tmp_path / "b.mat", options=AT_100).read(),
        open_recording(tmp_path / "record.mat", options=AT_100).read(),
    )


@pytest.mark.parametrize("kind", ["h5", "zarr"])
def test_what_is_written_comes_back_whole(kind: str, tmp_path: Path) -> None:
    wanted = in_memory(
        twelve_leads(),
        units=("mV",) * 11 + (None,),
        patient="16777217",
        trial="3",
        start=datetime(2021, 5, 6, 7, 8, 9),
        annotations=(
            Annotation(start=0.5, label="N"),
            Annotation(start=1.0, label="V", duration=2.0),
        ),
        diagnoses=("426783006",),
        notes=("As it was.",),
    )
    (write_hdf5 if kind == "h5" else write_zarr)(wanted, tmp_path / f"a.{kind}")
    found = open_recording(tmp_path / f"a.{kind}")
    assert np.array_equal(found.read(), wanted.read())
    for name in ("rate", "channels", "units", "samples", "patient", "trial", "start", "diagnoses"):
        assert getattr(found.info, name) == getattr(wanted.info, name), name
    assert found.info.annotations == wanted.info.annotations
    assert found.info.notes[0] == "As it was."


HEADERS = [
    ({"version": 2}, "version"),
    ({"format": "other"}, "format"),
    ({"secret": 1}, "secret"),
    ({"channels": ["I"]}, "names 1 channels"),
    ({"rate": 0}, "0.0 Hz"),
    ({"rate": "fast"}, "rate"),
    ({"units": ["mV"]}, "with 1 units"),
]


@pytest.mark.parametrize(("change", "match"), HEADERS)
def test_hdf5_headers_that_lie_are_refused(
    change: dict[str, Any], match: str, tmp_path: Path
) -> None:
    path = write_hdf5_record(tmp_path, twelve_leads())
    with h5py.File(path, "a") as file:
        header = {**json.loads(file["header"][...].tobytes()), **change}
        del file["header"]
        file["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with pytest.raises(RefusedInputError, match=match):
        open_recording(path)


@pytest.mark.parametrize(("change", "match"), HEADERS)
def test_zarr_headers_that_lie_are_refused(
    change: dict[str, Any], match: str, tmp_path: Path
) -> None:
    path = write_zarr_record(tmp_path, twelve_leads())
    attributes: Any = zarr.open_group(path, mode="a").attrs
    attributes["medconsist"] = {**dict(attributes)["medconsist"], **change}
    with pytest.raises(RefusedInputError, match=match):
        open_recording(path)


def test_hdf5_that_reaches_outside_itself_is_refused(tmp_path: Path) -> None:
    path = write_hdf5_record(tmp_path, twelve_leads())
    with h5py.File(path, "a") as file:
        file["link"] = h5py.ExternalLink("other.h5", "/signal")
    with pytest.raises(UnsafeFileError, match="ExternalLink"):
        open_recording(path)


def test_hdf5_that_claims_samples_it_does_not_hold_is_refused(tmp_path: Path) -> None:
    path = write_hdf5_record(tmp_path, twelve_leads())
    with h5py.File(path, "a") as file:
        del file["signal"]
        file.create_dataset("signal", (10**12, 12), np.float32)
    with pytest.raises(TruncatedFileError, match="signal claims 48000000000000 bytes and 0 are"):
        open_recording(path)


def test_compressed_hdf5_is_refused(tmp_path: Path) -> None:
    path = write_hdf5_record(tmp_path, twelve_leads())
    with h5py.File(path, "a") as file:
        del file["signal"]
        file.create_dataset("signal", data=twelve_leads(), compression="gzip")
    with pytest.raises(UnsupportedInputError, match="signal is compressed"):
        open_recording(path)


def test_hdf5_of_another_layout_names_what_is_there(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = np.ones(3)
    with pytest.raises(UnsupportedInputError, match=r"no array 'signal' \(found: \['kspace'\]"):
        open_recording(tmp_path / "a.h5")


def test_hdf5_that_changed_since_it_was_opened_is_refused(tmp_path: Path) -> None:
    path = write_hdf5_record(tmp_path, twelve_leads())
    recording = open_recording(path)
    write_hdf5(in_memory(twelve_leads()[:200]), path)
    with pytest.raises(CorruptInputError, match="has changed since"):
        recording.read()


def test_a_lost_chunk_is_not_taken_for_samples(tmp_path: Path) -> None:
    path = write_zarr_record(tmp_path, twelve_leads())
    shutil.rmtree(path / "signal" / "c")
    with pytest.raises(TruncatedFileError, match="0 of 1 chunks are there"):
        open_recording(path)


def test_links_within_zarr_are_refused(tmp_path: Path) -> None:
    path = write_zarr_record(tmp_path, twelve_leads())
    (path / "signal" / "c" / "0" / "1").symlink_to(tmp_path)
    with pytest.raises(UnsafeFileError, match="holds the link 1"):
        open_recording(path)


def test_zarr_is_written_once_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    path = write_zarr_record(tmp_path, twelve_leads())
    with pytest.raises(StorageError, match="is there already"):
        write_zarr(in_memory(twelve_leads()), path)
    with pytest.raises(StorageError, match="cannot be written"):
        write_zarr(in_memory(twelve_leads()), path / "zarr.json" / "below")
    assert [one.name for one in tmp_path.iterdir()] == ["record.zarr"]


def test_a_folder_of_other_zarr_is_refused(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(UnsupportedInputError, match="no array 'signal'"):
        open_recording(tmp_path / "a.zarr")


def test_datasets_name_what_they_cannot_tell(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match=r"holds no recording; allowed: \.hea"):
        open_dataset(tmp_path)
    write_hdf5_record(tmp_path, twelve_leads())
    write_hdf5(in_memory(twelve_leads()), tmp_path / "other.h5")
    with pytest.raises(RefusedInputError, match="cannot all be of the one patient 'x'"):
        open_dataset(tmp_path, options=ReadOptions(patient="x"))
    write_mat(tmp_path, twelve_leads())
    with pytest.raises(RefusedInputError, match=r"several recordings named \['record'\]"):
        open_dataset(tmp_path)


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="open many recordings with open_dataset"):
        open_recording(tmp_path)


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf")])
def test_a_rate_of_no_sense_is_refused(rate: float | int) -> None:
    with pytest.raises(RefusedInputError, match="allowed: a positive number"):
        ReadOptions(rate=rate)
