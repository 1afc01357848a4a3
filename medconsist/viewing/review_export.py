"""The files that may leave a review: what there is for this result, built and written down."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from medconsist.errors import RefusedInputError
from medconsist.results.schema import Result
from medconsist.results.store import StoredResult
from medconsist.review.access import Person
from medconsist.review.chain import links_of
from medconsist.review.entries import Entry, newest
from medconsist.review.records import Annotation, Subject
from medconsist.review.store import ReviewStore
from medconsist.viewing.leaving.annotations import Canvas, annotations_geojson
from medconsist.viewing.leaving.dicom_sc import picture_sc
from medconsist.viewing.leaving.dicom_seg import annotations_seg
from medconsist.viewing.leaving.dicom_source import (
    Source,
    source_of_image,
    source_of_result,
    volume_export,
)
from medconsist.viewing.leaving.dicom_sr import review_sr
from medconsist.viewing.leaving.events import (
    events_atr,
    events_csv,
    events_edf,
    recordings_with_events,
)
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.plate import with_plate
from medconsist.viewing.leaving.report import Review, review_pdf
from medconsist.viewing.leaving.verdict_line import line_of
from medconsist.viewing.leaving.verdicts_csv import verdicts_csv
from medconsist.viewing.markup import markdown
from medconsist.viewing.panes import image_roles

__all__ = ["Leaving", "Offer", "export_now", "offers", "review_as_filed"]

_MR = "mri.reconstruction"


@dataclass(frozen=True)
class Offer:
    """A file that may leave.

    Parameters
    ----------
    title
        What the button says, as Markdown.
    build
        Makes it.

    Examples
    --------
    >>> Offer("x", lambda: Export(name="x", media_type="text/csv", what="x", data=b"")).build().name
    'x'
    """

    title: str
    build: Callable[[], Export]


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """Who exports what.

    Parameters
    ----------
    store, person
        The review store, and who asks.
    stored
        The result on the screen, whole.
    canvas
        Gives the size of the slide; None where it is none.
    """

    store: ReviewStore
    person: Person
    stored: StoredResult
    canvas: Callable[[], Canvas] | None = None

    @property
    def result(self) -> Result:
        """What is stored."""
        return self.stored.result

    def thread(self, kind: str) -> list[Entry]:
        """Return the entries of a kind of the case, replaced ones too."""
        return self.store.thread(self.person, self.result.study, self.result.case, kind)

    def shapes(self) -> list[Entry]:
        """Return the shapes on this result that count."""
        return [one for one in newest(self.thread("annotation")) if _is_of(one, self.result)]


def offers(leaving: Leaving, verdicts: Sequence[Entry]) -> list[Offer]:
    """Return what may leave: reports and picture of each verdict, the table, shapes, the image.

    Parameters
    ----------
    leaving
        Who exports what.
    verdicts
        Those on this result that count.
    """
    found = [Offer("Table of the case (CSV)", partial(_table, leaving))]
    for entry in verdicts:
        is_draft = getattr(entry.body, "state", "") == "draft"
        said = "draft" if is_draft else f"by {markdown(entry.author)}"
        found.append(Offer(f"Report {said} (PDF)", partial(_pdf, leaving, entry)))
        if _has_dicom():
            title = f"Report {said} (DICOM SR)"
            found.append(Offer(title, partial(_sr, leaving, entry)))
            title = f"Picture {said} (DICOM secondary capture)"
            found.append(Offer(title, partial(_sc, leaving, entry)))
    if leaving.canvas is not None:
        found.append(Offer("Shapes on the slide (GeoJSON)", partial(_geojson, leaving)))
    if leaving.result.kind == _MR:
        found += _volumes(leaving)
    return [*found, *_events(leaving)]


def export_now(leaving: Leaving, offer: Offer, subject: Subject) -> Export:
    """Return the file, once it is in the audit chain with its sha256.

    Raises
    ------
    MedconsistError
        It cannot be made, or the person may not; nothing is given out then.
    """
    made = offer.build()
    leaving.store.exported(leaving.person, subject, what=made.what, sha256=made.sha256)
    return made


def review_as_filed(leaving: Leaving, entry: Entry) -> Review:
    """Return a verdict with what stood beside it when it was filed: later comments are not in it.

    So the report of a signature has the same bytes whenever it is made.
    """
    verdicts = leaving.thread("verdict")
    last = line_of(verdicts, entry.id)[-1]
    with leaving.store.database.reading() as connection:
        links = links_of(connection, [one.id for one in verdicts])

    def before(kind: str) -> list[Entry]:
        return [
            one
            for one in newest([one for one in leaving.thread(kind) if one.created <= last.created])
            if _is_of(one, leaving.result)
        ]

    return Review(
        result=leaving.result,
        thread=verdicts,
        entry=entry.id,
        links=links,
        impressions=before("impression"),
        comments=before("comment"),
        shapes=before("annotation"),
    )


def _pdf(leaving: Leaving, entry: Entry) -> Export:
    return review_pdf(with_plate(review_as_filed(leaving, entry), leaving.stored))


def _sc(leaving: Leaving, entry: Entry) -> Export:
    review = with_plate(review_as_filed(leaving, entry), leaving.stored)
    if not review.pictures:
        msg = f"there is no picture: {review.no_picture}"
        raise RefusedInputError(msg)
    return picture_sc(review, 0, source=_source(leaving))


def _sr(leaving: Leaving, entry: Entry) -> Export:
    result = leaving.result
    review = replace(
        review_as_filed(leaving, entry),
        impressions=leaving.thread("impression"),
        comments=[one for one in leaving.thread("comment") if _is_of(one, result)],
    )
    return review_sr(review, source=_source(leaving))


def _source(leaving: Leaving) -> Source:
    """Return patient, study and image as all DICOM files of a result have them."""
    result = leaving.result
    if result.kind == _MR:
        return source_of_image(_volume(leaving, "dicom", _role(result)))
    return source_of_result(result)


def _table(leaving: Leaving) -> Export:
    entries = [*leaving.thread("verdict"), *leaving.thread("impression")]
    made = verdicts_csv(leaving.result.study, entries)
    return replace(made, name=f"{leaving.result.case}-verdicts.csv")


def _geojson(leaving: Leaving) -> Export:
    if leaving.canvas is None:
        msg = "the size of the slide is not known, so that its shapes have no frame."
        raise RefusedInputError(msg)
    return annotations_geojson(leaving.result.case, leaving.shapes(), canvas=leaving.canvas())


def _events(leaving: Leaving) -> list[Offer]:
    """Return the events that readers marked on recordings: all as a table, and by recording."""
    result, marked = leaving.result, leaving.shapes()
    numbers = recordings_with_events(result, marked)
    found = [Offer("Events (CSV)", partial(events_csv, result, marked))] if numbers else []
    for number in numbers:
        title = f"Events of recording {number + 1}"
        if _has("wfdb"):
            make = partial(events_atr, result, marked, number)
            found.append(Offer(f"{title} (WFDB .atr)", make))
        if _has("edfio"):
            make = partial(events_edf, result, marked, number)
            found.append(Offer(f"{title} (EDF+)", make))
    return found


def _volumes(leaving: Leaving) -> list[Offer]:
    role = _role(leaving.result)
    made = [Offer("Image (NIfTI)", partial(_volume, leaving, "nifti", role))]
    if _has_dicom():
        made.append(Offer("Image (DICOM)", partial(_volume, leaving, "dicom", role)))
        if any(getattr(one.body, "geometry", None) for one in leaving.shapes()):
            made.append(Offer("Shapes on slices (DICOM SEG)", partial(_seg, leaving, role)))
    return made


def _volume(leaving: Leaving, to: Literal["dicom", "nifti"], role: str) -> Export:
    return volume_export(leaving.stored, to=to, role=role)


def _seg(leaving: Leaving, role: str) -> Export:
    source = source_of_image(_volume(leaving, "dicom", role))
    return annotations_seg(leaving.result, leaving.shapes(), source=source)


def _role(result: Result) -> str:
    roles = image_roles(result)
    return "reconstruction" if "reconstruction" in roles else roles[0]


def _is_of(entry: Entry, result: Result) -> bool:
    subject = entry.body.subject
    is_shape = isinstance(entry.body, Annotation)
    if is_shape and result.kind.startswith("wsi"):
        return subject.item == result.item  # it lies on the slide, whichever result was shown
    return subject.key == result.key


def _has_dicom() -> bool:
    return _has("highdicom")


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
