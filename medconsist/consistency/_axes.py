"""How a mask or a weight with fewer axes lies on a tensor: batch first, so on its leading axes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError

__all__: list[str] = []


def on_leading_axes(values: Tensor, shape: Sequence[int], *, name: str) -> Tensor:
    """Return ``values`` with axes of length 1 appended, to broadcast against ``shape``."""
    missing = len(shape) - values.ndim
    fits = missing >= 0 and all(
        have in (1, want) for have, want in zip(values.shape, shape, strict=False)
    )
    if not fits:
        msg = (
            f"{name} has the shape {tuple(values.shape)}, which does not lie on {tuple(shape)}: "
            "its axes are the leading ones, each of length 1 or of the same length. Insert axes "
            "of length 1 where it has none."
        )
        raise ShapeError(msg)
    return values.reshape(*values.shape, *(1,) * missing)


def require_bool(mask: Tensor, *, name: str) -> None:
    """Refuse a mask of zeros and ones: as integers they would be taken for indices."""
    if mask.dtype != torch.bool:
        msg = (
            f"{name} {tuple(mask.shape)} must be bool; got {mask.dtype}. Compare, e.g. {name} > 0."
        )
        raise RefusedInputError(msg)
