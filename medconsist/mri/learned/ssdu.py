"""Training on undersampled data alone: self-supervision by data undersampling (SSDU).

::

    Omega = Theta + Lambda;  x = network(y on Theta);  loss = d(A x, y) on Lambda
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from medconsist.consistency.splits import Split
from medconsist.errors import NothingToWithholdError, RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.evidence.withheld import withheld_error
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.loss import Weighting
from medconsist.mri.learned.method import images_of
from medconsist.mri.learned.networks import make_network, stored_architecture
from medconsist.mri.learned.sample_splits import SplitConfig, split_samples
from medconsist.mri.learned.withheld_loss import WithheldLoss, withheld_loss
from medconsist.mri.methods import SetImages
from medconsist.mri.prepare import PrepareConfig, prepare
from medconsist.mri.readers import read_kspace
from medconsist.mri.reconstruction_network import Architecture, ReconstructionNetwork
from medconsist.mri.zerofilled_rss import rss_scale
from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask
from medconsist.training.draws import generator_for
from medconsist.training.objective import Objective

__all__ = ["DividedSamples", "Ssdu", "SsduConfig", "measurements_from"]

_PAIR, _VALIDATION = 1, 2  # places of random draws


@dataclass(frozen=True, kw_only=True)
class SsduConfig:
    """How a network is trained on undersampled scans.

    Parameters
    ----------
    network
        Its architecture.
    split
        How Lambda is drawn.
    pairs
        Divisions of each scan that are drawn once and used in turn (multi-mask SSDU, Yaman et al.
        2022, doi:10.1002/nbm.4798: 4 to 7; zero-shot: 25); None draws a new one at every step.
    loss, scale, weighting
        See `withheld_loss`.
    batch
        Slices of one scan, each with a division of its own, that make a step.
    low_memory
        See `ReconstructionNetwork.forward`.
    seed
        Of the divisions, when there are ``pairs``, and of those that `Ssdu.evaluate` uses.

    Raises
    ------
    RefusedInputError
        A number is out of its range.

    Examples
    --------
    >>> SsduConfig(loss="cauchy").split.fraction
    0.4
    """

    network: Architecture = field(default_factory=CirimConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    pairs: int | None = None
    loss: WithheldLoss = "ssdu"
    scale: float | None = None
    weighting: Weighting = "last"
    batch: int = 1
    low_memory: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 1 or (self.pairs is not None and self.pairs < 1):
            msg = f"got batch {self.batch} and {self.pairs} pairs; allowed: at least 1 of each."
            raise RefusedInputError(msg)
        if self.scale is not None and not 0 < self.scale < float("inf"):
            msg = f"scale got {self.scale}; allowed: positive and finite, or None to estimate it."
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class DividedSamples:
    """What one step sees and what it is compared with.

    Parameters
    ----------
    samples, mask
        On Theta: what the network sees, divided by the scale of its scan.
    hold, target
        Lambda, and y there (0 elsewhere), on the same scale.
    maps, sigma
        As `ReconstructionNetwork` takes them.

    Examples
    --------
    >>> y = torch.ones(1, 1, 2, 2, dtype=torch.complex64)
    >>> seen = torch.tensor([[[True, False], [True, False]]])
    >>> DividedSamples(y * seen, seen, ~seen, y * ~seen, y[:, None], torch.ones(1)).target.sum()
    tensor(2.+0.j)
    """

    samples: CoilKSpace
    mask: SamplingMask
    hold: Bool[Tensor, "slices height width"]
    target: CoilKSpace
    maps: CoilMaps
    sigma: Float[Tensor, " slices"]


class Ssdu(Objective):
    """Undersampled scans, without any reference; batch = f(seed, step).

    Yaman et al. 2020, doi:10.1002/mrm.28378, with CIRIM as the network. Not checked: that maps of
    a scan were made without Lambda, which holds where they come from the calibration region of
    ``config.split`` or from another scan; and that the mask marks measured samples only (zeros
    that a scanner filled in count as measured).

    Parameters
    ----------
    config
        See `SsduConfig`.
    scans
        What is learnt from; each is divided by a scale of its own, `rss_scale`. Slices of zeros
        alone (padding) are left out.
    validation
        Other scans on which `evaluate` measures the error on withheld samples; may be empty.

    Raises
    ------
    NothingToWithholdError
        A scan has no sample that may be withheld.
    RefusedInputError
        There is no scan, or one holds zeros only.

    Examples
    --------
    >>> y = torch.randn(1, 1, 32, 32, dtype=torch.complex64)
    >>> scan = Measurement(y, y[:, 0].abs() > 0, y[:, None], sigma=0.1)
    >>> task = Ssdu(SsduConfig(split=SplitConfig(calibration=4)), [scan])
    >>> batch = task.draw(Generator().manual_seed(1), 0)
    >>> bool((batch.mask & batch.hold).any())
    False
    """

    def __init__(
        self,
        config: SsduConfig,
        scans: Sequence[Measurement],
        validation: Sequence[Measurement] = (),
    ) -> None:
        if not scans:
            msg = "got no scan; training on undersampled data needs one at least."
            raise RefusedInputError(msg)
        self.config = config
        self._scans = tuple(scans)
        self._scales = tuple(
            _checked_scale(scan, config, place) for place, scan in enumerate(scans)
        )
        self._with_signal = tuple(
            scan.samples.abs().flatten(1).amax(1).nonzero().flatten().tolist() for scan in scans
        )
        self._validation = tuple(validation)

    def build(self, generator: Generator) -> ReconstructionNetwork:
        """Return the untrained network."""
        return make_network(self.config.network, generator=generator)

    def draw(self, generator: Generator, step: int) -> DividedSamples:  # noqa: ARG002  its interface
        """Return slices of one scan, each divided into Theta and Lambda."""
        place = int(torch.randint(len(self._scans), (), generator=generator))
        slices = self._with_signal[place]
        drawn = torch.randint(len(slices), (self.config.batch,), generator=generator).tolist()
        indices = [slices[number] for number in drawn]
        return _stacked([self._divided(place, i, self._pair(place, i, generator)) for i in indices])

    def losses(self, network: nn.Module, batch: DividedSamples) -> dict[str, Tensor]:
        """Return the distance between predicted and measured samples on Lambda."""
        predictions = network(
            batch.samples, batch.mask, batch.maps, batch.sigma, low_memory=self.config.low_memory
        )
        return {"loss": self.compare(predictions, batch)}

    def compare(self, predictions: Tensor, batch: DividedSamples) -> Tensor:
        """Return the loss of predictions that were made from ``batch``."""
        return withheld_loss(
            predictions,
            batch.target,
            batch.maps,
            hold=batch.hold,
            loss=self.config.loss,
            scale=self.config.scale,
            weighting=self.config.weighting,
        )

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return ``nrmse``, the mean error on withheld samples of the validation scans."""
        if not self._validation:
            return {}
        found = [
            _withheld_nrmse(network, scan, self.config, place)
            for place, scan in enumerate(self._validation)
        ]
        return {"nrmse": sum(found) / len(found)}

    def architecture(self) -> dict[str, Any]:
        """Return what builds the network again."""
        return stored_architecture(self.config.network)

    def about(self) -> dict[str, str]:
        """Return what the weights have seen."""
        return {"trained_on": "undersampled scans", "scans": str(len(self._scans))}

    def _pair(self, place: int, index: int, generator: Generator) -> Generator:
        """Return what draws the division: the step's own source, or that of one of the pairs."""
        if self.config.pairs is None:
            return generator
        number = int(torch.randint(self.config.pairs, (), generator=generator))
        return generator_for(self.config.seed, _PAIR, place, index, number)

    def _divided(self, place: int, index: int, generator: Generator) -> DividedSamples:
        scan, scale = self._scans[place], self._scales[place]
        one = _slice(scan, index)
        split = split_samples(one, self.config.split, generator)
        return DividedSamples(
            samples=one.visible(split.keep).samples / scale,
            mask=split.keep,
            hold=split.hold,
            target=one.visible(split.hold).samples / scale,
            maps=one.maps,
            sigma=torch.tensor([one.sigma / scale], device=one.samples.device),
        )


