"""Shapes on a real DICOM slide, out in its own pixels."""

from io import BytesIO
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from medconsist._digests import sha256_of_path
from medconsist.errors import ConflictError, RefusedInputError
from medconsist.results.schema import Result
from medconsist.review.entries import Entry
from medconsist.review.records import Pin, Subject
from medconsist.viewing.leaving.annotations import Canvas
from medconsist.viewing.leaving.dicom_seg import annotations_seg
from medconsist.viewing.leaving.dicom_slide import annotations_ann, source_of_slide
from medconsist.viewing.leaving.dicom_source import Source, source_of_result
from medconsist.viewing.leaving.dicom_sr import review_sr
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.report import Review
from tests.viewing.conftest import WriteResult
from tests.viewing.leaving.filed import LINK, comment, entry, shape, signed, subject_of
from tests.viewing.leaving.imaged import dates_of, dcmtk, read

pytestmark = pytest.mark.data
Ring = list[list[float]]
LETTER: Ring = [[1, 2.25], [3, 2.25], [3, 9], [12.5, 9], [12.5, 11], [1, 11], [1, 2.25]]
SIZE = Canvas(width=16, height=16)


@pytest.fixture
def slide(data_dir: Path) -> Path:
    return data_dir / "wsi" / "openslide_boxes_0.dcm"


@pytest.fixture
def result(slide: Path, write_result: WriteResult, tmp_path: Path) -> Result:
    return write_result(tmp_path, fields={"inputs": {"slide": sha256_of_path(slide)}})


@pytest.fixture
def source(slide: Path, result: Result) -> Source:
    return source_of_slide(slide, result, canvas=SIZE)


def left_of(result: Result, source: Source, *shapes: Entry) -> Export:
    drawn = entry(shape(subject_of(result), LETTER), "a1")
    return annotations_ann(result, shapes or (drawn,), source=source)


def test_the_outline_comes_back_exactly(result: Result, source: Source) -> None:
    left = left_of(result, source)
    found = highdicom.ann.annread(BytesIO(left.data))
    (group,) = found.get_annotation_groups()
    (ring,) = group.get_graphic_data(coordinate_type="2D")
    assert np.array_equal(ring, np.array(LETTER[:-1]))
    assert (group.label, found.PixelOriginInterpretation) == ("Tumor", "VOLUME")
    assert group.AnnotationGroupGenerationType == "MANUAL"


def test_dcmtk_accepts_the_file_and_it_says_what_it_is(
    result: Result, source: Source, tmp_path: Path
) -> None:
    left = left_of(result, source)
    assert "yes" in dcmtk("dcmftest", left, tmp_path)
    dcmtk("dcmdump", left, tmp_path)
    data = read(left)
    assert data.ContentQualification == "RESEARCH"
    assert "RESEARCH USE ONLY" in data.SeriesDescription
    assert "Drawn by anna" in data.ContentDescription
    assert (left.name, left.what) == ("scan-1-annotations.ann.dcm", "DICOM ANN")
    assert left.data == left_of(result, source).data
    assert dates_of(left) == {"20260131"}  # of the shape, not of the export


def test_without_identity_the_uids_are_replaced_alike(
    result: Result, source: Source, slide: Path
) -> None:
    header = pydicom.dcmread(slide, stop_before_pixels=True)
    data = read(left_of(result, source))
    (image,) = data.ReferencedImageSequence
    assert data.PatientID == "p-7"
    assert data.StudyInstanceUID != header.StudyInstanceUID
    assert image.ReferencedSOPInstanceUID == source.image.SOPInstanceUID != header.SOPInstanceUID
    assert header.StudyInstanceUID not in str(data)


def test_with_identity_it_refers_to_the_slide_itself(result: Result, slide: Path) -> None:
    header = pydicom.dcmread(slide, stop_before_pixels=True)
    source = source_of_slide(slide, result, canvas=SIZE, identity="kept")
    data = read(left_of(result, source))
    assert source.keeps_identity
    assert data.ReferencedImageSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert data.StudyInstanceUID == header.StudyInstanceUID
    assert data.PatientID == header.PatientID


