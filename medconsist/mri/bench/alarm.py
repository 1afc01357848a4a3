"""Scans for ``medconsist bench alarm``: clean ones, and such of noisier scanners or wrong maps."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator

from medconsist.metrics.alarm_delay import CasePool
from medconsist.metrics.conformal import Direction
from medconsist.mri.draw_seeds import draw_seed
from medconsist.mri.forward import Measurement
from medconsist.mri.methods import CgSense
from medconsist.mri.prepare import prepare
from medconsist.mri.sampling_masks import Gaussian2D
from medconsist.mri.scan_pool import PoolConfig
from medconsist.mri.simulate import simulate
from medconsist.mri.trust import judge

__all__ = ["CHANGES", "PLAIN", "SCORES", "ScanStudy", "scan_pool"]

SCORES: dict[str, Direction] = {
    "withheld_error": "high_is_bad",
    "withheld_nrmse": "high_is_bad",
    "withheld_noise_corrected": "high_is_bad",
    "residual": "two_sided",
    "not_determined_share": "high_is_bad",
    "refutable_contrast": "high_is_bad",
    "matched_filter_peak": "high_is_bad",
}
"""Of the trust record; those of single coils and bands are left out."""
PLAIN = "data residual |Ax - y|^2 / |y|^2"
NOISE, MAPS = "noise x 2", "coil maps 2 pixels off"
CHANGES = (NOISE, MAPS)


@dataclass(frozen=True, kw_only=True)
class ScanStudy:
    """Scans of this simulator and how they are sampled; reconstructed by CG-SENSE.

    Parameters
    ----------
    size, coils
        Rows and columns of the one slice; receive coils.
    acceleration
        Of a 2-D mask with 24 x 24 calibration samples.
    snr
        Least and largest, drawn uniformly in the logarithm: that of the training pools.

    Examples
    --------
    >>> ScanStudy().size
    64
    """

    size: int = 64
    coils: int = 4
    acceleration: float = 4.0
    snr: tuple[float | int, float | int] = (20.0, 60.0)

    def scores(self, number: int, change: str | None, *, seed: int) -> tuple[list[float], float]:
        """Return the scores of the trust record of one scan, and its plain residual."""
        generator = Generator().manual_seed(draw_seed("test", number, series=seed))
        source = PoolConfig(
            slices=1, size=self.size, coils=self.coils, contrasts=("FLAIR",), snr=self.snr
        )
        config = source.scan(number, generator)
        if change == NOISE:
            config = replace(config, snr=config.snr / 2)
        scan = simulate(config, generator)
        mask = Gaussian2D(acceleration=self.acceleration, center=(24, 24))
        made = prepare(scan.undersampled(mask(config.shape, generator)).kspace)
        measurement = made.measurement
        if change == MAPS:
            measurement = replace(measurement, maps=measurement.maps.roll(2, dims=-1))
        method = CgSense()
        image = method(measurement)
        record = judge(
            method, measurement, image, keep_region=made.calibration, generator=generator
        )
        found = {score.name: score.value for score in record.scores}
        return [found[name] for name in SCORES], _residual(measurement, image)


def scan_pool(
    study: ScanStudy, *, first: int, count: int, change: str | None = None, seed: int = 0
) -> CasePool:
    """Return the scores of scans ``first`` to ``first + count - 1`` of a series.

    Parameters
    ----------
    study
        See its class.
    first, count
        Numbers of the scans; those of other numbers share nothing with them.
    change
        One of `CHANGES`, or None for clean scans.
    seed
        Of the series.
    """
    found = [study.scores(first + n, change, seed=seed) for n in range(count)]
    return CasePool(
        np.array([trust for trust, _ in found], np.float64),
        np.array([plain for _, plain in found], np.float64),
    )


def _residual(measurement: Measurement, image: torch.Tensor) -> float:
    left = measurement.samples - measurement.operator(image[:, None])
    return float(left.abs().square().sum() / measurement.samples.abs().square().sum())
