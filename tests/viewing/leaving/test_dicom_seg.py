"""Shapes as a segmentation: every pixel where it was drawn, known place or not."""

from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest

from medconsist.errors import BudgetError, ConflictError, RefusedInputError
from medconsist.review.entries import Entry
from medconsist.review.records import Subject
from medconsist.viewing.leaving import dicom_seg
from medconsist.viewing.leaving.dicom_seg import annotations_seg
from medconsist.viewing.leaving.dicom_shapes import ellipse_of
from medconsist.viewing.leaving.dicom_source import source_of_result
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.web.volumes import Region, region_numbers
from tests.mri.posed import oblique, points
from tests.viewing.leaving.filed import comment, entry, plain_subject, shape
from tests.viewing.leaving.imaged import Imaged, dates_of, dcmtk, imaged, read

Ring = list[list[float]]

LETTER: Ring = [[3, 2], [5, 2], [5, 9], [12.4, 9], [12.4, 11.6], [3, 11.6], [3, 2]]
"""An L, column and row: no mirror, turn or transposition leaves it as it is."""
SQUARE: Ring = [[20, 4], [24, 4], [24, 8], [20, 8], [20, 4]]
HOLE: Ring = [[21, 5], [23, 5], [23, 7], [21, 7], [21, 5]]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Imaged:
    return imaged(tmp_path_factory.mktemp("known"), oblique())


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Imaged:
    return imaged(tmp_path_factory.mktemp("unknown"), None)


@pytest.fixture(params=["known", "unknown"])
def case(request: pytest.FixtureRequest) -> Imaged:
    found: Imaged = request.getfixturevalue(request.param)
    return found


def drawn(case: Imaged) -> list[Entry]:
    """An L on slice 2, and squares with a hole of another reader on slices 0 and 2."""
    subject = case.subject
    letter = entry(shape(subject, LETTER, plane=2), "a1")
    geometry = {"type": "Polygon", "coordinates": [SQUARE, HOLE]}
    squares = [
        Entry(
            id=f"b{plane}",
            created=f"2026-02-01T09:30:0{plane}.000000Z",
            author="berta",
            supersedes=None,
            body=shape(subject, SQUARE, geometry=geometry, plane=plane, label="Ödem"),
        )
        for plane in (0, 2)
    ]
    return [letter, *squares]


def left_of(case: Imaged, entries: list[Entry] | None = None) -> Export:
    return annotations_seg(
        case.result, drawn(case) if entries is None else entries, source=case.source
    )


def expected_letter() -> np.ndarray:
    mask = np.zeros((20, 28), bool)
    mask[2:12, 3:6] = True
    mask[9:12, 3:13] = True
    return mask


def expected_square() -> np.ndarray:
    mask = np.zeros((20, 28), bool)
    mask[4:9, 20:25] = True
    mask[6, 22] = False  # the border of a hole belongs to the shape
    return mask


def masks_of(data: Any) -> dict[tuple[int, int], np.ndarray]:
    """Return segment and frame of the image to the pixels, as pydicom alone reads them."""
    frames = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    shared = data.SharedFunctionalGroupsSequence[0]
    found = {}
    for own, pixels in zip(data.PerFrameFunctionalGroupsSequence, frames, strict=True):
        group = own if "SegmentIdentificationSequence" in own else shared
        segment = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        image = own.DerivationImageSequence[0].SourceImageSequence[0]
        found[segment, image.ReferencedFrameNumber] = pixels.astype(bool)
    return found


def test_pydicom_finds_every_pixel_where_it_was_drawn(case: Imaged) -> None:
    found = masks_of(read(left_of(case)))
    assert found.keys() == {(1, 3), (2, 1), (2, 3)}
    assert np.array_equal(found[1, 3], expected_letter())
    assert np.array_equal(found[2, 1], expected_square())
    assert np.array_equal(found[2, 3], expected_square())


