"""CLAM with a single branch: gated attention whose extremes train instance classifiers."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.ragged import Segments
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilSize, start_xavier
from medconsist.wsi.mil.output import BagOutput

__all__ = ["ClamSb", "InstanceTask", "smooth_top1_svm"]

_HARD_RATIO = 1000.0  # exp(gap / tau) from which the released loss takes the hard hinge


def smooth_top1_svm(
    scores: Float[Tensor, "n classes"],
    labels: Int64[Tensor, " n"],
    *,
    tau: float | int = 1.0,
    alpha: float | int = 1.0,
) -> Float[Tensor, " n"]:
    r"""Return the smooth top-1 hinge of each row.

    .. math:: \tau \log \sum_j \exp\frac{s_j + \alpha [j \ne y] - s_y}{\tau}

    Where the two largest scores lie :math:`\tau \ln 1000` apart or more, the hinge
    :math:`\max_j (s_j + \alpha [j \ne y]) - s_y` itself, as released. Of two classes, tau and alpha
    1, the smooth form is :math:`\log(1 + e^{1 + s_{other} - s_y})`.

    Parameters
    ----------
    scores
        Of each class.
    labels
        The right class of each row.
    tau
        Temperature > 0.
    alpha
        Margin >= 0.

    Raises
    ------
    RefusedInputError
        A tau or alpha out of its range.
    ShapeError
        One class alone.

    References
    ----------
    Berrada et al. 2018, Smooth Loss Functions for Deep Top-k Classification, arXiv:1802.07595.
    """
    if tau <= 0 or alpha < 0:
        msg = f"got tau {tau} and alpha {alpha}; allowed: tau > 0 and alpha >= 0."
        raise RefusedInputError(msg)
    if scores.shape[1] < 2:
        msg = f"scores of {scores.shape[1]} class; a hinge needs 2 classes or more."
        raise ShapeError(msg)
    right = labels[:, None]
    margin = torch.full_like(scores, alpha).scatter(1, right, 0.0)
    risen = scores + margin - scores.gather(1, right)
    smooth = tau * (risen / tau).logsumexp(1)
    first, second = scores.detach().topk(2, dim=1).values.unbind(1)
    return torch.where(first - second >= tau * math.log(_HARD_RATIO), risen.amax(1), smooth)


@dataclass(frozen=True, kw_only=True)
class InstanceTask:
    """What CLAM asks of single instances beside the label of the bag.

    Parameters
    ----------
    count
        How many instances of highest and of lowest attention it asks, of each bag.
    weight
        Of this loss in [0, 1]; the bag's cross-entropy has the rest.
    subtyping
        Whether classes exclude each other, so that the highest attention of a bag is negative for
        each other class; the loss is then the mean over classes.
    small_bags
        What happens where a bag has fewer than ``2 count`` instances: ``"disjoint"`` takes the
        higher half as high and the lower half as low (the middle one of an odd number is high);
        ``"overlap"`` takes ``min(count, n)`` of each, so that an instance can be asked to be both,
        as the released code does from ``count`` instances on (with fewer it stops).

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> InstanceTask().count
    8
    """

    count: int = 8
    weight: float | int = 0.3
    subtyping: bool = False
    small_bags: Literal["disjoint", "overlap"] = "disjoint"

    def __post_init__(self) -> None:
        known = self.small_bags in ("disjoint", "overlap")
        if self.count < 1 or not 0 <= self.weight <= 1 or not known:
            msg = (
                f"got count {self.count}, weight {self.weight}, small_bags {self.small_bags!r}; "
                "allowed: a count of 1 or more, a weight in [0, 1], 'disjoint' or 'overlap'."
            )
            raise RefusedInputError(msg)

    def extremes(
        self, segments: Segments, attention: Float[Tensor, " instances"]
    ) -> tuple[Int64[Tensor, "bags asked"], Bool[Tensor, "bags asked"]]:
        """Return ``count`` rows of highest and then of lowest attention, and which to use."""
        steps = torch.arange(self.count, device=attention.device)
        sizes = segments.sizes[:, None]
        halves = self.small_bags == "disjoint"
        high = steps < ((sizes + 1) // 2 if halves else sizes)
        low = steps < (sizes // 2 if halves else sizes)
        inside = steps.minimum(sizes - 1)
        places = torch.cat(
            [segments.offsets[:-1, None] + inside, segments.offsets[1:, None] - 1 - inside], 1
        )
        return segments.ranking(attention)[places], torch.cat([high, low], 1)


class ClamSb(Abmil):
    r"""Attention-based pooling, gated with 256 rows, that is told what its extremes are.

    Trunk, attention, bag feature and bag classifier are those of `Abmil`. For each class c there
    is a classifier :math:`W_c h + b_c` of an instance as no or yes. In training, the 8 instances
    of highest attention are yes for the class of their bag and the 8 of lowest are no; with
    ``subtyping`` the 8 of highest attention are no for each other class. Loss: 0.7 cross-entropy
    of the bag + 0.3 `smooth_top1_svm` of the instances, the mean over those of a bag, then over
    bags.

    Parameters
    ----------
    size
        See `MilSize`.
    count, weight, subtyping, small_bags
        See `InstanceTask`.
    generator
        Source of the first weights.

    References
    ----------
    Lu et al. 2021, doi:10.1038/s41551-020-00682-w. As released: lr 1e-4, weight decay 1e-5, up to
    200 epochs.

    Examples
    --------
    >>> model = ClamSb(MilSize(dim=4, width=8), generator=Generator())
    >>> output = model(BagBatch.of([torch.ones(3, 4)]))
    >>> sorted(model.losses(output, torch.tensor([1])))
    ['bag', 'instance', 'loss']
    """

    def __init__(
        self,
        size: MilSize,
        *,
        count: int = 8,
        weight: float | int = 0.3,
        subtyping: bool = False,
        small_bags: Literal["disjoint", "overlap"] = "disjoint",
        generator: Generator,
    ) -> None:
        super().__init__(size, gated=True, hidden=256, generator=generator)
        self.task = InstanceTask(
            count=count, weight=weight, subtyping=subtyping, small_bags=small_bags
        )
        self.judges = nn.ModuleList([nn.Linear(size.width, 2) for _ in range(size.classes)])
        start_xavier(self.judges, generator)

    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return what `Abmil` does; ``extra`` has what `losses` needs of the extremes."""
        output = super().pool(embedded)
        assert output.attention is not None  # noqa: S101  what Abmil returns
        rows, used = self.task.extremes(embedded.segments, output.attention[:, 0].detach())
        asked = embedded.features[rows]
        verdicts = torch.stack([judge(asked) for judge in self.judges], 1)
        return BagOutput(
            logits=output.logits,
            features=output.features,
            attention=output.attention,
            instance_scores=output.instance_scores,
            extra={"asked": rows, "used": used, "verdicts": verdicts},
        )

    def losses(self, output: BagOutput, labels: Int64[Tensor, " bags"]) -> dict[str, Tensor]:
        """Return ``bag``, ``instance`` and their weighted sum ``loss``."""
        bag = functional.cross_entropy(output.logits, labels)
        instance = self._instances(output, labels)
        weight = self.task.weight
        return {"loss": (1 - weight) * bag + weight * instance, "bag": bag, "instance": instance}

    def _instances(self, output: BagOutput, labels: Tensor) -> Tensor:
        verdicts, used = output.extra["verdicts"].flatten(0, 2), output.extra["used"]
        bags, asked = used.shape
        own = functional.one_hot(labels, self.size.classes).bool()[:, :, None]
        high = torch.arange(asked, device=labels.device) < asked // 2
        targets = (own & high).expand(bags, -1, asked)
        cost = smooth_top1_svm(verdicts, targets.flatten().long()).view_as(targets)
        counts = used[:, None] & (own | (high & self.task.subtyping))
        mean = (cost * counts).sum(2) / counts.sum(2).clamp(min=1)
        return mean.sum(1).mean() / (self.size.classes if self.task.subtyping else 1)
