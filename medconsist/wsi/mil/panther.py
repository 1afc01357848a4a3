"""PANTHER: a bag as the mixture of prototypes that describes it, found without labels."""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.models.base import MilModel, MilSize, start_xavier
from medconsist.wsi.mil.output import BagOutput

__all__ = ["Mixture", "Panther", "fit_prototypes", "mixture_of_bag"]

_ROWS = 8192  # instances worked on at a time, so that memory does not grow with the bag
_RUNS = 5  # starts of k-means, of which the best is kept; as in the released code


class Mixture(NamedTuple):
    """A mixture of Gaussians with diagonal covariance, and what it says of each instance.

    Parameters
    ----------
    share, mean, variance
        Of each component; ``components``, and twice ``components dim``.
    posterior
        Probability of each component, ``instances components``.

    Examples
    --------
    >>> mixture_of_bag(torch.zeros(2, 4), torch.zeros(4, 4)).posterior[0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    share: Tensor
    mean: Tensor
    variance: Tensor
    posterior: Tensor


@torch.no_grad()
def mixture_of_bag(
    features: Float[Tensor, "instances dim"],
    prototypes: Float[Tensor, "components dim"],
    *,
    steps: int = 1,
    tau: float | int = 1.0,
    variance: float | int = 1.0,
) -> Mixture:
    r"""Return the mixture after some steps of expectation-maximisation with a conjugate prior.

    Started at :math:`\pi_c = 1/C`, :math:`\mu_c = m_c`, :math:`\Sigma_c = v`, each step is

    .. math::

        q_{ic} &= \pi_c N(x_i; \mu_c, \Sigma_c) / \textstyle\sum_{c'} \pi_{c'}
                  N(x_i; \mu_{c'}, \Sigma_{c'}), \qquad w_c = \textstyle\sum_i q_{ic} \\
        \pi_c &= (w_c + \tau) / \textstyle\sum_{c'} (w_{c'} + \tau) \\
        \mu_c &= (\textstyle\sum_i q_{ic} x_i + \tau m_c) / (w_c + \tau) \\
        \Sigma_c &= (\textstyle\sum_i q_{ic} x_i^2 + \tau (v + m_c^2)) / (w_c + \tau) - \mu_c^2

    A component that no instance takes keeps its prototype. Posteriors are those of the last step's
    first line. Computed in float32 at least, about the mean of the prototypes.

    Parameters
    ----------
    features
        Of one bag.
    prototypes
        :math:`m_c`.
    steps
        At least 1.
    tau
        Weight of the prior in instances, positive.
    variance
        :math:`v`, positive, the same in every direction.

    Raises
    ------
    RefusedInputError
        A number out of its range.

    References
    ----------
    Song et al., CVPR 2024, arXiv:2405.11643. The prior and its place in the update are read from
    the released code, after Kim, ICLR 2022; its embedding script takes 16 components, one step,
    tau 1 and variance 1. That the paper's figures were made so is unverified.
    """
    if steps < 1 or not 0 < tau < math.inf or not 0 < variance < math.inf:
        msg = (
            f"got {steps} steps, tau {tau}, variance {variance}; allowed: 1 step or more, finite "
            "numbers above 0."
        )
        raise RefusedInputError(msg)
    wide = torch.promote_types(features.dtype, torch.float32)
    centre = prototypes.to(wide).mean(0)
    prior = prototypes.to(wide) - centre
    blocks = [block.to(wide) - centre for block in torch.split(features, _ROWS)]
    share = prior.new_full((len(prior),), 1 / len(prior))
    mean, spread = prior, torch.full_like(prior, variance)
    for _ in range(steps):
        posterior = [_posterior(block, share, mean, spread) for block in blocks]
        weight = _added([q.sum(0) for q in posterior]) + tau
        pairs = list(zip(posterior, blocks, strict=True))
        first = _added([q.T @ x for q, x in pairs]) + tau * prior
        second = _added([q.T @ x.square() for q, x in pairs]) + tau * (variance + prior.square())
        share, mean = weight / weight.sum(), first / weight[:, None]
        # exact arithmetic cannot go below the prior's part; rounding of the difference can
        least = tau * variance / weight[:, None]
        spread = (second / weight[:, None] - mean.square()).maximum(least)
    return Mixture(share, mean + centre, spread, torch.cat(posterior))


class Panther(MilModel):
    r"""A bag is :math:`(\pi, \mu, \Sigma)` of its mixture, and a head reads that.

    Nothing below the head learns: prototypes are found by `fit_prototypes`, without labels, and
    `standardise` puts the parts of a mixture on one scale. The posterior of each instance is
    ``extra["posterior"]``, its largest entry the class of a map; there are neither attention nor
    scores by class.

    Parameters
    ----------
    size
        See `MilSize`; width and dropout are those of the MLP head.
    prototypes
        One row a component; kept as a buffer.
    steps, tau, variance
        See `mixture_of_bag`.
    head
        ``"linear"``, or ``"mlp"``: ``Linear - ReLU - Dropout - Linear``. The released code has
        further heads, with an MLP for each component; they are not here.
    generator
        Source of the first weights.

    Raises
    ------
    RefusedInputError
        Prototypes of another length, none, or not finite; an unknown head.

    References
    ----------
    Song et al., CVPR 2024, arXiv:2405.11643.

    Examples
    --------
    >>> model = Panther(MilSize(dim=4), torch.eye(3, 4), generator=Generator())
    >>> output = model(BagBatch.of([torch.ones(5, 4), torch.zeros(2, 4)]))
    >>> output.features.shape, output.extra["posterior"].shape
    (torch.Size([2, 27]), torch.Size([7, 3]))
    """

    prototypes: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        size: MilSize,
        prototypes: Float[Tensor, "components dim"],
        *,
        steps: int = 1,
        tau: float | int = 1.0,
        variance: float | int = 1.0,
        head: Literal["linear", "mlp"] = "linear",
        generator: Generator,
    ) -> None:
        super().__init__(size)
        _refuse(size, prototypes, head)
        self.steps, self.tau, self.variance = steps, tau, variance
        length = len(prototypes) * (1 + 2 * size.dim)
        self.register_buffer("prototypes", prototypes.float().clone())
        self.register_buffer("centre", torch.zeros(length))
        self.register_buffer("scale", torch.ones(length))
        self.head: nn.Module = nn.Linear(length, size.classes)
        if head == "mlp":
            self.head = nn.Sequential(
                nn.Linear(length, size.width),
                nn.ReLU(),
                nn.Dropout(float(size.dropout)),
                nn.Linear(size.width, size.classes),
            )
        start_xavier(self.head, generator)

    def embed(self, bags: BagBatch) -> BagBatch:
        """Return the bags as they are."""
        return bags

    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return the mixture of each bag, flat, all shares first, and its class."""
        sizes = embedded.segments.sizes.tolist()
        mixtures = [self._mixture(rows) for rows in torch.split(embedded.features, sizes)]
        features = (torch.stack([_flat(m) for m in mixtures]) - self.centre) / self.scale
        return BagOutput(
            logits=self.head(features),
            features=features,
            extra={"posterior": torch.cat([m.posterior for m in mixtures])},
        )

    @torch.no_grad()
    def standardise(self, train: Cohort) -> None:
        """Show the head each entry with mean 0 and deviation 1 over the bags of the training.

        Shares are of order 1 / C and means of the order of the features, so that a head that
        learns by gradient steps would hardly see the former. Labels are not read; an entry that is
        the same everywhere is only centred. The released code has none of this.

        Parameters
        ----------
        train
            At least 2 bags.

        Raises
        ------
        RefusedInputError
            A single bag.
        """
        if len(train) < 2:
            msg = "one bag has no deviation; standardise over 2 training bags or more."
            raise RefusedInputError(msg)
        device = self.prototypes.device
        rows = (train.rows(bag).float().to(device) for bag in range(len(train)))
        flat = torch.stack([_flat(self._mixture(bag)) for bag in rows])
        deviation = flat.std(0)
        self.centre.copy_(flat.mean(0))
        self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def _mixture(self, rows: Tensor) -> Mixture:
        return mixture_of_bag(
            rows, self.prototypes, steps=self.steps, tau=self.tau, variance=self.variance
        )


