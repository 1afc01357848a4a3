"""DICOM waveforms (PS3.3 C.10.9): one multiplex group is one recording.

A stored value becomes ``value * sensitivity * correction + baseline`` in the units of the channel
sensitivity. Padding is NaN. Names, ids, birth dates and free text of the header stay there.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Float64, Integer

from medconsist._extras import require
from medconsist._library_errors import library_errors
from medconsist.errors import CorruptInputError, RefusedInputError, UnsupportedInputError
from medconsist.timeseries.readers.files import (
    as_float32,
    require_budget,
    require_bytes,
    require_file,
)
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.raw_header import RawHeader, info_of
from medconsist.timeseries.recording import Annotation, Recording, RecordingInfo

__all__ = ["DicomRecording", "count_groups", "open_dicom"]

_TYPES = {
    (8, "SB"): "i1",
    (8, "UB"): "u1",
    (16, "SS"): "i2",
    (16, "US"): "u2",
    (32, "SL"): "i4",
    (32, "UL"): "u4",
}
_LIBRARY = "pydicom"


class DicomRecording(Recording):
    """One multiplex group; numbers are held as stored and become physical span by span.

    Parameters
    ----------
    info
        Of the recording.
    stored
        ``time channels``.
    gain, offset
        Of each channel.
    padding
        The stored number that stands for a missing sample, if any.

    Examples
    --------
    >>> info = RecordingInfo(rate=500.0, channels=("I",), units=("uV",), samples=2)
    >>> stored = np.array([[2], [-9]], np.int16)
    >>> DicomRecording(info, stored, np.array([2.5]), np.array([0.5]), padding=-9).read().tolist()
    [[5.5], [nan]]
    """

    def __init__(
        self,
        info: RecordingInfo,
        stored: Integer[npt.NDArray[Any], "time channels"],
        gain: Float64[npt.NDArray[np.float64], " channels"],
        offset: Float64[npt.NDArray[np.float64], " channels"],
        *,
        padding: int | None = None,
    ) -> None:
        super().__init__(info)
        self._stored, self._gain, self._offset, self._padding = stored, gain, offset, padding

    def read(
        self, start: int = 0, stop: int | None = None
    ) -> Float32[npt.NDArray[np.float32], "time channels"]:
        """Return samples in the units of their channel sensitivity."""
        stored = self._stored[self._span(start, stop)]
        signal = stored * self._gain + self._offset
        if self._padding is not None:
            signal[stored == self._padding] = np.nan
        return as_float32(signal, self.info.source)


def count_groups(path: Path, options: ReadOptions) -> int:
    """Return how many multiplex groups a file holds."""
    return len(_groups(_dataset(path, options), path))


def open_dicom(path: Path, options: ReadOptions) -> Recording:
    """Open one multiplex group of a DICOM file.

    Raises
    ------
    RefusedInputError
        There are several groups and none was chosen, or no such group.
    UnsupportedInputError
        No waveform, or a sample type that is not a whole number (mu-law and A-law).
    TruncatedFileError, CorruptInputError, BudgetError
        As their names say.
    """
    dataset = _dataset(path, options)
    number = _choose(_groups(dataset, path), options.group, path.name)
    with library_errors(path.name, _LIBRARY):
        return _read(dataset, number, path, options)


def _dataset(path: Path, options: ReadOptions) -> Any:  # noqa: ANN401  a class of pydicom
    require_budget(path.name, require_file(path), options.budget_bytes)
    pydicom = require("pydicom", extra="timeseries")
    with library_errors(path.name, _LIBRARY, also=(pydicom.errors.BytesLengthException,)):
        return pydicom.dcmread(path)


def _groups(dataset: Any, path: Path) -> list[Any]:  # noqa: ANN401  a class of pydicom
    with library_errors(path.name, _LIBRARY):
        groups = list(dataset.get("WaveformSequence") or ())
        what = str(dataset.get("Modality", "no modality"))[:16]
    if not groups:
        msg = (
            f"{path.name} is DICOM without a waveform ({what}), or ends before it; allowed: ECG, "
            "haemodynamic and other waveform objects, whole."
        )
        raise UnsupportedInputError(msg)
    return groups


def _choose(groups: list[Any], wanted: int | None, name: str) -> int:
    if wanted is None and len(groups) == 1:
        return 0
    if wanted is None or wanted >= len(groups):
        found = "; ".join(
            f"{n}: {_text(group, 'MultiplexGroupLabel') or 'no label'}, "
            f"{group.get('NumberOfWaveformSamples')} samples"
            for n, group in enumerate(groups[:9])
        )
        msg = (
            f"{name} holds {len(groups)} multiplex groups ({found}), {wanted} was chosen. Choose "
            "one with ReadOptions(group=...), from 0."
        )
        raise RefusedInputError(msg)
    return wanted


def _read(dataset: Any, number: int, path: Path, options: ReadOptions) -> Recording:  # noqa: ANN401
    group = dataset.WaveformSequence[number]
    # The library leaves words (OW) in the order of the file, unlike its numbers.
    stored = _stored(group, path.name, order="<" if dataset.original_encoding[1] else ">")
    channels = list(group.get("ChannelDefinitionSequence") or ())
    if len(channels) != stored.shape[1]:
        msg = (
            f"{path.name} defines {len(channels)} channels for {stored.shape[1]} of samples; "
            "allowed: as many."
        )
        raise CorruptInputError(msg)
    rate = float(group.SamplingFrequency)
    raw = RawHeader(
        kind="DICOM",
        rate=rate,
        channels=tuple(_name(one, n) for n, one in enumerate(channels)),
        units=tuple(map(_unit, channels)),
        samples=len(stored),
        trial=None if number == 0 else f"{path.stem}-{number}",
        start=_start(dataset, group),
        annotations=_annotations(dataset, number, rate),
        notes=("Names, ids, dates of birth and free text of the header are left out.",),
    )
    padding = group.get("WaveformPaddingValue")
    gain = np.array([_gain(one) for one in channels])
    offset = np.array([float(one.get("ChannelBaseline") or 0) for one in channels])
    strange = np.flatnonzero(~np.isfinite(gain + offset) | (gain == 0))
    if len(strange):
        n = int(strange[0])
        msg = (
            f"{path.name}: {raw.channels[n][:40]} has the sensitivity {gain[n]:g} and the baseline "
            f"{offset[n]:g}; allowed: finite numbers, the sensitivity other than 0."
        )
        raise CorruptInputError(msg)
    return DicomRecording(
        info_of(raw, path, options),
        stored,
        gain,
        offset,
        padding=None if padding is None else _padding(padding, stored.dtype),
    )


def _stored(
    group: Any,  # noqa: ANN401  a class of pydicom
    name: str,
    *,
    order: str,
) -> Integer[npt.NDArray[Any], "time channels"]:
    kind = (int(group.WaveformBitsAllocated), str(group.WaveformSampleInterpretation)[:8])
    if kind not in _TYPES:
        msg = f"{name} stores samples as {kind}; allowed: {', '.join(map(str, _TYPES))}."
        raise UnsupportedInputError(msg)
    dtype = np.dtype(order + _TYPES[kind])
    shape = int(group.NumberOfWaveformSamples), int(group.NumberOfWaveformChannels)
    content = group.WaveformData
    # DICOM values have an even number of bytes, so an odd one is padded.
    require_bytes(name, found=len(content), claimed=shape[0] * shape[1] * dtype.itemsize, slack=1)
    if min(shape) < 1:
        msg = f"{name} announces {shape} samples and channels; allowed: 1 or more of each."
        raise CorruptInputError(msg)
    return np.frombuffer(content, dtype, count=shape[0] * shape[1]).reshape(shape)


def _padding(value: Any, dtype: "np.dtype[Any]") -> int:  # noqa: ANN401  bytes or a number
    if isinstance(value, bytes):
        return int(np.frombuffer(value[: dtype.itemsize], dtype)[0])
    return int(value)


def _gain(channel: Any) -> float:  # noqa: ANN401  a class of pydicom
    """Return the step of a channel; 1 where none is given, and then it has no unit either."""
    sensitivity = channel.get("ChannelSensitivity")
    if sensitivity is None:
        return 1.0
    correction = channel.get("ChannelSensitivityCorrectionFactor")
    return float(sensitivity) * (1.0 if correction is None else float(correction))


def _unit(channel: Any) -> str | None:  # noqa: ANN401  a class of pydicom
    units = channel.get("ChannelSensitivityUnitsSequence")
    if channel.get("ChannelSensitivity") is None or not units:
        return None
    return str(units[0].get("CodeValue") or "") or None


def _name(channel: Any, number: int) -> str:  # noqa: ANN401  a class of pydicom
    source = channel.get("ChannelSourceSequence")
    meaning = _text(source[0], "CodeMeaning") if source else ""
    return meaning or _text(channel, "ChannelLabel") or f"channel {number + 1}"


def _text(item: Any, keyword: str) -> str:  # noqa: ANN401  a class of pydicom
    return str(item.get(keyword) or "").strip()


def _start(dataset: Any, group: Any) -> datetime | None:  # noqa: ANN401  classes of pydicom
    valuerep = require("pydicom.valuerep", extra="timeseries")
    text = _text(dataset, "AcquisitionDateTime")
    if not text:
        return None
    began: datetime = valuerep.DT(text)
    offset = float(group.get("MultiplexGroupTimeOffset") or 0)
    return datetime.fromisoformat(began.isoformat()) + timedelta(milliseconds=offset)


def _annotations(dataset: Any, number: int, rate: float) -> tuple[Annotation, ...]:  # noqa: ANN401
    """Return coded annotations at positions of this group; free text may name somebody."""
    found = []
    for item in dataset.get("WaveformAnnotationSequence") or ():
        concept = item.get("ConceptNameCodeSequence")
        channels = item.get("ReferencedWaveformChannels")
        group = int(channels[0]) if channels else 1
        positions = item.get("ReferencedSamplePositions")
        if concept and positions is not None and group == number + 1:
            places = [positions] if isinstance(positions, int) else list(positions)
            label = _text(concept[0], "CodeMeaning")
            found += [Annotation(start=(int(at) - 1) / rate, label=label) for at in places]
    return tuple(found)
