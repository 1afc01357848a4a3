"""``mask/{number}.png``: where k-space was measured, as a picture, its centre in the middle."""

from typing import Any

import numpy as np

from medconsist.errors import MissingInputError
from medconsist.results.store import StoredResult
from medconsist.viewing.panes import sampled
from medconsist.viewing.picture import encode_png

__all__ = ["mask_picture"]

_LONGEST_NUMBER = 9  # digits


def mask_picture(stored: StoredResult, request: Any) -> tuple[bytes, str]:  # noqa: ANN401
    """Return a sampling mask as PNG, white where measured; ``{number}`` counts masks from 0.

    Raises
    ------
    MissingInputError
        No mask is stored, or not that one.
    """
    text = request.path_params["number"]
    mask = sampled(stored)
    is_number = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    if mask is None or not is_number or int(text) >= len(mask):
        msg = "this result has no such sampling mask."
        raise MissingInputError(msg)
    return encode_png(np.where(mask[int(text)], 255, 0).astype(np.uint8)), "image/png"
