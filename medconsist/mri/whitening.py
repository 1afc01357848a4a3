"""The noise of a scan made white where it is known, and its level found where it is not."""

import contextlib
import math
from dataclasses import replace
from typing import Literal

from jaxtyping import Complex
from torch import Tensor

from medconsist.errors import CalibrationError
from medconsist.mri.acs import find_acs
from medconsist.mri.kspace import KSpace
from medconsist.mri.noise_level import calibration_sigma
from medconsist.mri.prewhitening import (
    apply_to_coils,
    coil_sigmas,
    estimate_sigma,
    noise_covariance,
    whitening_matrix,
)
from medconsist.mri.volumes.overwrite import Slabs, apply

__all__ = ["NoiseSource", "whiten", "with_estimated_noise"]

NoiseSource = Literal["noise scan", "calibration region", "outermost samples"]


def whiten(
    kspace: KSpace, slabs: Slabs | None
) -> tuple[KSpace, Complex[Tensor, "coils coils"] | None, float | None]:
    """Whiten samples, keeping the units of the file: the mean noise level stays.

    Without a noise scan nothing is whitened, and matrix and level are None.
    """
    if kspace.noise is None:
        return kspace, None, None
    covariance = noise_covariance(kspace.noise)
    level = math.sqrt(float(covariance.diagonal().real.mean()))
    matrix = level * whitening_matrix(covariance)
    note = (
        f"Prewhitened with {kspace.noise.shape[1]} noise samples, at the mean noise level of the "
        "coils: the units stay."
    )
    data = apply(kspace.data, lambda samples, _: apply_to_coils(matrix, samples), slabs)
    return replace(kspace, data=data, noise=None).with_note(note), matrix, level


def with_estimated_noise(kspace: KSpace, *, calibration: int) -> tuple[KSpace, float, NoiseSource]:
    """Return k-space with a note, its noise level, and where that comes from.

    Signal that is left makes both estimates too high, so the smaller one counts.

    Parameters
    ----------
    kspace
        Without a noise scan.
    calibration
        Largest side of the calibration region that is used [samples].
    """
    levels: dict[NoiseSource, float] = {"outermost samples": estimate_sigma(kspace)}
    with contextlib.suppress(CalibrationError):  # given maps need no calibration region
        region = find_acs(kspace.mask).limited(calibration)
        inner = calibration_sigma(region.extract(kspace.data))
        if inner is not None:
            levels["calibration region"] = inner
    source = min(levels, key=levels.__getitem__)
    sigmas = coil_sigmas(kspace)
    live = sigmas[sigmas > 0]  # a dead coil has none
    note = (
        f"No noise scan: one noise level for all coils, estimated from the {source} (in their "
        f"outermost samples coils differ by a factor of {float(live.max() / live.min()):.2g}); "
        "not whitened."
    )
    return kspace.with_note(note), levels[source], source
