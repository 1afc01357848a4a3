"""Which of the acquired samples a network sees in training, and which its loss compares."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from medconsist.consistency.splits import Split
from medconsist.errors import NothingToWithholdError, RefusedInputError
from medconsist.mri.acs import sampled_centre
from medconsist.mri.evidence.withheld import (
    Unit,
    WithheldConfig,
    centre_of,
    line_axis,
    withhold,
)
from medconsist.mri.volumes.volume import Measured

__all__ = ["Density", "SplitConfig", "split_samples"]

Density = Literal["uniform", "gaussian"]

_WIDTH = 4  # of the Gaussian: standard deviation (n - 1) / 4


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How the acquired positions Omega are divided into Theta (seen) and Lambda (compared).

    Yaman et al. 2020, doi:10.1002/mrm.28378.

    Parameters
    ----------
    fraction
        ``|Lambda|`` as a share of the positions that may be withheld, in (0, 1).
    draw
        ``"uniform"``: all alike; ``"gaussian"``: weighted by a Gaussian about the centre of
        k-space with standard deviation ``(n - 1) / 4`` along each axis of n samples, without
        replacement. The released code draws it by rejection and counts the calibration region
        into the share, which may never end; here both draws withhold the same number.
    unit
        As in `WithheldConfig`: single positions, whole lines, or what the mask is made of.
    calibration
        Side of the fully sampled centre that is always seen, because coil maps were estimated
        from it [samples]; 0 where maps come from elsewhere. The central 4 x 4 is seen anyway.

    Examples
    --------
    >>> SplitConfig(draw="gaussian").fraction
    0.4
    """

    fraction: float = 0.4
    draw: Density = "uniform"
    unit: Unit = "point"
    calibration: int = 24

    def __post_init__(self) -> None:
        WithheldConfig(fraction=self.fraction, unit=self.unit)  # refuses a share out of range
        if self.draw not in get_args(Density) or self.calibration < 0:
            msg = (
                f"got draw {self.draw!r} and calibration {self.calibration}; allowed: 'uniform' or "
                "'gaussian', and 0 or more samples."
            )
            raise RefusedInputError(msg)


def split_samples(measurement: Measured, config: SplitConfig, generator: Generator) -> Split:
    """Divide the acquired positions of each mask into Theta, ``keep``, and Lambda, ``hold``.

    Raises
    ------
    NothingToWithholdError
        No sample can be withheld.
    RefusedInputError
        Lines are asked for, and the mask is not made of lines.
    """
    mask = measurement.mask
    region = sampled_centre(mask, config.calibration)
    if config.draw == "uniform":
        asked = WithheldConfig(fraction=config.fraction, unit=config.unit)
        return withhold(mask, keep_region=region, config=asked, generator=generator)
    return _gaussian_split(mask, region | centre_of(mask), config, generator)


def _gaussian_split(
    mask: Tensor, always: Tensor, config: SplitConfig, generator: Generator
) -> Split:
    axis = line_axis(mask, config.unit)
    along = None if axis is None else ("height", "width").index(axis)
    density = _gaussian(mask.shape[-2], 0, along) * _gaussian(mask.shape[-1], 1, along)
    hold = torch.stack([_weighted(one, always, along, density, config, generator) for one in mask])
    if not hold.flatten(1).any(1).all():
        msg = (
            f"a fraction {config.fraction} of the samples outside the calibration region is none "
            "in some slice, so there is nothing to compare; take a larger fraction."
        )
        raise NothingToWithholdError(msg)
    return Split(mask & ~hold, hold)


def _weighted(
    mask: Tensor,
    always: Tensor,
    along: int | None,
    density: Tensor,
    config: SplitConfig,
    generator: Generator,
) -> Tensor:
    """Draw units without replacement, by smallest ``-log(u) / w`` (Efraimidis & Spirakis 2006)."""
    present, forced = _units(mask, along), _units(mask & always, along)
    eligible = present & ~forced
    uniform = torch.rand(density.shape, generator=generator, device=generator.device)
    keys = -uniform.clamp_min(torch.finfo(uniform.dtype).tiny).log().to(mask.device) / density.to(
        mask.device
    )
    keys = torch.where(eligible, keys, torch.inf).flatten()
    n_hold = int(config.fraction * int(eligible.sum()) + 0.5)
    n_hold = min(n_hold, int(present.sum()) - 1)  # as `random_split`: something stays visible
    drawn = torch.zeros_like(keys, dtype=torch.bool)
    drawn[keys.argsort()[:n_hold]] = True
    return drawn.reshape(density.shape) & mask


def _units(positions: Tensor, along: int | None) -> Tensor:
    return positions if along is None else positions.any(along, keepdim=True)


def _gaussian(n: int, axis: int, along: int | None) -> Tensor:
    """Return the density along one axis; a single 1 where lines run along it."""
    distance = (torch.arange(n) - n // 2).float()
    values = (-0.5 * (_WIDTH * distance / max(n - 1, 1)).square()).exp()
    if axis == along:
        values = torch.ones(1)
    return values[:, None] if axis == 0 else values[None]
