"""A scan whose field of view is narrower than the object: its sides fold onto one another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from medconsist.operators.fourier import Fourier
from tests.mri.asymmetric import asymmetric_image

HEIGHT, WIDTH, OBJECT, COILS = 48, 40, 56, 6
SIGMA = 0.01


@dataclass(frozen=True, eq=False)
class FoldedScan:
    """K-space without noise, and what lies behind it.

    ``maps`` are of unit norm, ``1 sets coils height width``: set 0 is what lies inside the field
    of view, set 1 what folds onto it. ``images`` are the object times the sensitivity of all coils
    there, ``1 sets height width``.
    """

    samples: Tensor
    maps: Tensor
    images: Tensor

    @property
    def rss(self) -> Tensor:
        """The root sum of squares of the folded coil images."""
        return torch.linalg.vector_norm((self.maps * self.images[:, :, None]).sum(1), dim=1)


def folded_scan() -> FoldedScan:
    """Return one slice."""
    coils, image = _coils(), asymmetric_image(HEIGHT, OBJECT)
    first = (OBJECT - WIDTH) // 2
    pieces = torch.zeros(2, COILS + 1, HEIGHT, WIDTH, dtype=torch.complex64)
    whole = torch.cat([image[None].to(coils), coils])
    pieces[0] = whole[..., first : first + WIDTH]
    pieces[1, ..., WIDTH - first :] = whole[..., :first]  # what lies left of the field of view
    pieces[1, ..., :first] = whole[..., first + WIDTH :]
    object_, maps = pieces[:, 0], pieces[:, 1:]
    norm = torch.linalg.vector_norm(maps, dim=1)
    maps = torch.where(norm[:, None] > 0, maps / norm.clamp_min(1e-9)[:, None], 0)
    images = object_ * norm
    samples = Fourier()((maps * images[:, None]).sum(0))
    return FoldedScan(samples[None], maps[None], images[None])


def folded_mask(acceleration: float, *, calibration: int = 20) -> Tensor:
    """Return a random mask with a full centre, ``height width``."""
    generator = torch.Generator().manual_seed(5)
    mask = torch.rand(HEIGHT, WIDTH, generator=generator) < 1 / acceleration
    rows, columns, half = HEIGHT // 2, WIDTH // 2, calibration // 2
    mask[rows - half : rows + half, columns - half : columns + half] = True
    return mask


def _coils() -> Tensor:
    """Return Gaussian lobes around the object, ``coils height width`` of the object's grid."""
    rows = torch.linspace(-1, 1, HEIGHT)[:, None]
    columns = torch.linspace(-1, 1, OBJECT)
    angles = torch.arange(COILS)[:, None, None] * 2 * torch.pi / COILS + 0.2
    distance = (rows - 1.2 * angles.sin()).square() + (columns - 1.2 * angles.cos()).square()
    phase = 0.7 * angles + 0.4 * rows * angles.cos() + 0.3 * columns
    return torch.exp(-distance / 1.5) * torch.exp(1j * phase)