def test_a_pin_on_the_slide_is_a_point_of_its_matrix(
    result: Result, source: Source, tmp_path: Path
) -> None:
    subject = subject_of(result)
    pins = [Pin(space="slide", at=(3.5, 11.25)), Pin(space="slide", at=(17.0, 1.0))]
    review = Review(
        result=result,
        thread=[entry(signed(subject), "v1")],
        entry="v1",
        links={"v1": LINK},
        comments=[entry(comment(subject, "a", pin=one), f"c{n}") for n, one in enumerate(pins)],
    )
    left = review_sr(review, source=source)
    shown = dcmtk("dsrdump", left, tmp_path)
    assert shown.count("SCOORD") == 1  # the other leaves the slide
    assert "(POINT,3.5/11.25)" in shown
    assert "Orientation" not in str(read(left))


def refused(subject: Subject) -> list[tuple[list[Entry], str]]:
    hole: Ring = [[2, 9.5], [3, 9.5], [3, 10.5], [2, 9.5]]
    holed = {"type": "Polygon", "coordinates": [LETTER, hole]}
    outside: Ring = [[0, 0], [17, 0], [5, 5], [0, 0]]
    return [
        ([entry(shape(subject, LETTER, geometry=holed), "a1")], "has a hole"),
        ([entry(shape(subject, outside), "a1")], "leaves the slide"),
        ([entry(shape(subject, LETTER, plane=1), "a1")], "annotations_seg"),
        ([entry(shape(subject, LETTER, geometry=None), "a1")], "nobody has drawn"),
        ([entry(comment(subject, "x"), "a1")], "is no shape on a slide"),
    ]


@pytest.mark.parametrize("number", range(5))
def test_what_cannot_be_kept_is_refused(result: Result, source: Source, number: int) -> None:
    entries, words = refused(subject_of(result))[number]
    with pytest.raises(RefusedInputError, match=words):
        left_of(result, source, *entries)


def test_other_slides_and_results_are_refused(
    result: Result, source: Source, slide: Path, tmp_path: Path
) -> None:
    other = slide.with_name("openslide_boxes_1.dcm")
    with pytest.raises(RefusedInputError, match="is not the slide that the result"):
        source_of_slide(other, result, canvas=SIZE)
    with pytest.raises(RefusedInputError, match="Give the file of level 0"):
        source_of_slide(slide, result, canvas=Canvas(width=32, height=16))
    with pytest.raises(RefusedInputError, match="annotations_geojson"):
        left_of(result, source_of_result(result))
    with pytest.raises(RefusedInputError, match="no DICOM volume"):
        annotations_seg(result, [], source=source)
    seen = Subject.model_validate(subject_of(result).model_dump() | {"content_sha256": "9" * 64})
    with pytest.raises(ConflictError, match="Give the shapes of one result"):
        left_of(result, source, entry(shape(seen, LETTER), "a1"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("openslide_boxes_1.dcm", "no DICOM slide of kind VOLUME"),
        ("cut", "element at byte 2000"),
        ("dated", "StudyDate of given.dcm is damaged"),
        ("CMU-1-Small-Region.svs", "begins no element"),
    ],
)
def test_damaged_and_other_files_are_refused(
    name: str, words: str, slide: Path, write_result: WriteResult, tmp_path: Path
) -> None:
    path = tmp_path / "given.dcm"
    data = slide.read_bytes() if "." not in name else slide.with_name(name).read_bytes()
    study_date = str(pydicom.dcmread(slide, stop_before_pixels=True).StudyDate).encode()
    changed = {"cut": data[:2000], "dated": data.replace(study_date, b"2023x720")}
    path.write_bytes(changed.get(name, data))
    result = write_result(tmp_path, fields={"inputs": {"slide": sha256_of_path(path)}})
    with pytest.raises(RefusedInputError, match=words):
        source_of_slide(path, result, canvas=SIZE, identity="kept")
