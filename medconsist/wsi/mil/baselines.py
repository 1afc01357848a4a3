"""Plain classifiers of single instances: what bag labels give without MIL, and what truth gives.

Two bars for every method that scores instances. Below: each instance gets the label of its bag, and
a classifier learns that. It is no straw man: where the normal tissue of both kinds of bag is alike,
the best score for copied labels ranks instances as the best score for true ones does. Above: the
same classifier on true labels, which no method of bags has; what takes them is named ``true``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.metrics.localisation import areas_by_bag
from medconsist.training.optimisation import make_optimizer
from medconsist.training.settings import OptimiserConfig
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.models.base import start_xavier
from medconsist.wsi.simclr.probe import linear_probe

__all__ = [
    "InstanceScorer",
    "Instances",
    "LogisticScorer",
    "MlpScorer",
    "copied_label_scores",
    "mean_instance_auc",
    "true_label_scores",
]


@dataclass(frozen=True, eq=False)
class Instances:
    """Instances of all bags, one after the other, each with a label of its own.

    Parameters
    ----------
    features
        One row an instance.
    positive
        Its label, copied or true.

    Examples
    --------
    >>> Instances(torch.zeros(2, 4), torch.tensor([True, False])).features.shape
    torch.Size([2, 4])
    """

    features: Float[Tensor, "instances dim"]
    positive: Bool[Tensor, " instances"]


@dataclass(frozen=True, kw_only=True)
class LogisticScorer:
    """Logistic regression with the usual penalty of 1; see `linear_probe`.

    Parameters
    ----------
    penalty
        As of `linear_probe`; nothing is tuned.

    Examples
    --------
    >>> LogisticScorer().penalty
    1.0
    """

    penalty: float | int = 1.0

    def __call__(
        self, train: Instances, test: Float[Tensor, "others dim"]
    ) -> Float[Tensor, " others"]:
        """Return the scores of other instances."""
        return linear_probe(train.features, train.positive, test, penalty=self.penalty).float()


@dataclass(frozen=True, kw_only=True)
class MlpScorer:
    """One hidden layer, trained by AdamW on batches of instances, both classes of one weight.

    Parameters
    ----------
    width
        Of the hidden layer.
    steps, batch
        Length of the training; instances a step, drawn with replacement.
    lr, weight_decay
        As of `OptimiserConfig`; the rate falls by half a cosine.
    seed
        Of first weights and batches.

    Examples
    --------
    >>> MlpScorer(steps=50).width
    128
    """

    width: int = 128
    steps: int = 600
    batch: int = 512
    lr: float | int = 3e-3
    weight_decay: float | int = 1e-3
    seed: int = 0

    def __call__(
        self, train: Instances, test: Float[Tensor, "others dim"]
    ) -> Float[Tensor, " others"]:
        """Return the scores of other instances.

        Raises
        ------
        RefusedInputError
            One kind of label only.
        """
        _refuse_one_kind(train.positive)
        generator = Generator().manual_seed(self.seed)
        mean, spread = train.features.mean(0), train.features.std(0)
        spread = spread.where(spread > 0, 1.0)
        network = self._trained((train.features - mean) / spread, train.positive, generator)
        with torch.no_grad():
            scores: Tensor = network((test - mean) / spread)
        return scores[:, 0]

    def _trained(self, x: Tensor, positive: Tensor, generator: Generator) -> nn.Module:
        network = nn.Sequential(
            nn.Linear(x.shape[1], self.width), nn.ReLU(), nn.Linear(self.width, 1)
        )
        start_xavier(network, generator)
        config = OptimiserConfig(
            steps=self.steps, lr=self.lr, optimiser="adamw", weight_decay=self.weight_decay
        )
        optimizer, scheduler = make_optimizer(network.parameters(), config)
        rarity = (~positive).sum() / positive.sum()
        with torch.enable_grad():
            for _ in range(self.steps):
                some = torch.randint(len(x), (self.batch,), generator=generator)
                loss = functional.binary_cross_entropy_with_logits(
                    network(x[some])[:, 0], positive[some].float(), pos_weight=rarity
                )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
                optimizer.step()
                scheduler.step()
        return network


InstanceScorer = LogisticScorer | MlpScorer


def copied_label_scores(
    train: Cohort, test: Cohort, *, scorer: InstanceScorer
) -> list[Float[Tensor, " _"]]:
    """Return the scores of each test bag's instances, learnt from the labels of training bags.

    Parameters
    ----------
    train
        Of two classes; each instance gets the label of its bag.
    test
        Its labels are not read.
    scorer
        `LogisticScorer` or `MlpScorer`.

    Raises
    ------
    RefusedInputError
        A label is missing, or all are of one kind.
    """
    sizes = torch.tensor([train.instances(bag) for bag in range(len(train))])
    return _scores(train, (train.labels == 1).repeat_interleave(sizes), test, scorer)


def true_label_scores(
    train: Cohort,
    truth: Sequence[Bool[Tensor, " _"]],
    test: Cohort,
    *,
    scorer: InstanceScorer,
) -> list[Float[Tensor, " _"]]:
    """Return the scores of each test bag's instances, learnt from the truth of single instances.

    A ceiling, no method: what this much training data could give if every tile were annotated.

    Parameters
    ----------
    train, test, scorer
        As of `copied_label_scores`.
    truth
        Of each instance of each training bag.

    Raises
    ------
    RefusedInputError
        The truth does not fit the training bags, or all of it is of one kind.
    """
    sizes = [train.instances(bag) for bag in range(len(train))]
    if [len(kinds) for kinds in truth] != sizes:
        msg = (
            f"truth got {len(truth)} bags of {sum(map(len, truth))} instances; the training has "
            f"{len(sizes)} of {sum(sizes)}. Give one value an instance, bag by bag."
        )
        raise RefusedInputError(msg)
    return _scores(train, torch.cat(list(truth)), test, scorer)


def mean_instance_auc(
    scores: Sequence[Float[Tensor, " _"]], truth: Sequence[Bool[Tensor, " _"]]
) -> float:
    """Return the mean over bags of the area within each; bags of one kind have none.

    For one dataset draw, which is then one unit; `instance_auc` gives an interval over bags.

    Raises
    ------
    RefusedInputError
        As of `areas_by_bag`.

    Examples
    --------
    >>> mean_instance_auc([torch.tensor([0.1, 0.9])], [torch.tensor([False, True])])
    1.0
    """
    bag = torch.arange(len(scores)).repeat_interleave(torch.tensor([len(one) for one in scores]))
    areas = areas_by_bag(torch.cat(list(scores)), torch.cat(list(truth)), bag)
    return sum(areas.values()) / len(areas)


def _scores(train: Cohort, positive: Tensor, test: Cohort, scorer: InstanceScorer) -> list[Tensor]:
    known, asked = ([part.rows(bag).float() for bag in range(len(part))] for part in (train, test))
    said = scorer(Instances(torch.cat(known), positive), torch.cat(asked))
    return list(torch.split(said, [len(bag) for bag in asked]))


def _refuse_one_kind(positive: Tensor) -> None:
    if bool(positive.all()) or not bool(positive.any()):
        msg = (
            f"got {int(positive.sum())} positive of {len(positive)} instances; allowed: both kinds."
        )
        raise RefusedInputError(msg)
