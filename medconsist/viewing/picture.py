"""Arrays to PNG bytes: rows downwards, columns to the right, never flipped."""

import io

import numpy as np
from jaxtyping import UInt8

from medconsist._extras import require
from medconsist.errors import RefusedInputError

__all__ = ["encode_png"]


def encode_png(
    picture: UInt8[np.ndarray, "height width *channels"], *, pixel_aspect: float = 1.0
) -> bytes:
    """Return the picture as lossless PNG bytes.

    Parameters
    ----------
    picture
        Grey ``height width``, colour ``height width 3``, or colour and opacity ``height width 4``;
        row 0 is drawn on top, column 0 left.
    pixel_aspect
        Height of a pixel over its width, both in mm. At 1, also used where the voxel size is
        unknown, every array element is one PNG pixel; otherwise the shorter side of the pixel
        grid is stretched by nearest neighbour, so that no value is invented.

    Raises
    ------
    RefusedInputError
        If the aspect is not above 0, or the picture is empty or has other channels.
    MissingExtraError
        If Pillow is not installed.
    """
    if picture.size == 0 or picture.shape[2:] not in ((), (3,), (4,)):
        msg = (
            f"a picture of shape {picture.shape} cannot be encoded; allowed: (height, width), "
            "or (height, width, 3 or 4), not empty. Pass one slice."
        )
        raise RefusedInputError(msg)
    if not (np.isfinite(pixel_aspect) and pixel_aspect > 0):
        msg = f"pixel aspect {pixel_aspect} is not above 0; pass row spacing / column spacing."
        raise RefusedInputError(msg)
    image = require("PIL.Image", extra="viewer").fromarray(_stretched(picture, pixel_aspect))
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def _stretched(
    picture: UInt8[np.ndarray, "rows columns *channels"], pixel_aspect: float
) -> UInt8[np.ndarray, "drawn_rows drawn_columns *channels"]:
    """Repeat rows or columns until pixels are square; nearest neighbour at pixel centres."""
    height, width = picture.shape[:2]
    rows = _nearest(height, round(height * max(pixel_aspect, 1.0)))
    columns = _nearest(width, round(width * max(1 / pixel_aspect, 1.0)))
    return np.ascontiguousarray(picture[rows][:, columns])


def _nearest(n: int, n_drawn: int) -> np.ndarray:
    return ((np.arange(n_drawn) + 0.5) * n / n_drawn).astype(np.intp)