def test_highdicom_finds_every_pixel_where_it_was_drawn(case: Imaged) -> None:
    seg = highdicom.seg.segread(BytesIO(left_of(case).data))
    image = case.source.image
    pixels = seg.get_pixels_by_source_frame(
        image.SOPInstanceUID,
        [1, 2, 3],
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    assert np.array_equal(pixels[2, ..., 0], expected_letter())
    assert np.array_equal(pixels[0, ..., 1], expected_square())
    assert not pixels[1].any()


def test_every_pixel_lies_in_the_patient_where_its_voxel_does(known: Imaged) -> None:
    seg = highdicom.seg.segread(BytesIO(left_of(known).data))
    volume = seg.get_volume(combine_segments=False)
    index = np.argwhere(np.asarray(volume.array)[..., 0] > 0)
    lps = volume.map_indices_to_reference(index)
    voxels = np.argwhere(np.stack([np.zeros((20, 28)), np.zeros((20, 28)), expected_letter()]))
    places = points(oblique(), (3, 20, 28)).numpy().reshape(3, 20, 28, 3)
    ras = np.array([places[tuple(voxel)] for voxel in voxels])
    ours, theirs = (np.array(sorted(map(tuple, x.round(6)))) for x in (ras, lps * [-1, -1, 1]))
    assert np.allclose(ours, theirs, atol=1e-5)  # mm; positions are decimal text


def test_the_frame_of_reference_is_that_of_the_image(known: Imaged) -> None:
    data = read(left_of(known))
    image = known.source.image
    assert data.FrameOfReferenceUID == image.FrameOfReferenceUID
    assert data.StudyInstanceUID == image.StudyInstanceUID
    assert data.SeriesInstanceUID != image.SeriesInstanceUID
    assert data.PatientID == "p-7"


def test_unknown_orientation_stays_unknown_and_is_said(unknown: Imaged) -> None:
    data = read(left_of(unknown))
    words = {element.keyword for element in data.iterall()}
    assert not words & {
        *("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"),
        *("PixelSpacing", "SliceThickness", "PatientPosition"),
    }
    assert data.SeriesDescription.endswith("; orientation unknown")


def test_segments_name_label_author_and_method(case: Imaged) -> None:
    data = read(left_of(case))
    first, second = data.SegmentSequence
    assert (first.SegmentLabel, second.SegmentLabel) == ("Tumor", "Ödem")
    assert (first.TrackingID, second.TrackingID) == ("Tumor by anna", "Ödem by berta")
    assert {one.SegmentAlgorithmType for one in data.SegmentSequence} == {"MANUAL"}
    assert "entries b0, b2" in second.SegmentDescription
    assert data.SegmentationType == "BINARY"
    assert data.ContentQualification == "RESEARCH"
    assert "RESEARCH USE ONLY - NOT FOR DIAGNOSIS" in data.SeriesDescription
    assert "Drawn by anna, berta" in data.ContentDescription
    assert data.ContentDate == "20260201"
    assert (
        data.ContributingEquipmentSequence[0].ManufacturerModelName == "cirim (simulation-trained)"
    )


def test_overlapping_shapes_of_two_readers_stay_whole(case: Imaged) -> None:
    over = entry(shape(case.subject, SQUARE, plane=2, label="other"), "c1")
    mine = entry(shape(case.subject, SQUARE, plane=2), "c2")
    found = masks_of(read(left_of(case, [over, mine])))
    assert np.array_equal(found[1, 3], found[2, 3])
    assert found[1, 3].sum() == 25


def test_dcmtk_accepts_the_file(case: Imaged, tmp_path: Path) -> None:
    left = left_of(case)
    assert "yes" in dcmtk("dcmftest", left, tmp_path)
    assert "SegmentationStorage" in dcmtk("dcmdump", left, tmp_path)


def test_the_same_shapes_are_the_same_bytes_whatever_their_order(case: Imaged) -> None:
    left = left_of(case)
    assert left.data == left_of(case, drawn(case)[::-1]).data
    assert dates_of(left) == {"20260201"}  # of the newest shape, not of the export
    assert left.name == "head-annotations.seg.dcm"
    assert left.what == "DICOM SEG"
    other = left_of(case, drawn(case)[:1])
    assert read(other).SOPInstanceUID != read(left).SOPInstanceUID


@pytest.mark.parametrize(
    "label", ["a\0b\x1b", "\u202eevil", "x" * 200, "a\\b", "", "   ", "王\u0301"]
)
def test_hostile_labels_are_valid_values(known: Imaged, label: str, tmp_path: Path) -> None:
    left = left_of(known, [entry(shape(known.subject, LETTER, plane=0, label=label), "a1")])
    (segment,) = read(left).SegmentSequence
    assert 0 < len(segment.SegmentLabel) <= 64
    assert not {"\0", "\x1b", "\u202e", "\\"} & set(segment.SegmentLabel)
    assert "yes" in dcmtk("dcmftest", left, tmp_path)


def refused(case: Imaged) -> list[tuple[list[Entry], str]]:
    subject = case.subject
    tiny: Ring = [[3.2, 3.2], [3.4, 3.2], [3.4, 3.4], [3.2, 3.2]]
    outside: Ring = [[-1, 2], [4, 2], [4, 4], [-1, 2]]
    bow_tie: Ring = [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]
    return [
        ([], "nobody has drawn a shape on head"),
        ([entry(shape(subject, SQUARE, geometry=None, plane=1), "a1")], "nobody has drawn"),
        ([entry(comment(subject, "x"), "a1")], "is no shape on a slice"),
        ([entry(shape(plain_subject(), SQUARE), "a1")], "leave as GeoJSON"),
        ([entry(shape(subject, SQUARE, plane=3), "a1")], "slice 3, the image has 3"),
        ([entry(shape(subject, tiny, plane=0), "a1")], "holds no centre of a pixel"),
        ([entry(shape(subject, outside, plane=0), "a1")], "leaves the image"),
        ([entry(shape(subject, bow_tie, plane=0), "a1")], "annotation a1"),
    ]


@pytest.mark.parametrize("number", range(8))
def test_what_cannot_be_meant_is_refused(known: Imaged, number: int) -> None:
    entries, words = refused(known)[number]
    with pytest.raises(RefusedInputError, match=words):
        left_of(known, entries)


def test_shapes_of_another_result_are_refused(known: Imaged) -> None:
    other = Subject.model_validate(known.subject.model_dump() | {"content_sha256": "9" * 64})
    with pytest.raises(ConflictError, match="Give the shapes of one result"):
        left_of(known, [entry(shape(other, SQUARE, plane=0), "a1")])


def test_without_a_dicom_image_geojson_is_named(known: Imaged) -> None:
    with pytest.raises(RefusedInputError, match="annotations_geojson"):
        annotations_seg(known.result, drawn(known), source=source_of_result(known.result))


def test_too_many_segments_are_refused(known: Imaged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_seg, "MAX_MASK_BYTES", 3000)
    with pytest.raises(BudgetError, match="2 segments"):
        left_of(known)


def ellipse(box: tuple[float, float, float, float]) -> Ring:
    """Return what the MR screen files for the ellipse in a box: top, left, bottom, right."""
    top, left, bottom, right = box
    corners = [
        [
            round((left + right) / 2 + (right - left) / 2 * np.cos(angle), 2),
            round((top + bottom) / 2 + (bottom - top) / 2 * np.sin(angle), 2),
        ]
        for angle in 2 * np.pi * np.arange(48) / 48
    ]
    return [*corners, corners[0]]


@pytest.mark.parametrize("box", [(2.0, 3.0, 12.0, 25.0), (1.37, 4.61, 17.2, 20.09)])
def test_an_ellipse_holds_the_pixels_that_the_screen_counts(
    unknown: Imaged, box: tuple[float, float, float, float]
) -> None:
    values = np.arange(3 * 20 * 28, dtype=np.float64).reshape(3, 20, 28)
    counted = region_numbers(values, Region(1, *box, "ellipse"), unit=None)
    drawn = entry(shape(unknown.subject, ellipse(box), plane=1), "a1")
    data = read(left_of(unknown, [drawn]))
    (filled,) = masks_of(data).values()
    held = values[1][filled]
    assert (held.size, held.mean(), held.min(), held.max()) == (
        counted.pixels,
        pytest.approx(counted.mean),
        counted.least,
        counted.largest,
    )
    assert "a1 (ellipse)" in data.SegmentSequence[0].SegmentDescription


def test_what_only_looks_like_an_ellipse_is_an_outline(unknown: Imaged) -> None:
    ring = ellipse((2.0, 3.0, 12.0, 25.0))
    ring[7] = [ring[7][0] - 1.0, ring[7][1] - 0.5]
    data = read(left_of(unknown, [entry(shape(unknown.subject, ring, plane=1), "a1")]))
    assert "ellipse" not in data.SegmentSequence[0].SegmentDescription
    assert ellipse_of({"type": "Polygon", "coordinates": [ring]}) is None
