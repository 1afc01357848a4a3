"""A phantom that no flip, transposition, shift or rescaling leaves unchanged, and its k-space."""

import torch
from torch import Tensor

from medconsist.operators.fourier import Fourier


def asymmetric_image(height: int = 20, width: int = 28) -> Tensor:
    """Return a positive image: a faint body, an off-centre L, and four corners of unique value."""
    image = torch.zeros(height, width)
    image[2 : height - 3, 3 : width - 2] = 0.5
    image[4 : height - 6, 6:9] = 2.0
    image[height - 9 : height - 6, 6 : width // 2 + 3] = 3.0
    image[0, 0], image[0, -1], image[-1, 0], image[-1, -1] = 1.1, 1.3, 1.7, 1.9
    return image


def asymmetric_coils(n_coils: int = 3, height: int = 20, width: int = 28) -> Tensor:
    """Return smooth complex coil maps with unit sum of squares, ``coils height width``."""
    rows = torch.linspace(-1, 1, height)[:, None]
    columns = torch.linspace(-1, 1, width)
    angles = torch.arange(n_coils)[:, None, None] * 2.1 + 0.3
    magnitude = 1.5 + rows * angles.cos() + columns * angles.sin()
    maps = magnitude * torch.exp(1j * (0.4 * angles + 0.5 * rows * angles.sin()))
    norm: Tensor = torch.linalg.vector_norm(maps, dim=0)
    return maps / norm


def asymmetric_kspace(
    slices: int = 2, n_coils: int = 3, height: int = 20, width: int = 28
) -> Tensor:
    """Return centred noise-free k-space, ``slices coils height width``; slice s is s + 1 times."""
    scale = torch.arange(1, slices + 1)[:, None, None, None]
    coils = asymmetric_coils(n_coils, height, width)
    return Fourier()((scale * coils * asymmetric_image(height, width)).to(torch.complex64))
