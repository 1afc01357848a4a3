"""Signed cases leave by every button of the panel, and other programs read what was signed."""

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
import pytest
from pypdf import PdfReader

from medconsist._digests import sha256_of_path
from medconsist.results.schema import Place, ResultFields
from medconsist.results.store import ResultStore, StoredResult
from medconsist.review.access import Person
from medconsist.review.chain import links
from medconsist.review.database import Database, sqlite_url
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation, Opinion, Pin, Subject
from medconsist.review.store import Filing, ReviewStore
from medconsist.viewing.leaving.annotations import Canvas
from medconsist.viewing.leaving.dicom_slide import annotations_ann, source_of_slide
from medconsist.viewing.leaving.dicom_source import DICOM
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.plate import plate_of
from medconsist.viewing.leaving.plate_scene import Filed
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.review_export import Leaving, export_now, offers
from medconsist.viewing.review_form import (
    Form,
    Signing,
    comment_of,
    file_seen,
    shape_of,
    signature_of,
)
from medconsist.viewing.web.server import subject_of
from tests.mri.posed import SPACING, oblique
from tests.mri.stored_result import store_result
from tests.viewing.leaving.filed import shape
from tests.viewing.leaving.imaged import dcmtk, read
from tests.viewing.planted import HEIGHT, START, WIDTH, plant
from tests.viewing.signal_results import write_signals

ANNA = Person(subject="anna", name="A. Reader", session="s1")
ON_SLICE = [[3.0, 2.0], [9.0, 2.0], [9.0, 12.0], [3.0, 12.0], [3.0, 2.0]]
ON_SLIDE = [[640.5, 320.0], [1600.0, 320.0], [1600.0, 960.25], [640.5, 320.0]]
ON_BOXES = [[1.0, 2.25], [12.5, 2.25], [12.5, 11.0], [1.0, 2.25]]


@dataclass(frozen=True, eq=False)
class Case:
    """A result that anna marked, commented on, and signed; then she went on commenting."""

    stored: StoredResult
    leaving: Leaving
    filed: Filed
    left: dict[str, Export]

    def of(self, kind: str) -> Export:
        """The one file whose button or name says so."""
        (one,) = [export for title, export in self.left.items() if kind in title]
        return one

    @property
    def dicoms(self) -> list[Export]:
        return [one for one in self.left.values() if one.media_type == DICOM]


def signed_case(
    stored: StoredResult,
    folder: Path,
    *,
    pin: Pin,
    ring: list[list[float]] | None = None,
    plane: int | None = None,
    canvas: Canvas | None = None,
) -> Case:
    """Read, sign and export a case as the panel does."""
    ticks, start = count(), datetime(2026, 11, 23, 12, tzinfo=UTC)
    store = ReviewStore(
        Database(sqlite_url(folder / "review.db")),
        clock=lambda: start + timedelta(seconds=next(ticks)),
    )
    result, subject = stored.result, subject_of(stored.result)
    store.grant(None, "anna", result.study, "signer")
    store.take_lock(ANNA, result.study, result.case)

    def file(filing: Filing) -> Entry:
        return file_seen(store, stored.folder.root, ANNA, filing, as_current=True)

    filed = [file(comment_of("a ring here", subject, ANNA, pin=pin, thread=()))]
    shapes = []
    if ring is not None:
        shapes = [file(shape_of(_outline(subject, ring, plane), ANNA, thread=()))]
    verdict = file(signature_of(Form(Opinion.ACCEPT), subject, ANNA, Signing(meaning="review")))
    late = Pin(space=pin.space, at=tuple(0.0 for _ in pin.at))
    file(comment_of("seen after the signature", subject, ANNA, pin=late, thread=filed))
    leaving = Leaving(
        store=store, person=ANNA, stored=stored, canvas=None if canvas is None else lambda: canvas
    )
    left = {one.title: export_now(leaving, one, subject) for one in offers(leaving, [verdict])}
    return Case(stored, leaving, Filed(comments=filed, shapes=shapes), left)


