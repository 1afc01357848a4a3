"""Training a model of bags: which bags a step sees, its loss, and how validation judges it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.training.draws import Place, generator_for
from medconsist.training.objective import Objective
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.models.base import MilModel, MilSize
from medconsist.wsi.mil.output import BagOutput

__all__ = ["DrawnBags", "MilObjective", "Sampling", "all_bags"]

_LEAST = 1e-12  # probability, so that a log loss is finite
_ORDER = 0  # place of the numbers that order the bags of an epoch


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Which bags, and how much of each, a step sees.

    Parameters
    ----------
    bags
        A step; the papers of this field take 1.
    instances
        Most of a bag, drawn anew each time without replacement; None takes all. A few hundred of
        each of many bags make large batches possible (nnMIL, arXiv:2511.14907).
    seed
        Of the order of the bags: every epoch sees each bag once, in an order of its own.

    Raises
    ------
    RefusedInputError
        Fewer than one.

    Examples
    --------
    >>> Sampling(bags=4, instances=512).seed
    0
    """

    bags: int = 1
    instances: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.bags < 1 or (self.instances is not None and self.instances < 1):
            msg = f"got {self.bags} bags of {self.instances} instances; allowed: 1 or more of each."
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class DrawnBags:
    """One batch.

    Parameters
    ----------
    bags
        Features in float32.
    labels
        Class of each bag.
    step
        Optimiser steps done when it was drawn.

    Examples
    --------
    >>> DrawnBags(BagBatch.of([torch.zeros(2, 4)]), torch.tensor([1]), step=0).labels.tolist()
    [1]
    """

    bags: BagBatch
    labels: Int64[Tensor, " bags"]
    step: int


