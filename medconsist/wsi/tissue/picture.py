"""The overview with what was found on it: outlines, flags, and a scale bar where mpp is known."""

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, UInt8

from medconsist._extras import require
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.wsi.tissue.overview import Overview

__all__ = ["FLAG_COLOURS", "tissue_picture"]

Colour = tuple[int, int, int]

_OUTLINE: Colour = (0, 150, 60)
# Okabe and Ito's colours, told apart by colour-blind readers too
FLAG_COLOURS: Mapping[str, Colour] = {
    "pen": (0, 114, 178),
    "fold": (213, 94, 0),
    "blur": (230, 159, 0),
    "blank": (86, 180, 233),
}
_OTHER: Colour = (204, 121, 167)
_BARS_MM = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
_LEAST_SIDE_WITH_BAR = 100


def tissue_picture(
    overview: Overview | UInt8[np.ndarray, "rows columns 3"],
    *,
    mask: npt.NDArray[np.bool_],
    flags: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    longest_side: int = 1024,
) -> bytes:
    """Return PNG bytes: tissue outlined, flags tinted in `FLAG_COLOURS`, a scale bar if possible.

    Parameters
    ----------
    overview
        A bare picture has unknown microns: no bar is drawn and pixels are taken as square.
    mask
        Tissue, on the grid of the overview.
    flags
        Masks by name, on the same grid.
    longest_side
        Of the answer [px], 16 or more; square in microns.

    Raises
    ------
    ShapeError
        A mask lies on another grid.
    RefusedInputError
        ``longest_side`` is too small.
    """
    picture = overview.picture if isinstance(overview, Overview) else overview
    flags = flags or {}
    for name, one in {"mask": mask, **flags}.items():
        if one.shape != picture.shape[:2]:
            msg = f"{name} has the shape {one.shape}, the overview {picture.shape[:2]}."
            raise ShapeError(msg)
    if longest_side < 16:
        msg = f"longest_side must be 16 px or more, got {longest_side}."
        raise RefusedInputError(msg)
    pixel_um = overview.pixel_um if isinstance(overview, Overview) else (1.0, 1.0)
    size = _drawn_size(picture.shape[:2], pixel_um, longest_side)
    drawn = _resized(picture, size)
    for name, one in flags.items():
        inside = _nearest(one, size)
        colour = np.asarray(FLAG_COLOURS.get(name, _OTHER))
        drawn[inside] = (0.5 * drawn[inside] + 0.5 * colour).astype(np.uint8)
    drawn[_edge(_nearest(mask, size))] = _OUTLINE
    image = require("PIL.Image", extra="wsi").fromarray(drawn)
    if isinstance(overview, Overview) and min(size) >= _LEAST_SIDE_WITH_BAR:
        _draw_bar(image, um_per_px=pixel_um[1] * picture.shape[1] / size[1])
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def _drawn_size(
    shape: tuple[int, ...], pixel_um: tuple[float, float], longest: int
) -> tuple[int, int]:
    extent = (shape[0] * pixel_um[0], shape[1] * pixel_um[1])
    rows, columns = (max(1, round(longest * side / max(extent))) for side in extent)
    return rows, columns


def _resized(
    picture: UInt8[np.ndarray, "rows columns 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "drawn_rows drawn_columns 3"]:
    pil = require("PIL.Image", extra="wsi")
    small = pil.fromarray(picture).resize(size[::-1], pil.Resampling.BOX)
    return np.array(small)


def _nearest(
    mask: Bool[np.ndarray, "rows columns"], size: tuple[int, int]
) -> Bool[np.ndarray, "drawn_rows drawn_columns"]:
    rows, columns = (
        ((np.arange(n) + 0.5) * old / n).astype(np.intp)
        for n, old in zip(size, mask.shape, strict=True)
    )
    return mask[rows][:, columns]


def _edge(mask: Bool[np.ndarray, "rows columns"]) -> Bool[np.ndarray, "rows columns"]:
    """Mark the tissue within two pixels of what is none."""
    ndimage = require("scipy.ndimage", extra="wsi")
    return mask & ~ndimage.binary_erosion(mask, iterations=2)


def _draw_bar(image: object, *, um_per_px: float) -> None:
    """Draw the longest bar of a round length within a quarter of the width, lower left."""
    width, height = image.size  # type: ignore[attr-defined]  # Pillow is imported when needed
    fitting = [mm for mm in _BARS_MM if mm * 1000 / um_per_px <= width / 4]
    if not fitting:
        return
    length = round(fitting[-1] * 1000 / um_per_px)
    draw = require("PIL.ImageDraw", extra="wsi").Draw(image)
    left, bottom = 12, height - 12
    draw.rectangle((left - 4, bottom - 24, left + max(length, 50) + 4, bottom + 4), fill="white")
    draw.rectangle((left, bottom - 4, left + length - 1, bottom), fill="black")
    draw.text((left, bottom - 20), _length_text(fitting[-1]), fill="black")


def _length_text(mm: float) -> str:
    return f"{mm:g} mm" if mm >= 1 else f"{mm * 1000:g} um"
