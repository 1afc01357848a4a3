"""What the picture of a result is made of, and what of a review is drawn on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from medconsist.review.entries import Entry
from medconsist.review.records import Annotation, Comment, Pin
from medconsist.viewing.leaving.dicom_shapes import outline_of
from medconsist.viewing.leaving.drawing import Pixels, Point

__all__ = ["Filed", "Scene"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """The drawn part of a picture, and what must be said of it.

    Parameters
    ----------
    pixels
        In colour.
    roles
        Which arrays are drawn.
    words
        Place, window, marks, and what is not known; they stand below the pixels.

    Examples
    --------
    >>> import numpy as np
    >>> Scene(pixels=np.zeros((2, 2, 3), np.uint8), roles="overview", words=()).roles
    'overview'
    """

    pixels: Pixels
    roles: str
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Filed:
    """What readers had filed of a result when it was signed.

    Parameters
    ----------
    comments, shapes
        Those that count, in order of time.

    Examples
    --------
    >>> Filed().marks([], [])
    ()
    """

    comments: Sequence[Entry] = ()
    shapes: Sequence[Entry] = ()

    def pins(self, space: str) -> list[Pin]:
        """Return the places of the comments that hang at one, the earliest first."""
        said = [one.body for one in sorted(self.comments, key=lambda one: (one.created, one.id))]
        found = [one.pin for one in said if isinstance(one, Comment) and one.text.strip()]
        return [pin for pin in found if pin is not None and pin.space == space]

    def outlines(self, plane: int | None) -> list[list[Point]]:
        """Return the rings of what was drawn on a slice, or on a slide, as they were filed.

        Raises
        ------
        RefusedInputError
            A shape is no polygon, not closed, or crosses itself.
        """
        rings: list[list[Point]] = []
        for entry in self.shapes:
            body = entry.body
            is_here = isinstance(body, Annotation) and body.geometry is not None
            if isinstance(body, Annotation) and is_here and body.plane == plane:
                outline = outline_of((entry, body))
                for polygon in getattr(outline, "geoms", [outline]):
                    borders = [polygon.exterior, *polygon.interiors]
                    rings += [[(x, y) for x, y, *_ in one.coords[:-1]] for one in borders]
        return rings

    @staticmethod
    def marks(rings: Sequence[object], pins: Sequence[object]) -> tuple[str, ...]:
        """Return what is drawn on a picture, empty for nothing."""
        words = ["Blue lines: outlines of readers."] if rings else []
        words += ["Yellow circles: places of comments."] if pins else []
        return tuple(words)
