"""The trust record of one MRI reconstruction: what its samples say about it, and no more."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import torch
from jaxtyping import Bool
from pydantic import JsonValue
from torch import Tensor

from medconsist.consistency.splits import Split
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.evidence.determinacy import ITERATIONS, noise_weight
from medconsist.mri.evidence.features import reference_intensity
from medconsist.mri.evidence.residual import ResidualSums, degrees_of_freedom
from medconsist.mri.evidence.trust_maps import SlabMaps, joined_maps
from medconsist.mri.evidence.trust_scores import map_scores, residual_score, withheld_scores
from medconsist.mri.evidence.withheld import (
    WithheldConfig,
    WithheldError,
    withheld_error,
    withheld_splits,
)
from medconsist.mri.forward import Measurement
from medconsist.mri.methods import Method, SetImages
from medconsist.mri.volumes.replayed_draws import quarter_turns
from medconsist.mri.volumes.volume import Measured
from medconsist.results.trust import Score
from medconsist.shapes import CoilKSpace, ComplexImages, RealImages

__all__ = ["MriTrust", "TrustConfig", "judge", "judge_fixed", "solve_sets", "withheld_errors"]

NOTHING_WITHHELD = (
    "Too few samples lie outside the calibration region to withhold any: no withheld evidence."
)

Reconstruct = Method | Callable[[Measurement], ComplexImages]


@dataclass(frozen=True)
class TrustConfig:
    """What is measured, and how finely.

    Parameters
    ----------
    withheld
        See ``WithheldConfig``.
    probes
        Random probes of the degrees of freedom; each costs one reconstruction.
    fwhm_px
        Width of the feature of the refutability and matched-filter maps [pixels].
    deviations
        At how many standard deviations a feature counts as contradicted.

    Examples
    --------
    >>> TrustConfig(fwhm_px=2.5).probes
    2
    """

    withheld: WithheldConfig = field(default_factory=WithheldConfig)
    probes: int = 2
    fwhm_px: float = 4.0
    deviations: float = 3.0

    def __post_init__(self) -> None:
        if self.probes < 1 or not self.deviations > 0:
            msg = (
                f"got {self.probes} probes and {self.deviations} deviations; allowed: 1 probe or "
                "more and a positive number. 2 and 3 are usual."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class MriTrust:
    """Scores, maps and settings of one volume; without site history no score is judged.

    Parameters
    ----------
    scores
        Not yet compared with the history of the site.
    maps
        Role to map, ``slices height width``: ``not_determined`` (units of the image),
        ``refutable_contrast`` (share of the reference intensity, infinite where no coil sees),
        ``matched_filter`` (standard deviations of noise).
    settings
        How the values came about: the configuration, the noise level and the reference intensity
        of this case. The weight of the map is the square of their ratio.
    notes
        What is missing and why, as sentences.

    Examples
    --------
    >>> MriTrust.empty().scores
    ()
    """

    scores: tuple[Score, ...]
    maps: dict[str, RealImages]
    settings: dict[str, JsonValue]
    notes: tuple[str, ...] = ()

    @classmethod
    def empty(cls) -> "MriTrust":
        """Return the record of an image of which nothing can be said, e.g. one without maps."""
        return cls(scores=(), maps={}, settings={})

    def scaled(self, scale: float) -> "MriTrust":
        """Return the record for samples and image multiplied by ``scale``: other units."""
        in_units = ("sigma", "reference_intensity")
        settings = {
            name: value * scale if name in in_units and isinstance(value, float) else value
            for name, value in self.settings.items()
        }
        maps = {
            role: values * scale if role == "not_determined" else values
            for role, values in self.maps.items()
        }
        return replace(self, maps=maps, settings=settings)


def solve_sets(method: Reconstruct, measurement: Measurement) -> SetImages:
    """Return the image of each map set, which the forward operator needs.

    Raises
    ------
    RefusedInputError
        Several map sets and a plain function: its image does not say how it divides among them.
    """
    if isinstance(method, Method):
        return method.solve(measurement)
    n_sets = measurement.maps.shape[1]
    if n_sets != 1:
        msg = (
            f"got {n_sets} map sets and a method without `solve`; allowed: 1 set, since a combined "
            "image does not say how it divides among several. Pass a methods.Method."
        )
        raise RefusedInputError(msg)
    return method(measurement)[:, None]


def judge(
    method: Reconstruct,
    measurement: Measured,
    image: ComplexImages,
    *,
    keep_region: Bool[Tensor, "... height width"],
    config: TrustConfig | None = None,
    generator: torch.Generator,
) -> MriTrust:
    """Return what the samples say about a reconstruction.

    Costs ``withheld.splits + probes`` reconstructions (3 by default; one more with several map
    sets), and about 40 applications of ``A^H A``. Every definition stands with its function:
    ``withheld.withheld_error``, ``residual.ResidualSums``, ``determinacy.not_determined``,
    ``refutability.refutable_contrast`` and ``refutability.matched_filter``.

    Parameters
    ----------
    method
        A `Method`, or any function from measurement to image, of a slab where the measurement
        comes in slabs. What a `Method` estimates, it estimates from the seen samples for the
        withheld error, and once for all probes.
    measurement
        All samples, mask, maps and noise level.
    image
        What ``method`` returned for ``measurement``; not checked, as it would cost one more.
    keep_region
        Samples that made the maps: never withheld. All False where maps were given from outside.
    config
        See `TrustConfig`.
    generator
        Draws the withheld samples and the probes.

    Raises
    ------
    RefusedInputError
        No object in the image, no noise level, or several map sets and a plain function.
    ShapeError
        The image does not fit the measurement.
    """
    config = config or TrustConfig()
    _check(measurement, image)
    splits = withheld_splits(
        measurement, keep_region=keep_region, config=config.withheld, generator=generator
    )
    errors = withheld_errors(method, measurement, splits)
    method = method.fixed(measurement) if isinstance(method, Method) else method
    return judge_fixed(
        method, measurement, image, withheld=errors, config=config, generator=generator
    )


def judge_fixed(
    method: Reconstruct,
    measurement: Measured,
    image: ComplexImages,
    *,
    withheld: list[WithheldError],
    config: TrustConfig,
    generator: torch.Generator,
) -> MriTrust:
    """Return the record of `judge` for a method that estimates nothing any more.

    Parameters
    ----------
    method
        What `Method.fixed` returned for ``measurement``.
    measurement, image, config, generator
        As for `judge`.
    withheld
        Of the method that is not fixed, see `withheld_errors`; may be empty.

    Raises
    ------
    RefusedInputError, ShapeError
        As for `judge`.
    """
    _check(measurement, image)
    reference = reference_intensity(image)
    weight = noise_weight(measurement.sigma, reference)
    turns = quarter_turns(
        measurement.samples.shape, measurement.parts, count=config.probes, generator=generator
    )
    sums, found = ResidualSums(), list[SlabMaps]()
    for (at, slab), turned in zip(measurement.slabs("trust record"), turns, strict=True):
        one_set = slab.maps.shape[1] == 1
        images = image[at][:, None] if one_set else solve_sets(method, slab)
        fitted = slab.operator(images)
        fit = partial(_fitted, method, slab)
        sums.add(slab, fitted, degrees_of_freedom(fit, slab, fitted, turns=turned))
        found.append(SlabMaps.of(slab, images, image[at], weight=weight, fwhm_px=config.fwhm_px))
    maps = joined_maps(found, measurement, reference=reference, deviations=config.deviations)
    return MriTrust(
        scores=(
            *withheld_scores(withheld),
            *(residual_score(group) for group in sums.groups()),
            *map_scores(image, maps),
        ),
        maps=maps,
        settings=asdict(config)
        | {
            "sigma": measurement.sigma,
            "reference_intensity": reference,
            "not_determined_iterations": ITERATIONS,
        },
        notes=() if withheld else (NOTHING_WITHHELD,),
    )


def _fitted(method: Reconstruct, measurement: Measurement, samples: CoilKSpace) -> CoilKSpace:
    return measurement.operator(solve_sets(method, measurement.with_samples(samples)))


def _check(measurement: Measured, image: ComplexImages) -> None:
    """Refuse an image of another grid, or a measurement without a noise level."""
    slices, _, height, width = measurement.samples.shape
    if image.shape != (slices, height, width):
        msg = (
            f"image of shape {tuple(image.shape)} does not fit samples of shape "
            f"{tuple(measurement.samples.shape)}; allowed: ({slices}, {height}, {width})."
        )
        raise ShapeError(msg)
    if not (math.isfinite(measurement.sigma) and measurement.sigma > 0):
        msg = (
            f"the noise level is {measurement.sigma}; a trust record needs a positive one. "
            "Estimate it with prewhitening.estimate_sigma."
        )
        raise RefusedInputError(msg)


def withheld_errors(
    method: Reconstruct, measurement: Measured, splits: list[Split]
) -> list[WithheldError]:
    """Return the error of each draw; one reconstruction each.

    What the method estimates, it estimates from the seen samples of that draw.
    """
    errors = []
    for split in splits:
        seen = method
        if isinstance(method, Method):
            seen = method.fixed(measurement.visible(split.keep))
        errors.append(withheld_error(partial(solve_sets, seen), measurement, split))
    return errors
