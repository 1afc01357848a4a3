"""One ECG of twelve leads, written in every format that is read."""

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import numpy.typing as npt
import pydicom
import scipy.io
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid

from medconsist.timeseries.readers.channel_names import TWELVE_LEADS
from medconsist.timeseries.readers.hdf5_file import write_hdf5
from medconsist.timeseries.readers.options import DEFAULT_OPTIONS, ReadOptions
from medconsist.timeseries.readers.zarr_folder import write_zarr
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo


@contextmanager
def quiet() -> Iterator[None]:
    """wfdb 4.3.1 uses what pandas 3 deprecates, as it is imported and as it writes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


with quiet():
    import wfdb as wfdb

RATE = 100.0
STEP_MV = 0.01  # every format stores whole multiples of it
SAMPLES = 300
NAME = "SECRET^PERSON"
BORN = "19610704"

Signal = npt.NDArray[np.float32]


def twelve_leads() -> Signal:
    """Whole multiples of 0.01 mV that obey Einthoven's and Goldberger's laws."""
    rng = np.random.default_rng(7)
    time = np.arange(SAMPLES) / RATE
    beat = np.exp(-(((time % 0.8) - 0.3) ** 2) / 0.0004)
    first = 2 * np.round(40 * beat + rng.normal(0, 2, SAMPLES))
    second = 2 * np.round(60 * beat + rng.normal(0, 2, SAMPLES))
    limbs = [first, second, second - first, -(first + second) / 2, first - second / 2]
    chest = [np.round((n - 2) * 20 * beat + rng.normal(0, 2, SAMPLES)) for n in range(6)]
    return np.stack([*limbs, second - first / 2, *chest], 1).astype(np.float32) * np.float32(
        STEP_MV
    )


def write_wfdb(folder: Path, signal: Signal) -> Path:
    with quiet():
        wfdb.wrsamp(
            "record",
            fs=RATE,
            units=["mv"] * 12,
            sig_name=[name.lower() for name in TWELVE_LEADS],
            d_signal=np.round(signal / STEP_MV).astype(np.int64),
            fmt=["16"] * 12,
            adc_gain=[1 / STEP_MV] * 12,
            baseline=[0] * 12,
            comments=[f"name: {NAME}", f"born: {BORN}", "Dx: 426783006,1"],
            write_dir=str(folder),
        )
    return folder / "record.hea"


def write_edf(folder: Path, signal: Signal, *, bdf: bool = False) -> Path:
    # Limits have 8 characters in the header, which would round those of 24 bits.
    lowest = -(2**15)
    kind: Any = edfio.BdfSignal if bdf else edfio.EdfSignal
    physical = (lowest * STEP_MV, (-lowest - 1) * STEP_MV)
    signals = [
        kind(
            signal[:, n].astype(np.float64),
            RATE,
            label=name,
            physical_dimension="mV",
            physical_range=physical,
            digital_range=(lowest, -lowest - 1),
        )
        for n, name in enumerate(TWELVE_LEADS)
    ]
    whole: Any = edfio.Bdf if bdf else edfio.Edf
    file = whole(
        signals,
        patient=edfio.Patient(name="SECRET_PERSON", code="PERSON", sex="F"),
        data_record_duration=1,
        annotations=[edfio.EdfAnnotation(0.5, None, "beat")],
    )
    path = folder / ("record.bdf" if bdf else "record.edf")
    file.write(path)
    return path


def write_bdf(folder: Path, signal: Signal) -> Path:
    return write_edf(folder, signal, bdf=True)


def write_csv(folder: Path, signal: Signal) -> Path:
    path = folder / "record.csv"
    names = ["time [s]", *(f"{name} [mV]" for name in TWELVE_LEADS)]
    rows = np.column_stack([np.arange(len(signal)) / RATE, signal])
    lines = [",".join(f"{value:.6g}" for value in row) for row in rows]
    path.write_text("\n".join([",".join(names), *lines, ""]))
    return path


def write_npy(folder: Path, signal: Signal) -> Path:
    np.save(folder / "record.npy", signal)
    return folder / "record.npy"


def write_mat(folder: Path, signal: Signal) -> Path:
    ecg = {"sex": "Female", "age": 61, "data": signal.T.astype(np.float64)}
    scipy.io.savemat(folder / "record.mat", {"ECG": ecg}, do_compression=True)
    return folder / "record.mat"


def write_hdf5_record(folder: Path, signal: Signal) -> Path:
    write_hdf5(in_memory(signal), folder / "record.h5")
    return folder / "record.h5"


def write_zarr_record(folder: Path, signal: Signal) -> Path:
    write_zarr(in_memory(signal), folder / "record.zarr")
    return folder / "record.zarr"


def in_memory(signal: Signal, **more: Any) -> InMemoryRecording:
    names = (
        tuple(TWELVE_LEADS) if signal.shape[1] == 12 else tuple(map(str, range(signal.shape[1])))
    )
    units = ("mV",) * signal.shape[1]
    info = RecordingInfo(
        **{"rate": RATE, "channels": names, "units": units, "samples": len(signal), **more}
    )
    return InMemoryRecording(info, signal)


def write_dicom(folder: Path, signal: Signal, *, groups: int = 1) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = TwelveLeadECGWaveformStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / "record.dcm"
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
    file.Modality, file.PatientName, file.PatientID = "ECG", NAME, "PERSON-1"
    file.PatientBirthDate, file.AcquisitionDateTime = BORN, "20200102030405.5"
    file.WaveformSequence = Sequence([_group(signal, n) for n in range(groups)])
    note = Dataset()
    note.ConceptNameCodeSequence = Sequence([_code("R peak", "5.10.2-1")])
    note.ReferencedWaveformChannels, note.ReferencedSamplePositions = [1, 0], [31, 111]
    note.TemporalRangeType = "MULTIPOINT"
    text = Dataset()
    text.UnformattedTextValue = f"seen by {NAME}"
    file.WaveformAnnotationSequence = Sequence([note, text])
    pydicom.dcmwrite(path, file, enforce_file_format=True)
    return path


def _group(signal: Signal, number: int) -> Dataset:
    # The stored numbers are the wanted ones less a baseline, in steps of 2.5 * 4 uV.
    group = Dataset()
    group.MultiplexGroupLabel = f"GROUP {number}"
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = signal.shape[1], len(signal)
    group.SamplingFrequency, group.WaveformBitsAllocated = RATE, 16
    group.WaveformSampleInterpretation = "SS"
    group.ChannelDefinitionSequence = Sequence([_channel(name) for name in TWELVE_LEADS])
    stored = np.round(signal / STEP_MV).astype("<i2") - 3
    group.add_new(0x54001010, "OW", stored.tobytes())
    return group


def _channel(name: str) -> Dataset:
    channel = Dataset()
    channel.ChannelSourceSequence = Sequence([_code(f"Lead {name}", "2:1")])
    channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = "2.5", "4"
    channel.ChannelBaseline, channel.WaveformBitsStored = "30", 16
    channel.ChannelSensitivityUnitsSequence = Sequence([_code("microvolt", "uV")])
    return channel


def _code(meaning: str, value: str) -> Dataset:
    code = Dataset()
    code.CodeMeaning, code.CodeValue, code.CodingSchemeDesignator = meaning, value, "TEST"
    return code


def write_comet(
    folder: Path, *, ids: tuple[int, ...] = (1, 2, 3), digits: int = 2, meta: bool = True
) -> Path:
    """Write three trials a patient; each value says whose it is: 100 * place + trial."""
    (folder / "Feature").mkdir(parents=True)
    (folder / "Label").mkdir()
    for place, patient in enumerate(ids):
        trials = np.zeros((3, 8, 2), np.float32) + 100 * place + np.arange(3)[:, None, None]
        np.save(folder / "Feature" / f"feature_{patient:0{digits}d}.npy", trials)
    rows = [[place % 2, patient] for place, patient in enumerate(ids)]
    np.save(folder / "Label" / "label.npy", np.array(rows))
    if meta:
        said = {
            "fs": 256,
            "units": "uV",
            "channels": ["FP1", "CZ"],
            "labels": {"0": "no", "1": "yes"},
        }
        (folder / "meta.json").write_text(json.dumps(said))
    return folder


@dataclass(frozen=True)
class Format:
    """How a format is written, and what must be told to read it."""

    write: Callable[[Path, Signal], Path]
    options: ReadOptions = DEFAULT_OPTIONS
    samples: str | None = None  # where the samples lie, if not in the file that is opened
    unit: str | None = "mV"
    scale: float = 1.0  # of the numbers read to mV


FORMATS = {
    "wfdb": Format(write_wfdb, samples="record.dat"),
    "edf": Format(write_edf),
    "bdf": Format(write_bdf),
    "csv": Format(write_csv),
    "npy": Format(write_npy, ReadOptions(rate=RATE, channels=tuple(TWELVE_LEADS)), unit=None),
    "mat": Format(write_mat, ReadOptions(rate=RATE), unit=None),
    "dicom": Format(write_dicom, unit="uV", scale=1e-3),
    "hdf5": Format(write_hdf5_record),
    "zarr": Format(write_zarr_record, samples="record.zarr/signal/c/0/0"),
}
