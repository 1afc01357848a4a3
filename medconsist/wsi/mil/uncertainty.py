"""How sure a model can be of one case: hidden tiles, a second model, unlike tiles, and a refusal.

Nothing here looks at labels. What a case is judged against are the validation cases of the model,
one number a patient: the judgement holds if the case was drawn as they were, and says so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal import conformal_p
from medconsist.results.trust import fewest_cases
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.output import BagOutput

__all__ = ["Assessment", "Repeats", "Verdict", "assess", "hidden_repeats", "novelty", "output_gap"]

_COSINE_CHUNK = 8192  # instances whose distances to all prototypes are held at once


@dataclass(frozen=True)
class Repeats:
    """What a model says of one bag while different tiles are hidden.

    Parameters
    ----------
    probabilities
        One row a repeat.

    Examples
    --------
    >>> Repeats(torch.tensor([[0.2, 0.8], [0.4, 0.6]])).spread
    0.10000000149011612
    """

    probabilities: Float[Tensor, "repeats classes"]

    @property
    def spread(self) -> float:
        """Standard deviation over the repeats, of the class where it is largest."""
        return float(self.probabilities.std(0, correction=0).max())

    @property
    def agreement(self) -> float:
        """Share of the repeats that name the class of most of them."""
        named = self.probabilities.argmax(1)
        return float(torch.bincount(named).max() / len(named))


@torch.no_grad()
def hidden_repeats(
    network: nn.Module,
    bag: Float[Tensor, "instances dim"],
    *,
    hidden: float = 0.5,
    repeats: int = 16,
    generator: Generator,
) -> Repeats:
    """Ask a model again and again with a random share of the tiles hidden.

    A call that rests on a few tiles changes from one repeat to the next. Tiles of a slide are
    alike, so that this is no interval of confidence: it says how much single tiles decide.

    Parameters
    ----------
    network
        Takes a `BagBatch`, in eval mode.
    bag
        Of one case; a bag of one instance cannot lose it and does not change.
    hidden
        Share that is hidden each time, in (0, 1); one instance stays.
    repeats
        2 or more.
    generator
        On the CPU.

    Raises
    ------
    RefusedInputError
        A share or number out of range.
    """
    if not 0 < hidden < 1 or repeats < 2:
        msg = f"got hidden {hidden} and repeats {repeats}; allowed: a share in (0, 1), 2 or more."
        raise RefusedInputError(msg)
    kept = max(1, math.ceil((1 - hidden) * len(bag)))
    found = []
    for _ in range(repeats):
        chosen = torch.randperm(len(bag), generator=generator)[:kept].sort().values
        output: BagOutput = network(BagBatch.of([bag[chosen.to(bag.device)]]))
        found.append(output.probabilities[0].float().cpu())
    return Repeats(torch.stack(found))


def output_gap(first: BagOutput, second: BagOutput) -> tuple[float, float | None]:
    """Return how far two models differ on one bag: in probability and in attention.

    Both are total variation, ``sum |p - q| / 2`` in [0, 1]: 0 is none. Of the attention, mean of
    the columns, None where a model has none.
    """
    first, second = first.detach(), second.detach()
    gap = (first.probabilities - second.probabilities).abs().sum() / 2
    if first.attention is None or second.attention is None:
        return float(gap), None
    apart = first.attention.float().mean(1) - second.attention.float().mean(1)
    return float(gap), float(apart.abs().sum() / 2)


def novelty(
    bag: Float[Tensor, "instances dim"], prototypes: Float[Tensor, "prototypes dim"]
) -> Float[Tensor, " instances"]:
    """Return the distance of each instance to the nearest prototype of the training tiles.

    ``1 - cos`` in [0, 2]. Distances mean something only beside those of other slides.

    Parameters
    ----------
    bag
        Features as they are stored.
    prototypes
        Centres of training features, e.g. those of `medconsist.wsi.mil.panther`.
    """
    centres = functional.normalize(prototypes.float(), dim=1)
    nearest = [
        (functional.normalize(rows.float(), dim=1) @ centres.T).max(1).values
        for rows in torch.split(bag, _COSINE_CHUNK)
    ]
    return 1 - torch.cat(nearest)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What validation says of a model, and when a case is not assessed.

    Validation also chose the checkpoint and fitted the temperature, so that its numbers flatter:
    rates of error are somewhat above ``alpha``. `medconsist wsi evaluate --final` measures.

    Parameters
    ----------
    nonconformity
        One number a validation patient: 1 less the probability of the true class, the largest of
        the patient's cases.
    spread, distance
        One number a validation patient: of hidden repeats, and the mean novelty of the tiles.
    fewest_tiles
        Tiles of the smallest training case.
    alpha
        Rate of error that is asked for, of the sets of classes and of each alarm.
    names
        Of the classes, for sentences; without any they are numbers.

    Examples
    --------
    >>> few = Verdict(nonconformity=(0.1,) * 19, spread=(0.0,) * 19, distance=(0.1,) * 19)
    >>> few.classes((0.95, 0.05))
    (0,)
    """

    nonconformity: tuple[float, ...]
    spread: tuple[float, ...] = ()
    distance: tuple[float, ...] = ()
    fewest_tiles: int = 1
    alpha: float = 0.1
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            msg = f"alpha must lie in (0, 1), got {self.alpha}; 0.1 asks for one error in ten."
            raise RefusedInputError(msg)

    @property
    def error(self) -> str:
        """The rate of error in words."""
        return f"{100 * self.alpha:g} % of patients"

    @property
    def can_judge(self) -> bool:
        """Whether there are enough validation patients for a set to leave a class out."""
        return len(self.nonconformity) >= fewest_cases(self.alpha, "high_is_bad")

    def classes(self, probabilities: Sequence[float]) -> tuple[int, ...]:
        """Return the classes that the model cannot rule out at ``alpha``.

        Split conformal prediction: class y stays if ``p_y = (1 + #{i: s_i >= 1 - prob_y}) / (n +
        1)`` is above alpha. The set holds the true class of ``1 - alpha`` of patients drawn as the
        validation patients were, on average over them, had these chosen nothing (see the class);
        with too few of them every class stays.

        References
        ----------
        Vovk et al., Algorithmic Learning in a Random World, 2005; Sadinle et al. 2019,
        doi:10.1080/01621459.2017.1395341 (the score).
        """
        return tuple(
            number
            for number, probability in enumerate(probabilities)
            if conformal_p(1 - probability, self.nonconformity, direction="high_is_bad")
            > self.alpha
        )


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Whether a case can be assessed, and if not, why.

    Parameters
    ----------
    classes
        Those that stay possible.
    reasons
        Sentences; any of them means that the case cannot be assessed.

    Examples
    --------
    >>> Assessment(classes=(1,), reasons=()).can
    True
    """

    classes: tuple[int, ...]
    reasons: tuple[str, ...]

    @property
    def can(self) -> bool:
        """Whether the model's call of this case means something."""
        return not self.reasons


