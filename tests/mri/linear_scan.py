"""A small scan of known truth, noise and maps, and a linear reconstruction of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medconsist.mri.forward import Measurement
from medconsist.operators.solvers import conjugate_gradient

SHAPE = (40, 36)


@dataclass(frozen=True, eq=False)
class Scan:
    measurement: Measurement
    truth: Tensor
    noise: Tensor
    keep_region: Tensor


def maps(n_coils: int = 4, shape: tuple[int, int] = SHAPE) -> Tensor:
    """Smooth unit-norm maps inside an ellipse, zero outside, `1 1 coils height width`."""
    rows, columns = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape)
    rows, columns = torch.meshgrid(rows, columns, indexing="ij")
    angles = torch.arange(n_coils, dtype=torch.float64) * (2 * math.pi / n_coils)
    away = (rows - 1.2 * angles.sin()[:, None, None]) ** 2
    away = away + (columns - 1.2 * angles.cos()[:, None, None]) ** 2
    coils = torch.polar(1 / (0.3 + away), rows * angles.cos()[:, None, None] + columns)
    coils = coils / torch.linalg.vector_norm(coils, dim=0)
    return torch.where(rows**2 + columns**2 < 0.8, coils, 0)[None, None]


def random_mask(
    generator: torch.Generator, *, share: float = 0.5, shape: tuple[int, int] = SHAPE
) -> Tensor:
    mask = torch.rand(1, *shape, generator=generator) < share
    mask[0, region(shape)[0]] = True
    return mask


def region(shape: tuple[int, int] = SHAPE) -> Tensor:
    """The central 10 x 10 samples, `1 height width`."""
    inside = torch.zeros(1, *shape, dtype=torch.bool)
    top, left = (n // 2 - 5 for n in shape)
    inside[0, top : top + 10, left : left + 10] = True
    return inside


def white(generator: torch.Generator, shape: tuple[int, ...], sigma: float) -> Tensor:
    """Complex noise with E|n|^2 = sigma^2."""
    return sigma * torch.randn(shape, generator=generator, dtype=torch.complex128)


def smooth_object(coils: Tensor, n_slices: int) -> Tensor:
    """A disc with two rods, in a smooth phase, inside the support of the maps."""
    shape = coils.shape[-2:]
    rows, columns = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape)
    rows, columns = torch.meshgrid(rows, columns, indexing="ij")
    magnitude = (rows**2 + columns**2 < 0.6).double()
    magnitude = magnitude + 0.5 * ((rows - 0.2) ** 2 + (columns + 0.3) ** 2 < 0.05)
    magnitude = magnitude - 0.3 * ((rows + 0.3) ** 2 + (columns - 0.2) ** 2 < 0.04)
    image = torch.polar(magnitude, rows + 0.5 * columns)
    image = torch.where(coils[0, 0].abs().sum(0) > 0, image, 0)
    return image.expand(n_slices, -1, -1).contiguous()


def scan_of(truth: Tensor, mask: Tensor, coils: Tensor, noise: Tensor, sigma: float) -> Scan:
    n_slices = truth.shape[0]
    coils = coils.expand(n_slices, -1, -1, -1, -1)
    empty = torch.zeros(n_slices, *coils.shape[2:], dtype=truth.dtype)
    blank = Measurement(empty, mask, coils, sigma)
    noise = torch.where(mask[:, None], noise, 0)
    return Scan(
        measurement=blank.with_samples(blank.operator(truth[:, None]) + noise),
        truth=truth,
        noise=noise,
        keep_region=region((mask.shape[1], mask.shape[2])),
    )


def make_scan(
    generator: torch.Generator, *, n_slices: int = 2, sigma: float = 0.05, share: float = 0.5
) -> Scan:
    coils = maps()
    truth = smooth_object(coils, n_slices)
    noise = white(generator, (n_slices, *coils.shape[2:]), sigma)
    return scan_of(truth, random_mask(generator, share=share), coils, noise, sigma)


def ridge(weight: float, *, iterations: int = 60) -> Callable[[Measurement], Tensor]:
    """Linear least squares with a weight on the image energy."""

    def reconstruct(measurement: Measurement) -> Tensor:
        operator = measurement.operator
        gram = operator.gram
        image = conjugate_gradient(
            lambda x: gram(x) + weight * x,
            operator.H(measurement.samples),
            iterations=iterations,
            tolerance=1e-9,
            batch_dims=1,
        )
        return image[:, 0]

    return reconstruct


def predict(measurement: Measurement, image: Tensor) -> Tensor:
    """The samples that an image of one map set says."""
    return measurement.operator(image[:, None])
