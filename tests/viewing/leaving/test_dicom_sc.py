"""Key images: every pixel of the screen, and the warning below it."""

from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from PIL import Image

from medconsist.errors import BudgetError, ConflictError, RefusedInputError
from medconsist.review.records import Subject
from medconsist.viewing.leaving import dicom_sc
from medconsist.viewing.leaving.dicom_sc import picture_sc
from medconsist.viewing.leaving.dicom_source import source_of_result
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.paper import Picture
from tests.mri.posed import oblique, series_datasets, volume, write_series
from tests.viewing.leaving.filed import draft, entry, signed
from tests.viewing.leaving.imaged import Imaged, dcmtk, imaged, read


def screen(height: int = 60, width: int = 90) -> np.ndarray:
    """Return colours that no mirror, turn or exchange of channels leaves as they are."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 2, columns * 2, 5 + 0 * rows], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Imaged:
    return imaged(tmp_path_factory.mktemp("known"), oblique())


def shown(pixels: np.ndarray | None = None, **changes: Any) -> Picture:
    fields: dict[str, Any] = {"caption": "Slice 2, window 50/100"}
    return Picture(pixels=screen() if pixels is None else pixels, **(fields | changes))


def left_of(
    case: Imaged, *pictures: Picture, number: int = 0, how: Any = None, **more: Any
) -> Export:
    review = case.review(pictures=pictures or (shown(),), **more)
    return picture_sc(review, number, source=case.source, **(how or {}))


def test_every_pixel_is_there_and_the_words_are_below(case: Imaged) -> None:
    data = read(left_of(case))
    pixels = data.pixel_array
    assert np.array_equal(pixels[:60, :90], screen())
    assert not pixels[:60, 90:].any()
    assert pixels[60:].max() == 255  # words in white
    assert (data.PhotometricInterpretation, data.SamplesPerPixel) == ("RGB", 3)


def test_dcmtk_draws_the_same_pixels(case: Imaged, tmp_path: Path) -> None:
    left = left_of(case)
    assert "yes" in dcmtk("dcmftest", left, tmp_path)
    dcmtk("dcmdump", left, tmp_path)
    dcmtk("dcm2pnm", left, tmp_path, out="drawn.ppm")
    drawn = np.asarray(Image.open(tmp_path / "drawn.ppm"))
    assert np.array_equal(drawn, read(left).pixel_array)


def test_highdicom_reads_the_image(case: Imaged) -> None:
    image = highdicom.imread(BytesIO(left_of(case).data))
    assert np.array_equal(image.get_frame(1)[:60, :90], screen())


def test_the_words_differ_between_a_draft_and_a_signature(case: Imaged) -> None:
    as_draft = left_of(case, thread=[entry(draft(case.subject), "v1")], links={})
    assert as_draft.name == "head-picture-1-draft.sc.dcm"
    one, other = (read(left).pixel_array[60:] for left in (left_of(case), as_draft))
    assert not np.array_equal(one, other)
    assert "DRAFT, not signed." in read(as_draft).ImageComments
    assert "Signed 2026-01-31 09:30:00 UTC." in read(left_of(case)).ImageComments


def test_the_file_says_what_it_is(case: Imaged) -> None:
    data = read(left_of(case))
    assert list(data.ImageType) == ["DERIVED", "SECONDARY"]
    assert data.ContentQualification == "RESEARCH"
    assert data.ConversionType == "WSD"
    assert data.BurnedInAnnotation == "YES"  # words of the case and the signature
    assert "Research use only, not for diagnosis." in data.ImageComments
    assert "Slice 2, window 50/100" in data.ImageComments
    assert case.result.content_sha256[:32] in data.ImageComments
    (maker,) = data.ContributingEquipmentSequence
    assert maker.ManufacturerModelName == "cirim (simulation-trained)"
    (source,) = data.ReferencedImageSequence
    assert source.ReferencedSOPInstanceUID == read(case.image).SOPInstanceUID


def test_a_screen_has_no_place_in_the_patient(case: Imaged) -> None:
    data = read(left_of(case))
    assert data.PatientOrientation in ("", None)
    words = {element.keyword for element in data.iterall()}
    assert not words & {
        *("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"),
        *("PixelSpacing", "NominalScannedPixelSpacing", "Laterality"),
    }


def test_grey_and_opaque_pictures_and_pixels_that_are_not_square(case: Imaged) -> None:
    grey = screen()[..., 0]
    half = np.dstack([screen(), np.full((60, 90), 128, np.uint8)])
    clear = np.dstack([screen(), np.zeros((60, 90), np.uint8)])
    pixels = [
        read(left_of(case, shown(one))).pixel_array[:60, :90].astype(int)
        for one in (grey, half, clear)
    ]
    assert np.array_equal(pixels[0], np.dstack([grey] * 3))
    mixed = screen() * (128 / 255) + 255 * (127 / 255)
    assert np.abs(pixels[1] - mixed).max() <= 0.5  # rounded to whole numbers
    assert (pixels[2] == 255).all()
    tall = read(left_of(case, shown(pixel_aspect=2.0))).pixel_array
    assert np.array_equal(tall[:120:2, :90], screen())


def test_pictures_of_a_review_are_one_series(case: Imaged) -> None:
    pictures = (shown(), shown(screen()[::-1].copy()))
    one, two = (read(left_of(case, *pictures, number=n)) for n in (0, 1))
    assert one.SeriesInstanceUID == two.SeriesInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert (one.InstanceNumber, two.InstanceNumber) == (1, 2)


def test_the_same_picture_is_the_same_bytes(case: Imaged) -> None:
    assert left_of(case).data == left_of(case).data


@pytest.mark.parametrize("caption", ["a\0\x1b\u202eb", "x" * 20_000, "a\\b\nΩ 王", ""])
def test_hostile_captions_are_valid(case: Imaged, caption: str, tmp_path: Path) -> None:
    left = left_of(case, shown(caption=caption))
    dcmtk("dcmdump", left, tmp_path)
    assert len(read(left).ImageComments) <= 10240
    assert not {"\0", "\x1b", "\u202e", "\\"} & set(read(left).ImageComments)


def test_identity_on_the_picture_is_said_or_refused(case: Imaged, tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="Hide identity"):
        left_of(case, how={"shows_identity": True})
    reference = write_series(tmp_path / "ref", series_datasets(volume(), oblique()))
    kept = imaged(tmp_path / "results", oblique(), reference=reference)
    data = read(left_of(kept, how={"shows_identity": True}))
    assert data.BurnedInAnnotation == "YES"
    assert str(data.PatientName) == "Doe^Jane"


def test_a_picture_without_a_dicom_image_refers_to_none(case: Imaged) -> None:
    left = picture_sc(case.review(pictures=[shown()]), 0, source=source_of_result(case.result))
    assert "ReferencedImageSequence" not in read(left)


def test_what_no_file_may_show_is_refused(case: Imaged, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedInputError, match="what would be if the data were others"):
        left_of(case, shown(is_what_if=True))
    with pytest.raises(RefusedInputError, match="there is no picture 1"):
        left_of(case, number=1)
    with pytest.raises(RefusedInputError, match="there is no verdict v9"):
        left_of(case, entry="v9")
    other = Subject.model_validate(case.subject.model_dump() | {"content_sha256": "9" * 64})
    with pytest.raises(ConflictError, match="Open the result that was read"):
        left_of(case, thread=[entry(signed(other), "v1")])
    monkeypatch.setattr(dicom_sc, "MAX_PIXELS", 4)
    with pytest.raises(BudgetError, match="60 x 90 pixels"):
        left_of(case)
