"""Variable-density Poisson-disc point sets on a pixel grid, of an exact size."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["poisson_disc"]

_SEARCH_STEPS = 14  # halves the bracket of the radius scale to below 1e-4 of itself


def poisson_disc(
    profile: Float[Tensor, "height width"],
    candidates: Bool[Tensor, "height width"],
    *,
    n_samples: int,
    generator: torch.Generator,
) -> Bool[Tensor, "height width"]:
    """Draw ``n_samples`` pixels so that any two keep their distance.

    Dart throwing in random order: a pixel is taken unless it lies within ``s * profile`` of a
    pixel taken before, so any two are further apart than the smaller of their two radii. The
    largest ``s`` that still leaves ``n_samples`` is found by bisection, and the surplus of the
    last step is thinned at random; a subset of such a set keeps the property.

    Parameters
    ----------
    profile
        Disc radius of each pixel up to the common factor ``s``, positive.
    candidates
        Pixels that may be drawn; at least ``n_samples`` of them (not checked).
    n_samples
        Number of pixels to draw, >= 0.
    generator
        Source of randomness; the result lives on its device.

    References
    ----------
    R. Bridson, "Fast Poisson disk sampling in arbitrary dimensions", SIGGRAPH sketches 2007,
    doi:10.1145/1278780.1278807.
    """
    inside = np.flatnonzero(candidates.cpu().numpy())
    shuffled = torch.randperm(inside.size, generator=generator, device=generator.device).cpu()
    darts = _Darts(profile.cpu().double().numpy(), candidates.shape[-1], inside[shuffled.numpy()])
    taken = darts.at_least(n_samples)
    thinned = torch.randperm(taken.size, generator=generator, device=generator.device)[:n_samples]
    mask = torch.zeros(candidates.numel(), dtype=torch.bool, device=generator.device)
    mask[torch.from_numpy(taken).to(generator.device)[thinned]] = True
    return mask.reshape(candidates.shape)


@dataclass(frozen=True)
class _Darts:
    """A fixed random order of throwing; only the scale of the radii changes."""

    profile: npt.NDArray[np.float64]
    width: int
    order: npt.NDArray[np.int64]

    def at_least(self, n_samples: int) -> npt.NDArray[np.int64]:
        if n_samples < 2:
            return self.order
        low, high, best = 0.0, 2.0 / float(self.profile.min()), self.order
        while (taken := self.throw(high)).size >= n_samples:
            low, high, best = high, 2 * high, taken
        for _ in range(_SEARCH_STEPS):
            if best.size <= 1.005 * n_samples:
                break
            scale = 0.5 * (low + high)
            taken = self.throw(scale)
            if taken.size >= n_samples:
                low, best = scale, taken
            else:
                high = scale
        return best

    def throw(self, scale: float) -> npt.NDArray[np.int64]:
        """Return the flat indices taken, in the order of throwing."""
        radius = scale * self.profile
        pad = int(np.ceil(radius.max()))
        height, width = radius.shape
        stride = width + 2 * pad
        # one flat, padded byte per pixel: blocking a disc is a single fancy-indexed store
        blocked = np.zeros((height + 2 * pad) * stride, dtype=np.uint8)
        rows, columns = np.divmod(self.order, width)
        places = ((rows + pad) * stride + columns + pad).tolist()
        # radii quantised to 1/16 pixel share one list of offsets; rounding up keeps the distance
        keys = np.ceil(16 * radius.ravel()[self.order]).astype(np.int64).tolist()
        offsets: dict[int, npt.NDArray[np.int64]] = {}
        taken = []
        for index, place in enumerate(places):
            if blocked[place]:
                continue
            taken.append(index)
            key = keys[index]
            if key not in offsets:
                offsets[key] = _disc(key / 16, stride)
            blocked[offsets[key] + place] = 1
        return self.order[taken]


def _disc(radius: float, stride: int) -> npt.NDArray[np.int64]:
    reach = int(radius)
    steps = np.arange(-reach, reach + 1)
    rows, columns = np.meshgrid(steps, steps, indexing="ij")
    inside = rows**2 + columns**2 <= radius**2
    return rows[inside] * stride + columns[inside]
