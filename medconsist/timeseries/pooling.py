"""Attention over the windows of a patient, in which every trial begins with the same say."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from medconsist.metrics.calibration import log_loss
from medconsist.networks.attention_pool import AttentionScore
from medconsist.networks.ragged import Segments
from medconsist.timeseries.window_set import UNKNOWN, WindowTable

__all__ = ["AttentionConfig", "Bags", "Evidence", "TrialAttention", "train_attention"]

_FLAT = 1e-6  # of a feature's spread in float32: below it a feature is taken as constant


@dataclass(frozen=True, eq=False)
class Bags:
    """The windows of each patient, as rows one after the other.

    Parameters
    ----------
    order
        Rows of the table, patient by patient.
    segments
        Which of them are of one patient.
    prior
        ``-log n`` of each window, n the windows of its trial: with equal scores each trial has the
        same weight, and each window of a trial.
    patients
        Number of the patient of each bag.

    Examples
    --------
    >>> table = WindowTable(patient=np.array([1, 0, 1]), trial=np.array([2, 0, 2]),
    ...     start=np.arange(3), label=np.zeros(3, np.int64), patients=("a", "b"), classes=("x",),
    ...     sites=(None, None))
    >>> bags = Bags.of(table)
    >>> bags.order.tolist(), bags.segments.sizes.tolist()
    ([1, 0, 2], [1, 2])
    """

    order: Int64[Tensor, " windows"]
    segments: Segments
    prior: Float[Tensor, " windows"]
    patients: Int64[Tensor, " bags"]

    @staticmethod
    def of(table: WindowTable) -> "Bags":
        """Return the bags of the patients of a table, by their numbers."""
        order = torch.from_numpy(np.argsort(table.patient, kind="stable"))
        patients, sizes = torch.unique(torch.from_numpy(table.patient), return_counts=True)
        trial = torch.from_numpy(table.trial)[order]
        _, place, counts = torch.unique(trial, return_inverse=True, return_counts=True)
        prior = -counts[place].double().log()
        return Bags(order, Segments.of_sizes(sizes), prior, patients)

    def weights(self, scores: Float[Tensor, " windows"]) -> Float[Tensor, " windows"]:
        """Return the share of each window in its patient, in the bags' order; scores in it too."""
        return self.segments.softmax(scores + self.prior.to(scores.dtype))

    def pooled(
        self, logits: Float[Tensor, "windows classes"], scores: Float[Tensor, " windows"]
    ) -> Float[Tensor, "bags classes"]:
        """Return the logits of each patient; those of the windows in the bags' order."""
        return self.segments.sum(self.weights(scores)[:, None] * logits)


class TrialAttention(nn.Module):
    r"""How much each window of a patient counts.

    :math:`a_i \propto e^{s(h_i)} / n_{trial(i)}` over the windows of one patient, with the gated
    score of Ilse et al. 2018 (arXiv:1802.04712) on standardised features; the patient's logits are
    :math:`\sum_i a_i z_i`. Untrained, s is 0 everywhere: the patient is the mean of the trials,
    each the mean of its windows, as the evaluator does it.

    Parameters
    ----------
    dim
        Of a feature.
    hidden
        Rows of V and U.

    Examples
    --------
    >>> TrialAttention(4)(torch.ones(3, 4)).tolist()
    [0.0, 0.0, 0.0]
    """

    centre: Tensor
    inverse: Tensor

    def __init__(self, dim: int, *, hidden: int = 16) -> None:
        super().__init__()
        self.dim, self.hidden = dim, hidden
        self.register_buffer("centre", torch.zeros(dim))
        self.register_buffer("inverse", torch.ones(dim))
        self.score = AttentionScore(dim, hidden=hidden, gated=True, bias=False)
        nn.init.zeros_(self.score.weights.weight)

    def forward(self, features: Float[Tensor, "windows dim"]) -> Float[Tensor, " windows"]:
        """Return the score of each window; it does not depend on the others."""
        score: Tensor = self.score((features.float() - self.centre) * self.inverse)
        return score[:, 0]

    def standardise_by(self, features: Float[Tensor, "windows dim"]) -> None:
        """Take centre and spread of features from training windows; a constant one becomes 0."""
        spread = features.std(0, correction=0)
        known = spread > _FLAT * features.abs().amax(0).clamp(min=1.0)
        self.centre.copy_(features.mean(0))
        self.inverse.copy_(torch.where(known, 1 / spread.clamp(min=1e-30), 0.0))


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """How attention over trials is trained on frozen features.

    Parameters
    ----------
    steps
        Over all labelled patients at once; 0 leaves the mean of trials.
    lr, weight_decay
        Of AdamW.
    hidden
        Rows of V and U.
    check_every
        Steps between two looks at validation patients, who choose the step; step 0 is among them.

    Examples
    --------
    >>> AttentionConfig().steps
    100
    """

    steps: int = 100
    lr: float = 1e-2
    weight_decay: float = 1e-2
    hidden: int = 16
    check_every: int = 10


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a classifier of windows says, and of whom.

    Examples
    --------
    ::

        Evidence(features, logits, windows.table).bags.segments.sizes
    """

    features: Float[Tensor, "windows dim"]
    logits: Float[Tensor, "windows classes"]
    table: WindowTable

    @property
    def bags(self) -> Bags:
        """The patients."""
        return Bags.of(self.table)

    @property
    def labels(self) -> Int64[Tensor, " bags"]:
        """Class of each patient, -1 where it is not known."""
        return torch.from_numpy(self.table.patient_labels)[self.bags.patients]

    def take(self, rows: Int64[npt.NDArray[np.int64], " rows"]) -> "Evidence":
        """Return that of some windows."""
        chosen = torch.from_numpy(rows)
        return Evidence(self.features[chosen], self.logits[chosen], self.table.take(rows))

    def pooled(self, pool: TrialAttention) -> Float[Tensor, "bags classes"]:
        """Return the logits of each patient, in float64."""
        bags = self.bags
        scores = pool(self.features).double()
        return bags.pooled(self.logits.double()[bags.order], scores[bags.order])


def train_attention(
    train: Evidence, validation: Evidence, config: AttentionConfig, *, generator: Generator
) -> TrialAttention:
    """Return attention that was trained on patients; validation patients choose the step.

    The classifier of windows stays as it is. Step 0, the mean of trials, is one of the choices, so
    that on validation the log loss is never above that of the mean; it flatters, as it chose.

    Parameters
    ----------
    train, validation
        Patients of known class.
    config
        See its class.
    generator
        Draws the first V and U.
    """
    pool = TrialAttention(train.features.shape[1], hidden=config.hidden)
    pool.standardise_by(train.features.float())
    for layer in (pool.score.values, pool.score.gates):
        assert layer is not None  # noqa: S101  gated
        nn.init.normal_(layer.weight, std=pool.dim**-0.5, generator=generator)
    best, kept = _loss(pool, validation), _copy(pool)
    weights = list(pool.score.parameters())
    optimiser = torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay)
    for step in range(1, config.steps + 1):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(train.pooled(pool), train.labels)
        torch.autograd.backward([loss])
        optimiser.step()
        if step % config.check_every == 0 or step == config.steps:
            judged = _loss(pool, validation)
            if judged < best:
                best, kept = judged, _copy(pool)
    pool.load_state_dict(kept)
    return pool.eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def _loss(pool: TrialAttention, evidence: Evidence) -> float:
    known = evidence.labels != UNKNOWN
    return log_loss(evidence.pooled(pool)[known], evidence.labels[known])


def _copy(pool: TrialAttention) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in pool.state_dict().items()}
