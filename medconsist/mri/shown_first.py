"""Which image is shown first: a network's only where withheld samples do not speak against it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.evidence.trust_scores import withheld_scores
from medconsist.mri.evidence.withheld import WithheldError, withheld_splits
from medconsist.mri.methods import Method
from medconsist.mri.trust import MriTrust, TrustConfig, judge_fixed, withheld_errors
from medconsist.mri.volumes.volume import Measured
from medconsist.results.methods import SHOWN_FIRST
from medconsist.shapes import ComplexImages

__all__ = ["LEARNED_ROLE", "YARDSTICK", "Judged", "Solved", "judge_images"]

LEARNED_ROLE = "cirim"
"""Role of a network's image where it is shown second, whatever its weights are called."""

YARDSTICK = "cs"
"""Role, and name, of the method that a network is judged against."""

_ASKED = "reconstruction"


@dataclass(frozen=True, eq=False)
class Solved:
    """One method and what it made of a measurement.

    Parameters
    ----------
    method
        As it was asked for: what it estimates, it estimates from the samples that it is given.
    fixed
        What `Method.fixed` returned, once, for the whole measurement.
    image
        Of ``fixed``.

    Examples
    --------
    >>> from medconsist.mri.methods import Zerofilled
    >>> Solved(Zerofilled(), Zerofilled(), torch.zeros(1, 8, 8) + 0j).method.name
    'zerofilled'
    """

    method: Method
    fixed: Method
    image: ComplexImages

    @classmethod
    def of(cls, method: Method, measurement: Measured) -> "Solved":
        """Fix the method to the measurement once and call it.

        Raises
        ------
        RefusedInputError
            The image is not finite.
        """
        fixed, images = method.fixed(measurement), []
        for _, slab in measurement.slabs(method.name):
            images.append(fixed(slab))
            if not bool(torch.isfinite(images[-1]).all()):
                msg = (
                    f"the image of {method.name} is not finite, and nothing was stored; take other "
                    "weights, or --method cs."
                )
                raise RefusedInputError(msg)
        return cls(method, fixed, torch.cat(images))


@dataclass(frozen=True, eq=False)
class Judged:
    """What is stored of one measurement.

    Parameters
    ----------
    by_role
        Role to what is stored under it; ``reconstruction`` is shown first.
    trust
        About the image that is shown first.

    Examples
    --------
    >>> Judged({}, MriTrust.empty()).trust.scores
    ()
    """

    by_role: dict[str, Solved]
    trust: MriTrust

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the images, and of their order, as sentences."""
        return (
            *(note for one in self.by_role.values() for note in one.fixed.notes),
            *self.trust.notes,
        )


def judge_images(
    asked: Mapping[str, Solved],
    measurement: Measured,
    *,
    keep_region: Bool[Tensor, "... height width"],
    config: TrustConfig,
    generator: torch.Generator,
) -> Judged:
    """Judge the image that was asked for; where a network made it, against compressed sensing.

    Both withheld errors are measured on the same samples. Where the network's is above that of
    compressed sensing, or where no sample can be withheld, the network's image moves to the role
    ``"cirim"``, and compressed sensing takes the role ``"reconstruction"`` and the trust record.
    A note says so with both numbers, and the record holds both.

    Parameters
    ----------
    asked
        Role to what was solved; with a network under ``"reconstruction"`` also ``"cs"``.
    measurement
        What all of them saw.
    keep_region, config, generator
        As for `judge`.
    """
    splits = withheld_splits(
        measurement, keep_region=keep_region, config=config.withheld, generator=generator
    )
    learned = asked[_ASKED].method.learned
    rivals = (_ASKED, YARDSTICK) if learned else (_ASKED,)
    errors = {role: withheld_errors(asked[role].method, measurement, splits) for role in rivals}
    turned = learned and _is_above(errors[_ASKED], errors[YARDSTICK])
    first, *second = rivals[::-1] if turned else rivals
    trust = judge_fixed(
        asked[first].fixed,
        measurement,
        asked[first].image,
        withheld=errors[first],
        config=config,
        generator=generator,
    )
    if not second:
        return Judged(dict(asked), trust)
    note = _note(asked, errors, turned=turned)
    apart = LEARNED_ROLE if turned else YARDSTICK
    trust = replace(
        trust,
        scores=(*trust.scores, *withheld_scores(errors[second[0]], of=apart)),
        notes=(note, *trust.notes),
        settings=trust.settings | {"shown_first": asked[first].method.name},
    )
    return Judged(_turned(asked) if turned else dict(asked), trust)


def _turned(asked: Mapping[str, Solved]) -> dict[str, Solved]:
    others = {role: one for role, one in asked.items() if role not in (_ASKED, YARDSTICK)}
    return {_ASKED: asked[YARDSTICK], **others, LEARNED_ROLE: asked[_ASKED]}


def _is_above(network: list[WithheldError], yardstick: list[WithheldError]) -> bool:
    """Say whether the network is to stand second; without evidence, or by NaN, it is."""
    return not network or not _pooled(network) <= _pooled(yardstick)


def _pooled(errors: list[WithheldError]) -> float:
    return sum(error.chi_square * error.n for error in errors) / sum(error.n for error in errors)


def _note(
    asked: Mapping[str, Solved], errors: Mapping[str, list[WithheldError]], *, turned: bool
) -> str:
    network, yardstick = asked[_ASKED].method.name, "compressed sensing"
    if not errors[_ASKED]:
        return (
            f"{SHOWN_FIRST} {yardstick}. No sample can be withheld, so that nothing says whether "
            f"{network} agrees with the measurement as well."
        )
    ours, theirs = _pooled(errors[_ASKED]), _pooled(errors[YARDSTICK])
    first, why = (yardstick, "is above") if turned else (network, "is not above")
    return (
        f"{SHOWN_FIRST} {first}. On the same withheld samples the error of {network}, "
        f"{ours:.4g} sigma^2, {why} that of {yardstick}, {theirs:.4g} sigma^2."
    )
