"""A picture of a result as DICOM secondary capture, with the warning burned in below it."""

import io
from typing import Any

import numpy as np
from jaxtyping import UInt8

from medconsist._extras import require
from medconsist.errors import BudgetError, RefusedInputError
from medconsist.mri.formats.dicom_text import text
from medconsist.results.schema import Result
from medconsist.review.entries import Entry
from medconsist.viewing.leaving.dicom_heading import Heading, as_export, put_heading, referenced
from medconsist.viewing.leaving.dicom_source import Source
from medconsist.viewing.leaving.dicom_words import long_string, unlimited
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.letters import small_faces
from medconsist.viewing.leaving.paper import MAX_PIXELS, Picture
from medconsist.viewing.leaving.report import Review, refuse_other_result
from medconsist.viewing.leaving.verdict_line import line_of, time_words, verdict_of
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.picture import encode_png

__all__ = ["picture_sc"]

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_LEAST_WIDTH = 420  # pixels; room for the sha256 in the letters below
_LINE, _SIZE, _MARGIN = 16, 12, 4
_LONGEST_LT, _LONGEST_ST = 10240, 1024
_WHITE = 255.0


def picture_sc(
    review: Review, number: int, *, source: Source, shows_identity: bool = False
) -> Export:
    """Return one picture of a review as an RGB secondary capture; the same one is the same bytes.

    The picture stands at the upper left, none of its pixels changed; opacity is drawn on white.
    Below it a black band says, burned in: research use only, whether it is signed, the case, and
    the sha256 of the result: BurnedInAnnotation is always YES. Such a picture has no position in
    the patient: the file has neither orientation (PatientOrientation is empty, which says unknown)
    nor spacing.

    Parameters
    ----------
    review
        With its pictures.
    number
        Which of them, from 0.
    source
        Patient, study and the image that is referred to.
    shows_identity
        Whether the pixels show who the patient is.

    Raises
    ------
    RefusedInputError
        There is no such picture or verdict, it shows a what-if, or identity in a file that says it
        has none.
    ConflictError
        The verdict is of another result than the one given.
    BudgetError
        The picture is too large.
    """
    entry = line_of(review.thread, review.entry)[-1]
    refuse_other_result(verdict_of(entry), review.result)
    picture = _allowed(review, number, source, shows_identity=shows_identity)
    pixels = _burned(_colours(picture), _words(review.result, entry))
    dataset = require("pydicom", extra="dicom").Dataset()
    draft = "draft, " if verdict_of(entry).state == "draft" else ""
    heading = Heading(
        series="pictures",
        sop_class=_SECONDARY_CAPTURE,
        modality="OT",
        description=f"{draft}key image",
        made=entry.created,
        number=number + 1,
    )
    put_heading(dataset, source, review.result, heading)
    _add_image(dataset, pixels)
    dataset.BurnedInAnnotation = "YES"
    said = "\n".join([*_words(review.result, entry), picture.caption])
    dataset.ImageComments = text(unlimited(said).replace("\r\n", "\n"), _LONGEST_LT)
    dataset.DerivationDescription = long_string(
        f"Picture of result {review.result.key}, words burned in below it.",
        _LONGEST_ST,
    )
    if source.image is not None:
        dataset.ReferencedImageSequence = [referenced(source.image)]
    name = f"{review.result.case}-picture-{number + 1}{'-draft' if draft else ''}.sc.dcm"
    return as_export(dataset, name=name, what="DICOM SC")


def _allowed(review: Review, number: int, source: Source, *, shows_identity: bool) -> Picture:
    if not 0 <= number < len(review.pictures):
        msg = f"there is no picture {number}; the review has {len(review.pictures)} (from 0)."
        raise RefusedInputError(msg)
    picture = review.pictures[number]
    if picture.is_what_if:
        msg = "the picture shows what would be if the data were others, and none such leaves. "
        msg += "Switch the what-if off and open the export again."
        raise RefusedInputError(msg)
    if shows_identity and not source.keeps_identity:
        msg = "the picture shows who the patient is, and the file would say that identity was "
        msg += "removed. Hide identity, or take a source that keeps it."
        raise RefusedInputError(msg)
    if picture.pixels.size > 4 * MAX_PIXELS:
        height, width = picture.pixels.shape[:2]
        msg = f"a picture of {height} x {width} pixels does not leave, at most {MAX_PIXELS} do. "
        msg += "Draw it smaller."
        raise BudgetError(msg)
    return picture


def _words(result: Result, entry: Entry) -> list[str]:
    is_draft = verdict_of(entry).state == "draft"
    return [
        NOTICE,
        "DRAFT, not signed." if is_draft else f"Signed {time_words(entry.created)}.",
        f"Study {result.study}, case {result.case}",
        f"sha256 {result.content_sha256[:32]}",
        f"       {result.content_sha256[32:]}",
    ]


def _colours(picture: Picture) -> UInt8[np.ndarray, "height width 3"]:
    png = encode_png(picture.pixels, pixel_aspect=picture.pixel_aspect)
    opened = require("PIL.Image", extra="viewer").open(io.BytesIO(png))
    shown = np.asarray(opened.convert("RGBA"))
    share = shown[..., 3:].astype(np.float64) / _WHITE
    mixed = shown[..., :3] * share + _WHITE * (1 - share)
    colours: UInt8[np.ndarray, "height width 3"] = np.rint(mixed).astype(np.uint8)
    return colours


def _burned(
    colours: UInt8[np.ndarray, "height width 3"], words: list[str]
) -> UInt8[np.ndarray, "drawn_height drawn_width 3"]:
    image = require("PIL.Image", extra="viewer")
    font = require("PIL.ImageFont", extra="viewer").truetype(str(small_faces().regular), _SIZE)
    height, width = colours.shape[:2]
    needed = max(int(font.getlength(line)) for line in words) + 2 * _MARGIN + 1
    size = (max(width, needed, _LEAST_WIDTH), height + _LINE * len(words) + 2 * _MARGIN)
    canvas = image.new("RGB", size)
    canvas.paste(image.fromarray(colours), (0, 0))
    pen = require("PIL.ImageDraw", extra="viewer").Draw(canvas)
    for row, line in enumerate(words):
        pen.text((_MARGIN, height + _MARGIN + _LINE * row), line, font=font, fill="white")
    burned: UInt8[np.ndarray, "drawn_height drawn_width 3"] = np.asarray(canvas)
    return burned


def _add_image(dataset: Any, pixels: UInt8[np.ndarray, "height width 3"]) -> None:  # noqa: ANN401
    data = pixels.tobytes()
    values = {
        "ImageType": ["DERIVED", "SECONDARY"],
        "ConversionType": "WSD",
        "PatientOrientation": "",
        "LossyImageCompression": "00",
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "PixelData": data + b"\0" * (len(data) % 2),
    }
    for word, value in values.items():
        setattr(dataset, word, value)
    dataset["PixelData"].VR = "OB"
