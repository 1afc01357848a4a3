"""Which map of uncertainty a reconstruction job writes, and what it says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.mri.learned.sample_splits import SplitConfig
from medconsist.mri.methods import Method
from medconsist.mri.uncertainty.calibration import Calibration
from medconsist.mri.uncertainty.pseudo_replica import LEAST_REPLICAS, replica_spread
from medconsist.mri.uncertainty.scan_conformal import half_width
from medconsist.mri.uncertainty.split_ensemble import split_spread
from medconsist.mri.uncertainty.step_spread import steps_of_method
from medconsist.mri.volumes.volume import Measured
from medconsist.shapes import ComplexImages, RealImages

__all__ = ["Kind", "Uncertainty", "deciding_settings"]

Kind = Literal["replica", "splits", "steps"]

_MEANINGS: Mapping[Kind, str] = {
    "replica": (
        "standard deviation of the magnitude under the noise of the samples, by {n} pseudo "
        "replicas: noise alone, no bias, nothing that the method adds or leaves out"
    ),
    "splits": (
        "standard deviation of the magnitude over {n} random parts of the samples, each with fewer "
        "samples than the image: a heuristic without a promise"
    ),
    "steps": (
        "root mean square distance of the network's earlier steps from its image: a heuristic "
        "without a promise"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """A map beside the image, in its units.

    Parameters
    ----------
    kind
        ``"replica"`` (see `replica_spread`), ``"splits"`` (`split_spread`), ``"steps"``
        (`spread_of_steps`; a network alone, one more forward pass).
    replicas
        Of replicas, or members of the ensemble; at least 2. Not used for steps.
    calibration
        Makes the map the half-width of an interval; None leaves the heuristic as it is.

    Raises
    ------
    RefusedInputError
        A kind or a number that is not allowed.

    Examples
    --------
    >>> Uncertainty(kind="replica").as_config()
    {'kind': 'replica', 'replicas': 20, 'calibration': None}
    """

    kind: Kind
    replicas: int = 20
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.replicas < LEAST_REPLICAS:
            msg = (
                f"uncertainty got {self.kind!r} with {self.replicas} replicas; allowed: "
                f"{', '.join(get_args(Kind))}, and {LEAST_REPLICAS} or more. 20 is usual."
            )
            raise RefusedInputError(msg)

    def as_config(self) -> dict[str, Any]:
        """Return what decides the map, as plain JSON values."""
        return {
            "kind": self.kind,
            "replicas": None if self.kind == "steps" else self.replicas,
            "calibration": None if self.calibration is None else self.calibration.id,
        }

    def heuristic(
        self, method: Method, measurement: Measured, *, calibration: int, generator: Generator
    ) -> RealImages:
        """Return the map before calibration, in the units of the samples.

        Parameters
        ----------
        method, measurement
            What made the image.
        calibration
            As in `SplitConfig`.
        generator
            Of noise and splits.

        Raises
        ------
        RefusedInputError
            Steps of a method without a network.
        NothingToWithholdError
            Splits where no sample may be left out.
        """
        if self.kind == "steps":
            return steps_of_method(method, measurement)
        if self.kind == "replica":
            found = replica_spread(method, measurement, replicas=self.replicas, generator=generator)
        else:
            found = split_spread(
                method,
                measurement,
                members=self.replicas,
                config=SplitConfig(calibration=calibration),
                generator=generator,
            )
        return found.magnitude

    def shown(self, heuristic: RealImages, image: ComplexImages) -> RealImages:
        """Return what is stored: the heuristic, or with a calibration the half-width."""
        if self.calibration is None:
            return heuristic
        return half_width(heuristic, image, factor=self.calibration.factor)

    def note(self, role: str, method: str) -> str:
        """Return what a reader of the map must know, as a sentence."""
        if self.calibration is not None:
            return (
                f"{role} is of the image of {method}, calibration {self.calibration.id[:12]}: "
                f"{self.calibration.words}."
            )
        meaning = _MEANINGS[self.kind].format(n=self.replicas)
        return f"{role} is of the image of {method}: {meaning}. It is no interval."


def deciding_settings(
    config: Mapping[str, Any], *, maps_given: bool, noise_from: str
) -> dict[str, Any]:
    """Return what a calibration is for: the part of a job's config that decides image and map.

    Parameters
    ----------
    config
        ``Reconstruction.as_config()`` with an uncertainty, or that of a stored result.
    maps_given
        Whether coil maps came from a file.
    noise_from
        Where the noise level came from; see `Prepared`.
    """
    kind = {k: v for k, v in config["uncertainty"].items() if k != "calibration"}
    return {
        "method": config["methods"]["reconstruction"],
        "combine": config["combine"],
        "prepare": config["prepare"],
        "uncertainty": kind,
        "maps_given": maps_given,
        "noise_from": noise_from,
        # maps of another frame are of no sample of this one
        **{name: config[name] for name in ("maps_frame",) if name in config},
    }
