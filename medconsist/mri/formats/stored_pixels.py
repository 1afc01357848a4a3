"""Real values as 16-bit numbers with the slope and intercept that give them back."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt16
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError

__all__ = ["StoredPixels", "store_pixels"]

_LARGEST = 65535
_SMALLEST_SLOPE = 1e-30  # below it, 16 characters of decimal text hold too few digits


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """``value = stored * slope + intercept``, with both as the 16 characters of a DS.

    Examples
    --------
    >>> import torch
    >>> store_pixels(torch.tensor([[[0.0, 2.0]]])).stored.tolist()
    [[[0, 65535]]]
    """

    stored: UInt16[np.ndarray, "slices height width"]
    slope: str
    intercept: str

    @property
    def window(self) -> tuple[float, float]:
        """Centre and width of the whole range of stored values, in modality units."""
        width = max(float(self.slope) * int(self.stored.max()), float(self.slope))
        return float(self.intercept) + width / 2, width


def store_pixels(image: Float[Tensor, "slices height width"]) -> StoredPixels:
    r"""Return an image over the full range of 16 bits.

    The slope is (max - min) / 65535, where min is 0 for an image without negative values: then
    zero stays zero. A value is off by at most half a slope: 1 in 131 070 of the range.

    Raises
    ------
    RefusedInputError
        If a value is not finite as float32, or the range is below 1e-25.
    """
    if not image.numel() or not image.float().isfinite().all():
        msg = "the image is empty or holds NaN or infinity (as float32); allowed: finite values."
        raise RefusedInputError(msg)
    values = image.detach().cpu().double().numpy()
    intercept = _decimal(min(float(values.min()), 0.0))
    span = float(values.max()) - float(intercept)
    if 0 < span < _SMALLEST_SLOPE * _LARGEST:
        msg = f"the image spans {span:.3g} only, which DICOM's decimal text cannot scale."
        raise RefusedInputError(msg)
    slope = _decimal(span / _LARGEST if span > 0 else 1.0)
    # Quantised by the number that is written, so that its rounding cannot add to the error.
    stored = np.rint((values - float(intercept)) / float(slope))
    return StoredPixels(stored.clip(0, _LARGEST).astype(np.uint16), slope, intercept)


def _decimal(value: float) -> str:
    text: str = require("pydicom.valuerep", extra="dicom").format_number_as_ds(value)
    return text
