"""A manifest of folders: the same files give the same bytes, and ids are never a guess."""

import os
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.manifests.build import build_manifest
from medconsist.manifests.case_manifest import read_case_manifest
from medconsist.manifests.files import KINDS
from medconsist.manifests.hashes import hash_problems
from medconsist.timeseries.manifest import recordings_of_manifest
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.zarr_folder import write_zarr
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Slides of two patients, one slide without a folder, and files that are none."""
    folder = tmp_path / "archive"
    for name in ("p2/s1.svs", "p1/s2.SVS", "p1/s1.svs", "top.svs", "p1/notes.txt", "p1/._s1.svs"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "s9.svs").touch()
    return folder


def test_the_folder_is_the_patient_and_it_is_said(archive: Path) -> None:
    built = build_manifest([archive], patterns=["*.svs"], out=archive.parent / "m.csv")
    assert built.path.read_text().splitlines() == [
        "path,patient,case,item",
        "archive/top.svs,top,top,top",
        "archive/p1/s1.svs,p1,p1,s1",
        "archive/p1/s2.SVS,p1,p1,s2",
        "archive/p2/s1.svs,p2,p2,s1",
    ]
    assert built.sentences == (
        "Patient and case: the folder that a file lies in; item: the name of the file.",
        "Files without a folder of their own: 1; each is a patient and a case named after the "
        "file.",
    )


def test_what_is_built_reads_back(archive: Path) -> None:
    built = build_manifest([archive], patterns=["*.svs"], out=archive / "m.csv", hashes=True)
    manifest = read_case_manifest(built.path)
    assert manifest.rows == built.rows
    assert list(hash_problems(manifest)) == []


def test_a_second_run_gives_the_same_bytes_and_another_list_is_kept(archive: Path) -> None:
    out = archive / "m.csv"
    build_manifest([archive], patterns=["*.svs"], out=out)
    before = out.read_bytes()
    build_manifest([archive], patterns=["*.svs"], out=out)
    (archive / "p1" / "s1.svs").unlink()
    with pytest.raises(RefusedInputError, match="differs from what was found; it stays"):
        build_manifest([archive], patterns=["*.svs"], out=out)
    assert out.read_bytes() == before


def test_a_regular_expression_names_patient_case_and_item(archive: Path) -> None:
    pattern = r"^(?P<patient>p\d)/(?P<item>s\d)"
    built = build_manifest(
        [archive], patterns=["s*.svs"], out=archive / "m.csv", patient_from=pattern
    )
    first = built.rows[0]
    assert (first.patient, first.case, first.item) == ("p1", "p1", "s1")
    said = f"Patient: the group of {pattern}; case: the same; item: its group item."
    assert built.sentences == (said,)


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        (r"(p\d)", r"names the groups \[\]; it needs \(\?P<patient>"),
        (r"(?P<patient>p\d)(?P<pat>.)", r"names the groups \['pat', 'patient'\]"),
        (r"(?P<patient>", "is no regular expression"),
        (r"(?P<patient>p\d)", r"does not fit 'top\.svs' \(and 0 more files\)"),
    ],
)
def test_a_pattern_that_cannot_serve_is_refused(archive: Path, pattern: str, match: str) -> None:
    with pytest.raises(RefusedInputError, match=match):
        build_manifest([archive], patterns=["*.svs"], out=archive / "m.csv", patient_from=pattern)
    assert not (archive / "m.csv").exists()


def test_two_folders_of_one_name_are_not_taken_for_one_patient(archive: Path) -> None:
    for name in ("p1/T1", "p2/T1"):
        (archive / name).mkdir()
        (archive / name / f"{name[:2]}.h5").touch()
    with pytest.raises(RefusedInputError, match="would both be patient T1, and nobody said"):
        build_manifest([archive], patterns=["*.h5"], out=archive / "m.csv")
    built = build_manifest(
        [archive], patterns=["*.h5"], out=archive / "m.csv", patient_from=r"^(?P<patient>[^/]+)/"
    )
    assert [row.patient for row in built.rows] == ["p1", "p2"]


def test_names_that_become_one_item_are_refused(archive: Path) -> None:
    (archive / "p1" / "s1.tif").touch()
    with pytest.raises(RefusedInputError, match=r"one item of one case \(case p1, item s1\)"):
        build_manifest([archive], patterns=["*.svs", "*.tif"], out=archive / "m.csv")


def test_characters_that_ids_may_not_hold_are_replaced_and_it_is_said(archive: Path) -> None:
    (archive / "p 3").mkdir()
    (archive / "p 3" / "=Schnitt Ä1.ndpi").touch()
    built = build_manifest([archive], patterns=["*.ndpi"], out=archive / "p 3" / "m.csv")
    assert built.path.read_text().splitlines()[1] == "./=Schnitt Ä1.ndpi,p-3,p-3,Schnitt-1"
    assert "Names with characters that ids may not hold: 2" in built.sentences[1]
    assert read_case_manifest(built.path).rows == built.rows


def test_links_in_a_circle_end_and_a_file_is_listed_once(archive: Path) -> None:
    (archive / "p1" / "again").symlink_to(archive)
    (archive / "p2" / "s7.svs").symlink_to(archive / "p1" / "s1.svs")
    built = build_manifest([archive], patterns=["*.svs"], out=archive / "m.csv")
    assert [row.item for row in built.rows] == ["top", "s1", "s2", "s1"]
    assert built.sentences[-1].startswith("Files found again by a link or another folder: 1;")


def test_the_order_does_not_depend_on_the_disk(tmp_path: Path) -> None:
    names = [f"s{number}.svs" for number in (3, 1, 2, 10)]
    texts = set()
    for turn, order in enumerate((names, names[::-1])):
        folder = tmp_path / str(turn)
        folder.mkdir()
        for name in order:
            (folder / name).touch()
        built = build_manifest([folder], patterns=["*.svs"], out=folder / "m.csv")
        texts.add(built.path.read_text())
    assert len(texts) == 1


def test_a_name_that_is_no_unicode_is_refused(archive: Path) -> None:
    Path(os.fsdecode(os.fsencode(archive / "p1") + b"/s\xff.svs")).touch()
    with pytest.raises(RefusedInputError, match="is no Unicode text; rename the file"):
        build_manifest([archive], patterns=["*.svs"], out=archive / "m.csv")


def test_nothing_found_is_said(archive: Path) -> None:
    out = archive / "m.csv"
    with pytest.raises(MissingInputError, match=r"no file below .* fits \*\.ndpi"):
        build_manifest([archive], patterns=["*.ndpi"], out=out)
    with pytest.raises(MissingInputError, match="there is no folder"):
        build_manifest([archive / "none"], patterns=["*.svs"], out=out)
    with pytest.raises(RefusedInputError, match="is no folder"):
        build_manifest([archive / "top.svs"], patterns=["*.svs"], out=out)
    with pytest.raises(MissingInputError, match="no folder was named"):
        build_manifest([], patterns=["*.svs"], out=out)


def test_a_file_that_changed_is_found_by_its_sha256(archive: Path) -> None:
    built = build_manifest([archive], patterns=["*.svs"], out=archive / "m.csv", hashes=True)
    (archive / "p1" / "s2.SVS").write_text("flipped")
    (problem,) = hash_problems(read_case_manifest(built.path))
    assert (problem.row, problem.column) == (4, "sha256")
    assert "it is another file, or was changed" in problem.sentence


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Signals as they lie about: WFDB with samples beside, EDF, CSV, MAT without a header."""
    folder = tmp_path / "signals"
    for name in (
        *("p1/r1.hea", "p1/r1.dat", "p1/r1.xyz", "p1/r1.atr"),
        *("p2/r2.HEA", "p2/r2.mat", "p3/night.edf", "p3/night2.BDF", "p4/ecg.csv", "p5/A1.mat"),
        *("p6/e.gdf", "p6/notes.txt", "RECORDS"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_recordings_are_listed_once_each_and_by_their_header(recordings: Path) -> None:
    out = recordings / "cases.csv"
    built = build_manifest([recordings], patterns=KINDS["recordings"], out=out)
    names = [row.path.relative_to(recordings).as_posix() for row in built.rows]
    assert names == [
        *("p1/r1.hea", "p2/r2.HEA", "p3/night.edf", "p3/night2.BDF", "p4/ecg.csv", "p5/A1.mat")
    ]
    assert built.sentences[-1] == (
        "Files whose WFDB header (.hea) is listed: 1; it stands for them."
    )


def test_a_zarr_recording_is_listed_as_one_file_and_not_entered(tmp_path: Path) -> None:
    info = RecordingInfo(rate=100.0, channels=("II",), units=("mV",), samples=9)
    (tmp_path / "p1").mkdir()
    write_zarr(InMemoryRecording(info, np.ones((9, 1), np.float32)), tmp_path / "p1" / "night.zarr")
    (tmp_path / "p1" / "night.zarr" / "inside.csv").touch()
    out = tmp_path / "cases.csv"
    build_manifest([tmp_path], patterns=KINDS["recordings"], out=out, hashes=True)
    manifest = read_case_manifest(out)
    assert [row.path.name for row in manifest.rows] == ["night.zarr"]
    assert list(hash_problems(manifest)) == []
    assert recordings_of_manifest(out)[0].recording.read().sum() == 9


def test_a_manifest_among_recordings_does_not_list_itself(recordings: Path) -> None:
    out = recordings / "cases.csv"
    first = build_manifest([recordings], patterns=KINDS["recordings"], out=out)
    assert build_manifest([recordings], patterns=KINDS["recordings"], out=out) == first
    (recordings / "p4" / "ecg.csv").unlink()
    only = recordings / "p4" / "only.csv"
    only.touch()
    with pytest.raises(MissingInputError, match="no file below"):
        build_manifest([recordings / "p4"], patterns=["*.csv"], out=only)


def test_samples_are_listed_where_headers_are_not_asked_for(recordings: Path) -> None:
    built = build_manifest([recordings], patterns=["*.mat"], out=recordings / "cases.csv")
    assert [row.path.name for row in built.rows] == ["r2.mat", "A1.mat"]


@pytest.mark.data
def test_every_listed_recording_of_the_samples_can_be_opened(
    data_dir: Path, tmp_path: Path
) -> None:
    folder = data_dir / "timeseries"
    built = build_manifest(
        [folder / "wfdb_sample", folder / "cinc2021_sample"],
        patterns=KINDS["recordings"],
        out=tmp_path / "cases.csv",
        patient_from=r"(?P<patient>[^/.]+)\.",
    )
    assert len(built.rows) == 3 + 1 + 50 + 10
    options = ReadOptions(rate=500.0, look_values=0)
    for row in built.rows:
        if row.path.suffix == ".edf":  # of annotations alone
            continue
        given = options if row.path.suffix == ".mat" else ReadOptions(look_values=0)
        assert open_recording(row.path, options=given).info.samples > 0
