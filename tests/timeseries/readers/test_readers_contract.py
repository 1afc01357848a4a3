"""One list of what holds for every format of recordings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import CorruptInputError, MedconsistError, RefusedInputError
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS
from medconsist.timeseries.readers.choice import open_dataset, open_recording
from medconsist.timeseries.recording import Recording
from tests.timeseries.readers.writers import (
    BORN,
    FORMATS,
    RATE,
    SAMPLES,
    Format,
    twelve_leads,
)

EVERY = pytest.mark.parametrize("kind", FORMATS.values(), ids=FORMATS)
# float32 of a multiple of 0.01 up to 3 is right to 2**-23 of it; every format stores the multiple.
EXACT = 1e-6


def opened(kind: Format, folder: Path) -> Recording:
    return open_recording(kind.write(folder, twelve_leads()), options=kind.options)


def sample_file(kind: Format, path: Path) -> Path:
    return path if kind.samples is None else path.parent / kind.samples


def refusal(kind: Format, path: Path) -> MedconsistError:
    with pytest.raises(MedconsistError) as caught:
        open_recording(path, options=kind.options).read()
    return caught.value


def is_one_clear_sentence(error: MedconsistError, name: str) -> bool:
    text = str(error)
    return text.endswith(".") and name in text and len(text) < 400 and "\n" not in text


@EVERY
def test_every_format_gives_the_same_samples(kind: Format, tmp_path: Path) -> None:
    recording = opened(kind, tmp_path)
    signal = recording.read()
    assert signal.dtype == np.float32
    assert signal.shape == (SAMPLES, 12)
    assert np.abs(signal * kind.scale - twelve_leads()).max() < EXACT


@EVERY
def test_every_format_gives_rate_names_and_units(kind: Format, tmp_path: Path) -> None:
    info = opened(kind, tmp_path).info
    assert (info.rate, info.channels, info.samples) == (RATE, TWELVE_LEADS, SAMPLES)
    assert set(info.units) == {kind.unit}
    assert info.patient == "record"
    assert info.source.split()[-1].startswith("record.")


@EVERY
@pytest.mark.parametrize("span", [(0, 1), (0, SAMPLES), (37, 205), (99, 101), (SAMPLES - 1, None)])
def test_a_span_equals_the_slice_of_the_whole(
    kind: Format, span: tuple[int, int | None], tmp_path: Path
) -> None:
    recording = opened(kind, tmp_path)
    assert np.array_equal(recording.read(*span), recording.read()[slice(*span)])


@EVERY
@pytest.mark.parametrize("span", [(-1, 5), (5, 5), (9, 3), (0, SAMPLES + 1), (SAMPLES, None)])
def test_a_span_that_is_not_there_is_refused(
    kind: Format, span: tuple[int, int | None], tmp_path: Path
) -> None:
    with pytest.raises(RefusedInputError, match="allowed: 0 <= start < stop <= 300"):
        opened(kind, tmp_path).read(*span)


@EVERY
@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1, 0.01])
def test_a_cut_file_is_one_clear_sentence(kind: Format, kept: float, tmp_path: Path) -> None:
    path = kind.write(tmp_path, twelve_leads())
    file = sample_file(kind, path)
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    error = refusal(kind, path)
    assert isinstance(error, RefusedInputError)
    assert is_one_clear_sentence(error, "record"), error


@EVERY
def test_an_empty_file_is_one_clear_sentence(kind: Format, tmp_path: Path) -> None:
    path = kind.write(tmp_path, twelve_leads())
    sample_file(kind, path).write_bytes(b"")
    error = refusal(kind, path)
    assert isinstance(error, CorruptInputError)
    assert is_one_clear_sentence(error, "record"), error


@EVERY
def test_a_flipped_bit_of_the_header_is_one_sentence_or_harmless(
    kind: Format, tmp_path: Path
) -> None:
    path = kind.write(tmp_path, twelve_leads())
    file = path / "zarr.json" if path.is_dir() else path
    content = file.read_bytes()
    for at in range(0, min(len(content), 1500), 61):
        damaged = bytearray(content)
        damaged[at] ^= 1 << at % 8
        file.write_bytes(damaged)
        try:
            signal = open_recording(path, options=kind.options).read()
        except MedconsistError as error:
            assert str(error).endswith("."), error  # noqa: PT017
        else:
            assert signal.dtype == np.float32


@EVERY
def test_a_missing_file_is_named(kind: Format, tmp_path: Path) -> None:
    path = kind.write(tmp_path, twelve_leads())
    file = sample_file(kind, path)
    file.unlink() if file.is_file() else file.rename(tmp_path / "elsewhere")
    assert is_one_clear_sentence(refusal(kind, path), "record")


@EVERY
def test_bytes_behind_the_samples_are_refused_or_change_nothing(
    kind: Format, tmp_path: Path
) -> None:
    path = kind.write(tmp_path, twelve_leads())
    with sample_file(kind, path).open("ab") as file:
        file.write(bytes(4800))
    try:
        signal = open_recording(path, options=kind.options).read()
    except RefusedInputError as error:
        assert is_one_clear_sentence(error, "record"), error  # noqa: PT017
    else:
        assert np.abs(signal * kind.scale - twelve_leads()).max() < EXACT


@EVERY
def test_a_rate_that_is_not_the_files_is_refused(kind: Format, tmp_path: Path) -> None:
    path = kind.write(tmp_path, twelve_leads())
    if kind.options.rate is None:
        with pytest.raises(RefusedInputError, match="never resampled"):
            open_recording(path, options=replace(kind.options, rate=RATE + 1))
    else:
        with pytest.raises(RefusedInputError, match=r"does not say its sampling rate.*rate="):
            open_recording(path, options=replace(kind.options, rate=None))


@EVERY
def test_patient_ids_beyond_float_stay_distinct(kind: Format, tmp_path: Path) -> None:
    path = kind.write(tmp_path, twelve_leads())
    ids = ["16777216", "16777217", "9007199254740993"]
    found = [
        open_recording(path, options=replace(kind.options, patient=one)).info.patient for one in ids
    ]
    assert found == ids


@EVERY
def test_nothing_that_names_a_person_is_carried_on(kind: Format, tmp_path: Path) -> None:
    said = repr(opened(kind, tmp_path).info)
    assert not any(word in said for word in ("SECRET", "PERSON", BORN, "1961", "Female", "61"))


@pytest.mark.parametrize("name", ["wfdb", "edf", "bdf", "mat", "dicom"])
def test_what_was_left_out_is_said(name: str, tmp_path: Path) -> None:
    assert any("left out" in note for note in opened(FORMATS[name], tmp_path).info.notes)


@EVERY
def test_flat_leads_are_noted_and_not_refused(kind: Format, tmp_path: Path) -> None:
    signal = twelve_leads()
    signal[:, [7, 9]] = 0
    info = open_recording(kind.write(tmp_path, signal), options=kind.options).info
    assert "Flat throughout: V2, V4." in info.notes


@EVERY
def test_a_unit_is_the_callers_only_where_the_file_has_none(kind: Format, tmp_path: Path) -> None:
    path = kind.write(tmp_path, twelve_leads())
    info = open_recording(path, options=replace(kind.options, unit="V")).info
    assert set(info.units) == {kind.unit or "V"}
    assert any("caller's" in note for note in info.notes) == (kind.unit is None)


@EVERY
def test_opening_may_be_told_not_to_look_at_samples(kind: Format, tmp_path: Path) -> None:
    signal = 0 * twelve_leads()
    options = replace(kind.options, look_values=0)
    notes = open_recording(kind.write(tmp_path, signal), options=options).info.notes
    assert not any("Flat" in note for note in notes)


@pytest.mark.parametrize("name", ["csv", "npy", "hdf5", "zarr"])
def test_missing_samples_stay_missing_and_are_noted(name: str, tmp_path: Path) -> None:
    signal = twelve_leads()
    signal[40:60, 3] = np.nan
    kind = FORMATS[name]
    recording = open_recording(kind.write(tmp_path, signal), options=kind.options)
    assert np.array_equal(np.isnan(recording.read()), np.isnan(signal))
    assert "Missing samples, longest run: aVR (0.2 s)." in recording.info.notes


@pytest.mark.parametrize("name", ["csv", "npy", "mat", "hdf5", "zarr"])
def test_infinite_samples_are_refused(name: str, tmp_path: Path) -> None:
    signal = twelve_leads()
    signal[4, 3] = np.inf
    kind = FORMATS[name]
    path = kind.write(tmp_path, signal)
    with pytest.raises(CorruptInputError, match="1 values that are infinite"):
        open_recording(path, options=kind.options).read()


@EVERY
def test_a_folder_of_one_format_is_a_dataset(kind: Format, tmp_path: Path) -> None:
    kind.write(tmp_path, twelve_leads())
    found = open_dataset(tmp_path, options=kind.options)
    assert [one.info.patient for one in found] == ["record"]
    assert len(found) == 1
    assert np.array_equal(found[0].read(), found[0].read())


@pytest.mark.parametrize("content", [b"PK\x03\x04 and so on", b"\x1f\x8b\x08\x00", b"RIFF1234WAVE"])
def test_an_unknown_kind_lists_the_known_ones(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "record.bin").write_bytes(content)
    with pytest.raises(RefusedInputError, match=r"no known kind; allowed: WFDB .*EDF.*DICOM"):
        open_recording(tmp_path / "record.bin")
