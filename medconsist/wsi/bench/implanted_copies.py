"""Copies of parts of a real slide with implants, written as slides, and what lies where in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from medconsist.manifests.cases import CaseRow
from medconsist.wsi.look import look_at
from medconsist.wsi.mil.implant import Implant, implanted
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.settings import Embedding
from medconsist.wsi.simulate import SlideConfig
from medconsist.wsi.simulated.files import write_strips

__all__ = ["CLASSES", "Copy", "TissuePart", "halves_of", "write_copy"]

CLASSES = ("normal", "lesion")
_STAINED = 215  # darkest channel of a pixel of tissue, grey level
_LOOK_PX = 64
_STRIP = 512
_QUALITY = 90


@dataclass(frozen=True, eq=False)
class TissuePart:
    """Part of a real slide.

    Parameters
    ----------
    picture
        Its level 0.
    tissue
        Which of its pixels are tissue.
    mpp
        Microns per pixel.

    Examples
    --------
    >>> part = TissuePart(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.bool_), 0.5)
    >>> part.part(slice(0, 4)).picture.shape
    (4, 8, 3)
    """

    picture: UInt8[np.ndarray, "rows columns 3"]
    tissue: Bool[np.ndarray, "rows columns"]
    mpp: float

    def part(self, rows: slice, columns: slice = slice(None)) -> "TissuePart":
        """Return a rectangle of it."""
        return TissuePart(self.picture[rows, columns], self.tissue[rows, columns], self.mpp)


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One copy of a half, and what lies where in it.

    Parameters
    ----------
    case
        Its id.
    path
        Of the slide.
    implants
        First the lesion, if there is one, then shams.

    Examples
    --------
    >>> Copy(case="c", path=Path("c.svs"), implants=()).family is None
    True
    """

    case: str
    path: Path
    implants: tuple[Implant, ...]

    @property
    def family(self) -> str | None:
        """Of its lesion; None without one."""
        return next((one.family for one in self.implants if not one.is_sham), None)

    @property
    def row(self) -> CaseRow:
        """What a manifest says of it: each copy stands for a person of its own."""
        label = CLASSES[self.family is not None]
        return CaseRow(
            row=2, path=self.path, item=self.case, case=self.case, patient=self.case, label=label
        )


def halves_of(slide: Path) -> dict[str, TissuePart]:
    """Return the upper and the lower half of a slide with their tissue.

    A pixel is tissue where the program's tissue mask says so and the pixel itself is stained.

    Raises
    ------
    MissingInputError, CorruptInputError, UnsupportedInputError, NoMppError, NoTissueError
        The slide cannot be used.
    """
    with open_slide(slide) as opened:
        mpp = opened.facts.mpp()
        look = look_at(opened, mpp=mpp, tile_px=_LOOK_PX, settings=Embedding())
        picture = opened.read_region(0, 0, 0, *opened.facts.size)
    cells = (
        np.minimum(np.arange(pixels) // scale, count - 1).astype(int)
        for pixels, scale, count in zip(
            picture.shape[:2], look.overview.affine.scale, look.tissue.mask.shape, strict=True
        )
    )
    tissue = look.tissue.mask[np.ix_(*cells)] & (picture.min(axis=2) < _STAINED)
    whole = TissuePart(picture, tissue, mpp.x)
    middle = len(picture) // 2
    return {"upper": whole.part(slice(0, middle)), "lower": whole.part(slice(middle, None))}


def write_copy(part: TissuePart, path: Path, implants: Sequence[Implant]) -> Copy:
    """Write a copy of a part with implants as an SVS pyramid; its case is named as the file.

    Raises
    ------
    StorageError
        The disk is full or not writable.
    """
    pixels = implanted(part.picture, implants, mpp=part.mpp)
    rows, columns = part.tissue.shape
    config = SlideConfig(
        width=columns, height=rows, mpp=part.mpp, photometric="rgb", quality=_QUALITY
    )
    write_strips(path, config, (pixels[top : top + _STRIP] for top in range(0, rows, _STRIP)))
    return Copy(case=path.stem, path=path, implants=tuple(implants))
