"""Tiny networks that learn from undersampled scans, some of which are spiked.

Spikes are a fault of scanners: a few samples of gross amplitude, at the same place in all coils.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.draw_seeds import Role
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.descent import descend
from medconsist.mri.learned.draws import undersample
from medconsist.mri.learned.loss import supervised_loss
from medconsist.mri.learned.method import images_of
from medconsist.mri.learned.sample_splits import SplitConfig
from medconsist.mri.learned.ssdu import Ssdu, SsduConfig
from medconsist.mri.learned.withheld_loss import WithheldLoss
from medconsist.mri.sampling_masks import Gaussian2D
from medconsist.mri.scan_pool import PoolConfig, ScanPool
from medconsist.mri.zerofilled_rss import rss_scale
from medconsist.shapes import RealImages
from medconsist.training.draws import generator_for
from medconsist.training.optimisation import make_optimizer, trainable
from medconsist.training.settings import OptimiserConfig

__all__ = ["LOSSES", "SUPERVISED", "ReferencedScans", "SpikeStudy"]
__all__ += ["simulated_scans", "spiked", "trained_images"]

SUPERVISED = "supervised mse"
LOSSES: dict[str, tuple[WithheldLoss, float | None]] = {
    "ssdu": ("ssdu", None),
    "mse": ("mse", None),
    "pseudo-huber": ("pseudo_huber", None),
    "pseudo-huber, scan": ("pseudo_huber_scan", None),
    "cauchy": ("cauchy", None),
    "cauchy, scan": ("cauchy_scan", None),
}
_WEIGHTS, _STEP, _MASKS, _SPIKES = range(4)  # places of random draws

logger = logging.getLogger(__name__)

Loss = Callable[[Cirim, Generator], Tensor]


@dataclass(frozen=True, kw_only=True)
class SpikeStudy:
    """What is trained and how often.

    Parameters
    ----------
    losses
        Names in `LOSSES`.
    shares
        Shares of training scans that are spiked; the first is what the others are compared with.
    seeds
        Training runs of each cell; each has weights, training scans, masks and spikes of its own.
    training_scans, test_scans
        Scans of one slice; the test scans are the same for all.
    steps, lr
        Of Adam, one scan each.
    spikes, amplitude
        Positions in a spiked scan, and their amplitude in units of the root mean square of the
        acquired samples.
    size, coils, acceleration
        Of the scans; the central ``size / 5`` square is always sampled.
    network
        What is trained.

    Raises
    ------
    RefusedInputError
        A number is out of its range.

    Examples
    --------
    >>> SpikeStudy(seeds=1).shares
    (0.0, 0.3)
    """

    losses: tuple[str, ...] = tuple(LOSSES)
    shares: tuple[float, ...] = (0.0, 0.3)
    seeds: int = 3
    training_scans: int = 20
    test_scans: int = 20
    steps: int = 400
    lr: float = 5e-3
    spikes: int = 6
    amplitude: float = 15.0
    size: int = 64
    coils: int = 6
    acceleration: float = 4.0
    network: CirimConfig = field(
        default_factory=lambda: CirimConfig(
            cascades=4, steps=1, features=16, consistency="explicit"
        )
    )

    def __post_init__(self) -> None:
        counts = ("seeds", "training_scans", "test_scans", "steps", "spikes")
        wrong = {name: getattr(self, name) for name in counts if getattr(self, name) < 1}
        unknown = sorted(set(self.losses) - set(LOSSES))
        if wrong or unknown or not all(0 <= share <= 1 for share in self.shares):
            msg = (
                f"got {wrong or unknown or self.shares}; allowed: counts of at least 1, losses of "
                f"{', '.join(LOSSES)}, shares from 0 to 1."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class ReferencedScans:
    """Undersampled scans of one slice and their references, in units of their samples.

    Examples
    --------
    >>> study = SpikeStudy(test_scans=1, size=40, coils=2)
    >>> simulated_scans(study, "test", 0).references[0].shape
    torch.Size([1, 40, 40])
    """

    measurements: list[Measurement]
    references: list[RealImages]


def spiked(
    scan: Measurement,
    *,
    count: int,
    amplitude: float,
    keep_region: Bool[Tensor, "height width"],
    generator: Generator,
) -> Measurement:
    """Add spikes at acquired positions outside ``keep_region``, the same positions in all coils.

    Parameters
    ----------
    scan
        One slice.
    count
        Positions.
    amplitude
        Modulus of what is added, in units of the root mean square of the acquired samples.
    keep_region
        Where there is none: the calibration region, from which coil maps would come.
    generator
        Draws positions, and a phase for each of them and coil.
    """
    eligible = (scan.mask[0] & ~keep_region).nonzero()
    places = eligible[torch.randperm(len(eligible), generator=generator)[:count]]
    power = scan.samples.abs().square().sum() / scan.n_samples
    turns = torch.rand(scan.samples.shape[1], len(places), generator=generator) * 2 * math.pi
    added = torch.polar(amplitude * power.sqrt().expand_as(turns), turns)
    samples = scan.samples.clone()
    samples[0, :, places[:, 0], places[:, 1]] += added
    return scan.with_samples(samples)


@lru_cache(maxsize=8)  # every loss learns from the same scans
def simulated_scans(study: SpikeStudy, role: Role, series: int) -> ReferencedScans:
    """Return clean scans of a role; each has a mask of its own, and maps of a full calibration."""
    count = study.test_scans if role == "test" else study.training_scans
    pool = ScanPool.simulate(
        PoolConfig(
            scans=count, slices=1, size=study.size, coils=study.coils, role=role, seed=series
        )
    )
    kind = Gaussian2D(acceleration=study.acceleration, center=(_side(study),) * 2)
    generator = generator_for(series, _MASKS)
    measurements, references = [], []
    for number in range(count):
        one = undersample(pool.at([number]), kind((study.size, study.size), generator)[None])
        measurements.append(Measurement(one.samples, one.mask, one.maps, float(one.sigma)))
        references.append(one.reference)
    return ReferencedScans(measurements, references)


def _side(study: SpikeStudy) -> int:
    return study.size // 5


def trained_images(
    name: str, share: float, study: SpikeStudy, *, seed: int, test: Sequence[Measurement]
) -> list[RealImages]:
    """Train one network and return the magnitude of what it makes of clean scans.

    Parameters
    ----------
    name
        Of a loss in `LOSSES`, or `SUPERVISED`: that learns from clean references, and sees spiked
        samples where its scan is spiked.
    share
        Of the training scans that are spiked.
    study
        Everything else.
    seed
        Of weights, training scans, masks, spikes and order.
    test
        Clean scans.
    """
    logger.info("%s, %.0f %% of the training scans spiked, seed %d", name, 100 * share, seed)
    scans = _with_spikes(simulated_scans(study, "training", seed), share, study, seed)
    network = Cirim(study.network, generator=generator_for(seed, _WEIGHTS))
    optimizer, scheduler = make_optimizer(
        trainable(network), OptimiserConfig(steps=study.steps, lr=study.lr)
    )
    loss = _supervised(scans) if name == SUPERVISED else _ssdu(name, scans, study)
    for step in range(study.steps):
        descend(loss(network, generator_for(seed, _STEP, step)), network, optimizer)
        scheduler.step()
    return [images_of(network, one, scale=rss_scale(one.samples))[:, 0].abs() for one in test]


def _with_spikes(
    scans: ReferencedScans, share: float, study: SpikeStudy, seed: int
) -> ReferencedScans:
    """Spike the first scans: they are in no order."""
    region = torch.zeros(study.size, study.size, dtype=torch.bool)
    start = study.size // 2 - _side(study) // 2
    region[start : start + _side(study), start : start + _side(study)] = True
    generator = generator_for(seed, _SPIKES)
    found = list(scans.measurements)
    for number in range(round(share * len(found))):
        found[number] = spiked(
            found[number],
            count=study.spikes,
            amplitude=study.amplitude,
            keep_region=region,
            generator=generator,
        )
    return replace(scans, measurements=found)


def _ssdu(name: str, scans: ReferencedScans, study: SpikeStudy) -> Loss:
    loss, scale = LOSSES[name]
    config = SsduConfig(
        network=study.network,
        split=SplitConfig(calibration=_side(study)),
        loss=loss,
        scale=scale,
    )
    task = Ssdu(config, scans.measurements)
    return lambda network, generator: task.losses(network, task.draw(generator, 0))["loss"]


def _supervised(scans: ReferencedScans) -> Loss:
    def loss(network: Cirim, generator: Generator) -> Tensor:
        place = int(torch.randint(len(scans.references), (), generator=generator))
        scan = scans.measurements[place]
        scale = rss_scale(scan.samples)
        predictions = network(
            scan.samples / scale, scan.mask, scan.maps, torch.tensor([scan.sigma / scale])
        )
        return supervised_loss(
            predictions, scans.references[place] / scale, distance="mse", weighting="last"
        )

    return loss
