"""Withheld evidence: the error on measured samples that the method did not see.

Nothing that makes the image may have seen them: coil maps and virtual coils come from the kept
region, and a method that estimates a scale estimates it from the seen samples. The noise level
alone, the unit of the error, may come from all samples (where there is no noise scan).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist.consistency.splits import Split, random_split
from medconsist.errors import NothingToWithholdError, RefusedInputError
from medconsist.mri.forward import Measurement, of_slices
from medconsist.mri.pattern import full_axis
from medconsist.mri.volumes.volume import Measured
from medconsist.shapes import Array

__all__ = ["Unit", "WithheldConfig", "WithheldError", "centre_of", "line_axis"]
__all__ += ["withheld_error", "withheld_splits", "withhold"]

Unit = Literal["point", "line", "pattern"]

_CENTRE = 4  # samples of the centre that are always seen (SSDU, doi:10.1002/mrm.28378)


@dataclass(frozen=True)
class WithheldConfig:
    """How samples are withheld.

    Parameters
    ----------
    fraction
        Share of the samples outside the kept region, in (0, 1).
    unit
        ``"point"`` withholds single positions, ``"line"`` whole lines along the readout;
        ``"pattern"`` takes lines where the mask is made of lines (and is not full), points
        elsewhere. A point beside seen neighbours of its own readout is easier to predict.
    splits
        Number of independent draws; each costs one reconstruction.

    Examples
    --------
    >>> WithheldConfig(fraction=0.2).splits
    1
    """

    fraction: float = 0.1
    unit: Unit = "pattern"
    splits: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1 or self.splits < 1:
            msg = (
                f"got fraction {self.fraction} and {self.splits} splits; allowed: a fraction in "
                "(0, 1) and 1 split or more. 0.1 and 1 are usual."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True)
class WithheldError:
    """The error of one draw, beside its noise floor.

    Parameters
    ----------
    chi_square
        ``sum |y - A x_keep|^2 / (n sigma^2)`` over the withheld samples; noise alone gives 1.
    nrmse
        ``sqrt(sum |y - A x_keep|^2 / sum |y|^2)``; noise alone gives ``nrmse_floor``.
    nrmse_floor
        ``sqrt(n sigma^2 / sum |y|^2)``.
    noise_corrected
        ``max(0, sum |y - A x_keep|^2 - n sigma^2) / sum |y|^2``; 0 at the noise floor.
    n
        Withheld samples, all coils and slices.

    Examples
    --------
    >>> WithheldError(chi_square=1.0, nrmse=0.1, nrmse_floor=0.1, noise_corrected=0.0, n=80).n
    80
    """

    chi_square: float
    nrmse: float
    nrmse_floor: float
    noise_corrected: float
    n: int


def withhold(
    mask: Bool[Tensor, "masks height width"],
    *,
    keep_region: Bool[Tensor, "*#masks height width"],
    config: WithheldConfig,
    generator: torch.Generator,
) -> Split:
    """Divide the acquired positions into seen and withheld ones.

    ``keep_region`` (the calibration, so that coil maps and virtual coils never saw a withheld
    sample) and the central 4 x 4 positions are always seen. The draw is made on the device of
    ``generator``, so that it is the same wherever the mask lives.

    Raises
    ------
    NothingToWithholdError
        Nothing is left to withhold.
    RefusedInputError
        Lines are asked for, and the mask is not made of lines.
    """
    always = (keep_region | centre_of(mask)).to(generator.device)
    observed = mask.to(generator.device)
    split = random_split(
        observed,
        config.fraction,
        always_keep=always,
        group=_lines(observed, config.unit),
        generator=generator,
    )
    if not split.hold.flatten(1).any(1).all():
        outside = int((observed & ~always).sum())
        msg = (
            f"a fraction {config.fraction} of the {outside} samples outside the kept region is "
            "none in some slice: nothing can be withheld; take a larger fraction, or unit='point'. "
            "A scan that is all calibration has nothing to learn or to judge from."
        )
        raise NothingToWithholdError(msg)
    return Split(split.keep.to(mask.device), split.hold.to(mask.device))


def withheld_splits(
    measurement: Measured,
    *,
    keep_region: Bool[Tensor, "... height width"],
    config: WithheldConfig,
    generator: torch.Generator,
) -> list[Split]:
    """Return the draws of withheld samples, the same for every method; none if none can be had."""
    try:
        return [
            withhold(measurement.mask, keep_region=keep_region, config=config, generator=generator)
            for _ in range(config.splits)
        ]
    except NothingToWithholdError:
        return []


def withheld_error(
    solve: Callable[[Measurement], Array], measurement: Measured, split: Split
) -> WithheldError:
    """Reconstruct from the seen samples and compare with the withheld ones.

    One reconstruction. Noise sets a floor of 1 on ``chi_square``; the noise of the seen samples
    and the bias of the method come on top. That the method's settings were not tuned on these
    samples is not checked: a lambda must be chosen on another draw.

    Parameters
    ----------
    solve
        Measurement to the image of each map set, ``slices sets height width``; what it estimates,
        a scale, it must estimate from the measurement that it is given, or for a volume in slabs
        have estimated from ``measurement.visible(split.keep)``.
    measurement
        All samples; maps from the kept region.
    split
        See `withhold`.

    Raises
    ------
    RefusedInputError
        All withheld samples are zero.
    """
    wrong, power, n = 0.0, 0.0, 0
    for at, slab in measurement.slabs("withheld samples"):
        device = slab.mask.device
        keep, hold = (of_slices(part, at).to(device) for part in (split.keep, split.hold))
        images = solve(slab.visible(keep))
        asked = slab.visible(hold)
        wrong += _power(asked.samples - asked.operator(images))
        power += _power(asked.samples)
        n += asked.n_samples
    if power == 0:
        msg = (
            f"all {n} withheld samples are zero: the mask marks samples that were not measured. "
            "Pass the mask of the acquisition."
        )
        raise RefusedInputError(msg)
    floor = n * measurement.sigma**2
    return WithheldError(
        chi_square=wrong / floor,
        nrmse=math.sqrt(wrong / power),
        nrmse_floor=math.sqrt(floor / power),
        noise_corrected=max(0.0, wrong - floor) / power,
        n=n,
    )


def _power(samples: Tensor) -> float:
    return float(samples.abs().square().sum(dtype=torch.float64))


def line_axis(
    mask: Bool[Tensor, "masks height width"], unit: Unit
) -> Literal["height", "width"] | None:
    """Return the axis along which what is withheld runs; None for single positions.

    Raises
    ------
    RefusedInputError
        Lines are asked for, and the mask is not made of lines.
    """
    axis = full_axis(mask)
    if unit == "pattern":
        unit = "point" if axis is None or bool(mask.all()) else "line"
    if unit == "point":
        return None
    if axis is None:
        msg = (
            "the mask is not made of whole lines, so none can be withheld; use unit='point' or "
            "unit='pattern'."
        )
        raise RefusedInputError(msg)
    return axis


def centre_of(mask: Bool[Tensor, "masks height width"]) -> Bool[Tensor, "height width"]:
    """Return the central 4 x 4 positions, which are always seen."""
    centre = torch.zeros(mask.shape[1:], dtype=torch.bool, device=mask.device)
    top, left = (max(n // 2 - _CENTRE // 2, 0) for n in mask.shape[1:])
    centre[top : top + _CENTRE, left : left + _CENTRE] = True
    return centre


def _lines(mask: Tensor, unit: Unit) -> Tensor | None:
    axis = line_axis(mask, unit)
    height, width = mask.shape[1:]
    if axis is None:
        return None
    if axis == "height":
        return torch.arange(width, device=mask.device).expand(height, width)
    return torch.arange(height, device=mask.device)[:, None].expand(height, width)