def measurements_from(
    files: Sequence[Path], *, config: PrepareConfig | None = None
) -> list[Measurement]:
    """Read undersampled scans and make them ready, coil maps from their calibration regions.

    Parameters
    ----------
    files
        Anything that `read_kspace` takes.
    config
        See `PrepareConfig`; its ``calibration`` belongs to `SplitConfig` too.
    """
    return [prepare(read_kspace(file), config=config).measurement for file in files]


def _withheld_nrmse(network: nn.Module, scan: Measurement, config: SsduConfig, place: int) -> float:
    generator = generator_for(config.seed, _VALIDATION, place)
    split = split_samples(scan, config.split, generator)
    device = next(network.parameters()).device
    there = replace(
        scan,
        samples=scan.samples.to(device),
        mask=scan.mask.to(device),
        maps=scan.maps.to(device),
    )

    def solve(seen: Measurement) -> SetImages:
        return images_of(network, seen, scale=rss_scale(seen.samples))

    return withheld_error(solve, there, Split(split.keep.to(device), split.hold.to(device))).nrmse


def _slice(scan: Measurement, index: int) -> Measurement:
    at = slice(index, index + 1)
    mask = scan.mask if len(scan.mask) == 1 else scan.mask[at]
    return replace(scan, samples=scan.samples[at], mask=mask, maps=scan.maps[at])


def _stacked(parts: Sequence[DividedSamples]) -> DividedSamples:
    names = [part.name for part in fields(DividedSamples)]
    return DividedSamples(*(torch.cat([getattr(one, name) for one in parts]) for name in names))


def _checked_scale(scan: Measurement, config: SsduConfig, place: int) -> float:
    """Return the scale of a scan that has something to learn from."""
    try:
        split_samples(scan, config.split, Generator().manual_seed(0))
    except NothingToWithholdError as error:
        msg = f"scan {place}: {error}"
        raise NothingToWithholdError(msg) from error
    scale = rss_scale(scan.samples)
    if not 0 < scale < float("inf"):
        msg = f"scan {place}: its samples are all zero or not finite; leave it out."
        raise RefusedInputError(msg)
    return scale
