"""What one training step sees: simulated acquisitions out of a pool, drawn anew each time."""

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.sampling_masks import Gaussian1D, Gaussian2D, PlaneMask
from medconsist.mri.scan_pool import ScanPool
from medconsist.mri.zerofilled_rss import rss_scale
from medconsist.shapes import CoilKSpace, CoilMaps, RealImages, SamplingMask

__all__ = ["Acquisition", "MaskDraw", "draw_acquisition", "undersample"]

_SYMMETRIES = 8
_SCALE_SPREAD = 0.5  # of ln: slices of one volume share a scale, and are not alike


@dataclass(frozen=True, kw_only=True)
class MaskDraw:
    """Masks of one dimension and of two, at any acceleration between two.

    Parameters
    ----------
    acceleration
        Least and largest, drawn uniformly. A one-dimensional mask has at least four lines beside
        its centre, whatever is drawn: at 64 columns that is 8, at 32 columns 4.
    center_lines
        Fully sampled lines of one-dimensional masks, as a share of all lines; at least four.
    center
        Least and largest side of the fully sampled square of two-dimensional masks, as a share of
        the smaller side; drawn uniformly, at least four samples.

    Raises
    ------
    RefusedInputError
        A range that is none, or a centre that alone has as many samples as the largest
        acceleration leaves.

    Examples
    --------
    >>> import torch
    >>> MaskDraw(acceleration=(4, 4))((64, 64), torch.Generator().manual_seed(0)).shape
    torch.Size([64, 64])
    """

    acceleration: tuple[float | int, float | int] = (3.5, 9.0)
    center_lines: float = 1 / 16
    center: tuple[float | int, float | int] = (0.06, 0.19)

    def __post_init__(self) -> None:
        least, most = self.acceleration
        if not 1 < least <= most < math.inf:
            msg = f"acceleration got {self.acceleration}; allowed: 1 < least <= largest, finite."
            raise RefusedInputError(msg)
        low, high = self.center
        if not (0 <= low <= high and high**2 < 1 / most and 0 <= self.center_lines < 1 / most):
            msg = (
                f"center got {self.center} and center_lines {self.center_lines}; allowed: "
                f"0 <= least <= largest < {most**-0.5:.3g} and 0 to {1 / most:.3g}, so that an "
                f"acceleration of {most:g} leaves more than the centre."
            )
            raise RefusedInputError(msg)

    def __call__(self, shape: tuple[int, int], generator: Generator) -> PlaneMask:
        """Return a mask; half of them have lines along the columns, half are of two dimensions."""
        least, most = self.acceleration
        kind, level, size = torch.rand(3, generator=generator).tolist()
        acceleration = least + level * (most - least)
        if kind < 1 / 2:
            lines = max(4, round(shape[1] * self.center_lines))
            return Gaussian1D(
                acceleration=min(acceleration, shape[1] / (lines + 4)), center_lines=lines
            )(shape, generator)
        low, high = self.center
        side = max(4, round(min(shape) * (low + size * (high - low))))
        return Gaussian2D(acceleration=acceleration, center=(side, side))(shape, generator)


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Undersampled slices with what is known about them; scaled as `prepare` scales.

    Parameters
    ----------
    samples, mask, maps, sigma
        What the network takes.
    reference
        Magnitude of the noise-free image, on the same scale.

    Examples
    --------
    >>> import torch
    >>> from medconsist.mri.scan_pool import PoolConfig, ScanPool
    >>> pool = ScanPool.simulate(PoolConfig(scans=1, slices=1, size=32, coils=2))
    >>> draw_acquisition(pool, torch.Generator().manual_seed(0)).mask.shape
    torch.Size([1, 32, 32])
    """

    samples: CoilKSpace
    mask: SamplingMask
    maps: CoilMaps
    sigma: Float[Tensor, " slices"]
    reference: RealImages

    def to(self, device: torch.device | str) -> "Acquisition":
        """Return a copy on ``device``."""
        return Acquisition(*(getattr(self, part.name).to(device) for part in fields(self)))


def draw_acquisition(
    pool: ScanPool,
    generator: Generator,
    *,
    batch: int = 1,
    size: int | None = None,
    masks: MaskDraw | None = None,
    noise: tuple[float | int, float | int] = (1.0, 2.0),
) -> Acquisition:
    """Draw slices, turn or mirror them, add noise, and undersample each with a mask of its own.

    Parameters
    ----------
    pool
        Where slices come from.
    generator
        Source of every draw.
    batch
        Number of slices.
    size
        Rows and columns, a divisor of those of the pool; None takes all.
    masks
        See `MaskDraw`.
    noise
        Least and largest level, times that of the slice, drawn uniformly in its logarithm; 1 adds
        none.
    """
    index = torch.randint(len(pool), (batch,), generator=generator)
    symmetry = int(torch.randint(_SYMMETRIES, (), generator=generator))
    slices = pool.at(index)
    if size is not None and size != slices.reference.shape[-1]:
        slices = slices.smaller(size)
    slices = slices.turned(symmetry)
    least, most = noise
    louder = math.log(least) + torch.rand(batch, generator=generator) * math.log(most / least)
    slices = slices.noisier(slices.sigma * louder.exp(), generator)
    height, width = slices.reference.shape[1:]
    draw = masks or MaskDraw()
    mask = torch.stack([draw((height, width), generator) for _ in range(batch)])
    spread = (torch.rand(batch, generator=generator) - 0.5) * 2 * _SCALE_SPREAD
    return undersample(slices, mask, spread=spread.exp())


def undersample(
    slices: ScanPool,
    mask: SamplingMask,
    *,
    spread: Float[Tensor, " slices"] | None = None,
) -> Acquisition:
    """Return slices as acquired with masks; the scale is that of each slice, times ``spread``."""
    samples = torch.where(mask[:, None], slices.samples, 0)
    scale = torch.tensor([rss_scale(one[None]) for one in samples])
    if spread is not None:
        scale = scale * spread
    return Acquisition(
        samples=samples / scale[:, None, None, None],
        mask=mask,
        maps=slices.maps[:, None],
        sigma=slices.sigma / scale,
        reference=slices.reference / scale[:, None, None],
    )