def fit_prototypes(
    cohort: Cohort,
    *,
    components: int = 16,
    most: int = 100_000,
    kind: Literal["kmeans", "minibatch"] = "kmeans",
    generator: Generator,
) -> Float[Tensor, "components dim"]:
    """Return the centres of k-means over instances of training bags; labels are not read.

    Parameters
    ----------
    cohort
        Of the training alone.
    components
        Centres, at least 1.
    most
        Instances used, at most: every bag gives as many as any other, as far as it has them.
    kind
        scikit-learn's ``KMeans``, or ``MiniBatchKMeans`` where there are many.
    generator
        Of the instances and of k-means.

    Raises
    ------
    RefusedInputError
        An unknown kind, or fewer instances than centres.
    MissingExtraError
        scikit-learn is not installed.
    """
    share = max(most // len(cohort), 1)
    rows = torch.cat([_some(cohort, bag, share, generator) for bag in range(len(cohort))])[:most]
    if not 1 <= components <= len(rows) or kind not in ("kmeans", "minibatch"):
        msg = (
            f"got {components} components by {kind!r} of {len(rows)} instances; allowed: 1 or "
            "more, no more than instances, by 'kmeans' or 'minibatch'. Raise most, or lower "
            "components."
        )
        raise RefusedInputError(msg)
    cluster = require("sklearn.cluster", extra="wsi")
    make = cluster.KMeans if kind == "kmeans" else cluster.MiniBatchKMeans
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
    # threads add in the order in which they come: one alone gives a seed the same bits each time
    with require("threadpoolctl", extra="wsi").threadpool_limits(1):
        found = make(components, n_init=_RUNS, random_state=seed).fit(rows.numpy())
    return torch.as_tensor(found.cluster_centers_, dtype=torch.float32)


def _flat(mixture: Mixture) -> Tensor:
    return torch.cat([mixture.share, mixture.mean.flatten(), mixture.variance.flatten()])


def _posterior(x: Tensor, share: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    precision = 1 / variance
    distance = x.square() @ precision.T - 2 * x @ (mean * precision).T
    constant = (mean.square() * precision + variance.log()).sum(1)
    return (share.log() - (distance + constant) / 2).softmax(1)


def _added(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum(0)


def _some(cohort: Cohort, bag: int, most: int, generator: Generator) -> Tensor:
    which = torch.randperm(cohort.instances(bag), generator=generator)[:most].sort().values
    return cohort.rows(bag, which).float()


def _refuse(size: MilSize, prototypes: Tensor, head: str) -> None:
    sound = len(prototypes) > 0 and bool(prototypes.isfinite().all())
    if not sound or prototypes.shape[1] != size.dim or head not in ("linear", "mlp"):
        msg = (
            f"got prototypes {tuple(prototypes.shape)} for features of length {size.dim}, head "
            f"{head!r}; allowed: one or more finite rows of that length, 'linear' or 'mlp'. Fit "
            "them on bags of the same encoder."
        )
        raise RefusedInputError(msg)