class MilObjective(Objective):
    """A model of bags on the labels of training cases; validation chooses the checkpoint.

    Parameters
    ----------
    make
        Builds the untrained model from a generator.
    train
        Cases with labels.
    validation
        Other cases with labels, of other patients; None scores nothing.
    sampling
        See `Sampling`.
    architecture
        What builds the model again, for the weights file.
    about
        What the weights file says beside.

    Raises
    ------
    RefusedInputError
        A label is missing, features of several lengths, other classes, or a patient on both
        sides; one class alone when the model is built.

    Examples
    --------
    ::

        objective = MilObjective(lambda g: Abmil(MilSize(dim=64), generator=g), train, validation)
        fit(objective, TrainConfig(steps=1000, evaluate_every=100), Path("run"), recipe={})
    """

    def __init__(
        self,
        make: Callable[[Generator], nn.Module],
        train: Cohort,
        validation: Cohort | None = None,
        *,
        sampling: Sampling | None = None,
        architecture: Mapping[str, Any] | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        self.train = train
        self.validation = validation
        self.sampling = sampling or Sampling()
        self._make = make
        self._labels = train.labels
        self._architecture = dict(architecture or {})
        self._about = dict(about or {})
        if validation is not None:
            _refuse_misfit(train, validation)
            validation.labels  # noqa: B018  refuses here what would be refused after the training

    def build(self, generator: Generator) -> nn.Module:
        """Return the untrained model.

        Raises
        ------
        RefusedInputError
            It was made for another number of classes or another length of features, or all
            training cases are of one class.
        """
        network = self._make(generator)
        if isinstance(network, MilModel):
            _refuse_unfit(network.size, self.train)
        return network

    def draw(self, generator: Generator, step: int) -> DrawnBags:
        """Return the batch of a step of a run with one process and no micro-batches."""
        return self.draw_at(generator, Place(step=step))

    def draw_at(self, generator: Generator, place: Place) -> DrawnBags:
        """Return the next bags of the epoch's order, with some of their instances."""
        first, count = place.number * self.sampling.bags, self.sampling.bags
        chosen = [self._bag(number) for number in range(first, first + count)]
        bags = BagBatch.of([self._some(bag, generator) for bag in chosen])
        return DrawnBags(bags, self._labels[chosen], place.step)

    def losses(self, network: nn.Module, batch: DrawnBags) -> dict[str, Tensor]:
        """Return the model's own losses."""
        model = self.model_of(network)
        output: BagOutput = network(batch.bags)
        return model.losses(output, batch.labels)

    @torch.no_grad()
    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return log loss, accuracy and (of two classes) the area under the ROC curve, by case."""
        if self.validation is None:
            return {}
        outputs = [output.probabilities for _, output in all_bags(network, self.validation)]
        return _scores(torch.cat(outputs).double().cpu(), self.validation.labels)

    def architecture(self) -> dict[str, Any]:
        """Return what builds the model again."""
        return self._architecture

    def about(self) -> dict[str, str]:
        """Return what the weights have seen; ``cases_sha256`` is that of the sorted training cases.

        Two trainings on the same cases say the same one.
        """
        said = {"trained_on": f"{len(self.train)} cases, their labels alone"} | self._about
        return said | {"cases_sha256": self.train.cases_sha256}

    def model_of(self, network: nn.Module) -> MilModel:
        """Return the model within the network; the network itself unless a subclass wraps it."""
        assert isinstance(network, MilModel)  # noqa: S101  what build returned
        return network

    def _bag(self, number: int) -> int:
        epoch, within = divmod(number, len(self.train))
        order = generator_for(self.sampling.seed, _ORDER, epoch)
        return int(torch.randperm(len(self.train), generator=order)[within])

    def _some(self, bag: int, generator: Generator) -> Tensor:
        count, most = self.train.instances(bag), self.sampling.instances
        if most is None or count <= most:
            return self.train.rows(bag).float()
        which = torch.randperm(count, generator=generator)[:most].sort().values
        return self.train.rows(bag, which).float()


def all_bags(network: nn.Module, cohort: Cohort) -> Iterator[tuple[int, BagOutput]]:
    """Yield what a network says of each whole bag of a cohort, one at a time.

    Parameters
    ----------
    network
        In eval mode; the bag goes to the device of its first parameter.
    cohort
        Its labels are not read.
    """
    device = next(network.parameters()).device
    for bag in range(len(cohort)):
        rows = cohort.rows(bag).to(device=device, dtype=torch.float32)
        with torch.no_grad():  # around no yield: the caller's own gradients are its own
            output = network(BagBatch.of([rows]))
        yield bag, output


def _scores(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    log_loss = functional.nll_loss(probabilities.clamp(min=_LEAST).log(), labels)
    right = (probabilities.argmax(1) == labels).double().mean()
    scores = {"log_loss": float(log_loss), "accuracy": float(right)}
    both = probabilities.shape[1] == 2 and 0 < int(labels.sum()) < len(labels)
    return scores | ({"auc": area_under_roc(probabilities[:, 1], labels == 1)} if both else {})


def _refuse_unfit(size: MilSize, train: Cohort) -> None:
    if (size.classes, size.dim) != (len(train.classes), train.source.dim):
        msg = (
            f"the model has {size.classes} classes and features of length {size.dim}; the cases "
            f"have {len(train.classes)} and {train.source.dim}. Build it with these sizes."
        )
        raise RefusedInputError(msg)
    labels = train.labels
    if bool((labels == labels[0]).all()):
        msg = (
            f"all {len(train)} training cases are {train.classes[int(labels[0])]!r}; a model of "
            "bags learns from cases of two classes or more."
        )
        raise RefusedInputError(msg)


def _refuse_misfit(train: Cohort, validation: Cohort) -> None:
    shared = sorted(set(train.patients) & set(validation.patients))
    if shared or train.source.dim != validation.source.dim:
        msg = (
            f"{len(shared)} patients are in training and validation (first: {shared[:1]}), with "
            f"features of length {train.source.dim} and {validation.source.dim}. Split by patient, "
            "and take one encoder."
        )
        raise RefusedInputError(msg)
    if train.classes != validation.classes:
        msg = (
            f"training has the classes {list(train.classes)} and validation "
            f"{list(validation.classes)}; give both the same, in one order."
        )
        raise RefusedInputError(msg)