def assess(
    verdict: Verdict,
    *,
    probabilities: Sequence[float],
    tiles: int,
    spread: float | None = None,
    distance: float | None = None,
) -> Assessment:
    """Return what can be said of one case.

    Parameters
    ----------
    verdict
        Of the model.
    probabilities
        Of the case.
    tiles
        How many it has.
    spread, distance
        Of hidden repeats, and mean novelty of the tiles; None is not looked at.
    """
    reasons = list[str]()
    classes = verdict.classes(probabilities)
    n = len(verdict.nonconformity)
    if not verdict.can_judge:
        least = fewest_cases(verdict.alpha, "high_is_bad")
        reasons.append(
            f"The model can be judged by {n} validation patients alone; {least} are needed to rule "
            f"out a class with {verdict.error} allowed to be wrong."
        )
    elif len(classes) > 1:
        named = " and ".join(verdict.names[c] if verdict.names else str(c) for c in classes)
        reasons.append(
            f"With {verdict.error} allowed to be wrong, {named} remain possible (judged by {n} "
            "validation patients)."
        )
    elif not classes:
        reasons.append(
            f"No class fits: the model is less sure of each than it was of the right one in "
            f"nearly all of {n} validation patients."
        )
    if tiles < verdict.fewest_tiles:
        reasons.append(
            f"There are {tiles} tiles with tissue; the smallest training case had "
            f"{verdict.fewest_tiles}."
        )
    alarms = (
        (spread, verdict.spread, "The answer hangs on which tiles are looked at, more"),
        (distance, verdict.distance, "The tiles are unlike those of training, more"),
    )
    for value, earlier, words in alarms:
        if value is None or len(earlier) < fewest_cases(verdict.alpha, "high_is_bad"):
            continue
        if conformal_p(value, earlier, direction="high_is_bad") <= verdict.alpha:
            fewer = sum(one < value for one in earlier)
            reasons.append(f"{words} than in {fewer} of {len(earlier)} validation patients.")
    return Assessment(classes=classes, reasons=tuple(reasons))