def _outline(subject: Subject, ring: list[list[float]], plane: int | None) -> Annotation:
    return shape(subject, ring, label="Ödem", plane=plane)


def mr_case(folder: Path) -> Case:
    store_result(folder / "results", affine=oblique(), spacing=SPACING)
    stored = ResultStore(folder / "results", "mri").read("head")
    pin = Pin(space="voxel", at=(2.0, 4.0, 10.0))
    return signed_case(stored, folder, pin=pin, ring=ON_SLICE, plane=2)


def slide_case(folder: Path) -> Case:
    pin, canvas = Pin(space="slide", at=(3200.0, 1600.0)), Canvas(width=WIDTH, height=HEIGHT)
    stored = plant(folder / "results")
    return signed_case(stored, folder, pin=pin, ring=ON_SLIDE, canvas=canvas)


def signal_case(folder: Path) -> Case:
    pin = Pin(space="time", at=(1.0, 2.0), lead="II")
    return signed_case(write_signals(folder / "results"), folder, pin=pin)


CASES: dict[str, Callable[[Path], Case]] = {
    "mr": mr_case,
    "slide": slide_case,
    "signal": signal_case,
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    made: dict[str, Case] = {}

    def of(kind: str) -> Case:
        if kind not in made:
            made[kind] = CASES[kind](tmp_path_factory.mktemp(kind))
        return made[kind]

    return of


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest, cases: Callable[[str], Case]) -> Case:
    return cases(request.param)


def test_each_file_is_in_the_chain_with_its_sha256(case: Case) -> None:
    with case.leaving.store.database.reading() as connection:
        chain = str(list(links(connection)))
    assert {"DICOM SC", "DICOM SR", "report", "verdicts"} <= {
        one.what for one in case.left.values()
    }
    for export in case.left.values():
        assert export.sha256 in chain, export.name


def test_the_report_holds_the_picture_and_what_was_signed(case: Case) -> None:
    pages = PdfReader(io.BytesIO(case.of("(PDF)").data)).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    for words in ("a ring here", "Signed by A. Reader", NOTICE, "Drawn by the program"):
        assert words in text
    assert "seen after the signature" not in text
    (image,) = [one.image for page in pages for one in page.images]
    assert np.array_equal(np.asarray(image), plate_of(case.stored, case.filed).pixels)


def test_the_secondary_capture_holds_the_same_picture(case: Case) -> None:
    data = read(case.of("secondary capture"))
    plate = plate_of(case.stored, case.filed).pixels
    height, width = plate.shape[:2]
    assert np.array_equal(data.pixel_array[:height, :width], plate)
    image = highdicom.imread(io.BytesIO(case.of("secondary capture").data))
    assert np.array_equal(image.get_frame(1), data.pixel_array)
    assert list(data.ImageType) == ["DERIVED", "SECONDARY"]
    assert (data.ContentQualification, data.BurnedInAnnotation) == ("RESEARCH", "YES")
    assert (data.PatientIdentityRemoved, data.PatientID) == ("YES", case.stored.result.patient)
    assert case.stored.result.content_sha256[:12] in data.ImageComments


def test_the_structured_report_says_what_was_signed(case: Case) -> None:
    document = highdicom.sr.srread(io.BytesIO(case.of("DICOM SR").data))
    said = [str(one.value) for one in document.iterall() if one.keyword == "TextValue"]
    assert any("a ring here" in one for one in said)
    assert not any("seen after the signature" in one for one in said)
    (verifier,) = document.VerifyingObserverSequence
    assert str(verifier.VerifyingObserverName) == "A. Reader"
    assert document.VerificationFlag == "VERIFIED"


def test_all_dicom_files_are_of_one_patient_and_study(case: Case) -> None:
    found = [read(one) for one in case.dicoms]
    assert len(found) >= 2
    assert len({(str(one.PatientID), one.StudyInstanceUID) for one in found}) == 1
    assert len({one.SOPInstanceUID for one in found}) == len(found)


@pytest.mark.parametrize("program", ["dcmftest", "dcmdump"])
def test_dcmtk_reads_every_dicom_file(case: Case, program: str, tmp_path: Path) -> None:
    for export in case.dicoms:
        said = dcmtk(program, export, tmp_path)
        assert ("yes" if program == "dcmftest" else "RESEARCH") in said


def test_what_was_marked_on_a_slice_comes_back_on_it(cases: Callable[[str], Case]) -> None:
    case = cases("mr")
    image = read(case.of("Image (DICOM)"))
    seg = highdicom.seg.segread(io.BytesIO(case.of("SEG").data))
    pixels = seg.get_pixels_by_source_frame(
        image.SOPInstanceUID, [1, 2, 3], assert_missing_frames_are_empty=True
    )[..., 0]
    expected = np.zeros((3, 20, 28), bool)
    expected[2, 2:13, 3:10] = True
    assert np.array_equal(pixels.astype(bool), expected)
    points = [one for one in read(case.of("DICOM SR")).iterall() if one.keyword == "GraphicData"]
    assert [list(one.value) for one in points] == [[10.5, 4.5]]  # column, row from the corner
    for kind in ("SEG", "DICOM SR", "secondary capture"):
        assert image.SOPInstanceUID in str(read(case.of(kind)))
    nifti = nibabel.Nifti1Image.from_bytes(gzip.decompress(case.of("NIfTI").data))
    assert nifti.shape == (28, 20, 3)


def test_what_was_marked_on_a_slide_comes_back_on_it(cases: Callable[[str], Case]) -> None:
    document = json.loads(cases("slide").of("GeoJSON").data)
    (feature,) = document["features"]
    assert feature["geometry"] == {"type": "Polygon", "coordinates": [ON_SLIDE]}
    assert feature["properties"]["classification"] == {"name": "Ödem"}
    assert feature["properties"]["metadata"]["author"] == "anna"


@pytest.mark.data
def test_what_was_marked_on_a_dicom_slide_leaves_as_annotations(
    data_dir: Path, tmp_path: Path
) -> None:
    slide, canvas = data_dir / "wsi" / "openslide_boxes_0.dcm", Canvas(width=16, height=16)
    stored = _boxes(tmp_path / "results", slide)
    pin = Pin(space="slide", at=(3.0, 4.0))
    case = signed_case(stored, tmp_path, pin=pin, ring=ON_BOXES, canvas=canvas)
    source = source_of_slide(slide, stored.result, canvas=canvas)
    left = annotations_ann(stored.result, case.filed.shapes, source=source)
    (group,) = highdicom.ann.annread(io.BytesIO(left.data)).get_annotation_groups()
    (ring,) = group.get_graphic_data(coordinate_type="2D")
    assert np.array_equal(ring, np.array(ON_BOXES[:-1]))
    assert json.loads(case.of("GeoJSON").data)["features"][0]["geometry"]["coordinates"] == [
        ON_BOXES
    ]


def _boxes(root: Path, slide: Path) -> StoredResult:
    """Store a result of the smallest of slides, whose overview is level 0 itself."""
    store = ResultStore(root, "wsi")
    times: dict[str, Any] = {"started": START, "finished": START}
    fields = ResultFields.model_validate(
        {
            "kind": "wsi.prediction",
            "patient": "p-9",
            "item": "boxes",
            "inputs": {"slide": sha256_of_path(slide)},
            "config": {},
            "result_version": 1,
            "times": times,
        }
    )
    with store.draft("boxes", fields.key) as draft:
        draft.add_array(
            "overview",
            np.full((16, 16, 3), 240, np.uint8),
            axes=("height", "width", "rgb"),
            place=Place(of="slide", unit="level-0 px", offset=(0.0, 0.0), scale=(1.0, 1.0)),
        )
        draft.finish(fields)
    store.set_current("boxes", fields.key)
    return store.read("boxes")
