"""The methods of ``medconsist bench mil``, behind one small protocol."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from medconsist.training.fit import Fitted, fit
from medconsist.training.settings import EarlyStop, TrainConfig
from medconsist.training.weights import StoredWeights
from medconsist.wsi.mil.cohort import Cohort, InMemoryBags
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.network import InsNetwork
from medconsist.wsi.mil.ins.objective import InsLearner, InsObjective
from medconsist.wsi.mil.ins.released_labels import ReleasedLabelsInsObjective
from medconsist.wsi.mil.mhim.config import MhimConfig
from medconsist.wsi.mil.mhim.masking import MaskConfig
from medconsist.wsi.mil.mhim.objective import MhimObjective
from medconsist.wsi.mil.mhim.scores import ClassProbability
from medconsist.wsi.mil.models.base import MilModel, MilSize
from medconsist.wsi.mil.models.choice import make_model
from medconsist.wsi.mil.objective import MilObjective, Sampling, all_bags
from medconsist.wsi.mil.output import BagOutput

__all__ = [
    "INS",
    "INS_PUBLISHED",
    "Budget",
    "Ins",
    "Method",
    "Mhim",
    "MhimOfIns",
    "Plain",
    "ReleasedIns",
    "Said",
    "Trained",
    "standardised",
]


Keep = Literal["best", "last"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one training may cost.

    Parameters
    ----------
    epochs
        Of a teacher, and again of its student; a baseline at equal compute gets the sum.
    bags
        A step.
    width
        Of an embedded instance.
    lr
        Largest learning rate of Adam, for every method.

    Examples
    --------
    >>> Budget(epochs=10).steps(58, parts=2)
    300
    """

    epochs: int = 20
    bags: int = 4
    width: int = 128
    lr: float | int = 1e-3

    def steps(self, bags: int, *, parts: int = 1) -> int:
        """Return the steps of ``parts`` times the epochs over so many training bags."""
        return parts * self.epochs * -(-bags // self.bags)


@dataclass(frozen=True, eq=False)
class Said:
    """What a trained method says of one bag.

    Parameters
    ----------
    positive
        Probability of class 1.
    instances
        Scores of its instances by kind; more is more tumour.

    Examples
    --------
    >>> Said(0.5, {}).positive
    0.5
    """

    positive: float
    instances: dict[str, Float[Tensor, " _"]]


@dataclass(frozen=True, eq=False)
class Trained:
    """A network in eval mode.

    Parameters
    ----------
    network
        Takes a `BagBatch`.
    fitted
        The run it is from.
    kinds
        Which scores of instances have learnt; others are not reported.

    Examples
    --------
    >>> Trained(nn.Identity(), Fitted(nn.Identity(), step=0, metrics={})).fitted.step
    0
    """

    network: nn.Module
    fitted: Fitted
    kinds: tuple[str, ...] = ("attention", "instance classifier")

    @torch.no_grad()
    def __call__(self, bags: Cohort) -> list[Said]:
        """Return what is said of each bag."""
        return [_said(output, self.kinds) for _, output in all_bags(self.network, bags)]


class Method(Protocol):
    """Whatever learns from labelled bags."""

    @property
    def name(self) -> str:
        """As rows call it."""

    def train(self, train: Cohort, validation: Cohort, *, seed: int) -> Trained:
        """Return it trained; validation chooses the checkpoint and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A model of bags on their labels.

    Parameters
    ----------
    model
        Name in `medconsist.wsi.mil.models.choice.MODELS`.
    budget
        See `Budget`.
    parts
        How many times the epochs: 2 for equal compute with teacher and student.

    Examples
    --------
    >>> Plain(model="mean").name
    'mean'
    """

    model: str = "abmil"
    budget: Budget = Budget()
    parts: int = 1

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model

    def train(self, train: Cohort, validation: Cohort, *, seed: int) -> Trained:
        """Return the model of the best validation log loss."""
        objective = MilObjective(
            lambda generator: self.untrained(train.source.dim, generator),
            train,
            validation,
            sampling=Sampling(bags=self.budget.bags, seed=seed),
        )
        fitted = _fit(objective, self.budget, seed=seed, parts=self.parts)
        return Trained(fitted.network, fitted)

    def untrained(self, dim: int, generator: Generator) -> MilModel:
        """Return the model before training."""
        size = MilSize(dim=dim, width=self.budget.width)
        return make_model(self.model, size, generator=generator)


# h, rho and the teacher's momentum for runs of hundreds of steps, where those of the papers are for
# tens of thousands: at .9999 the teacher would stay the baseline. Looked at on draw 9002 alone,
# where alpha of .5 and a constant h of .1 were no better.
MHIM = MhimConfig(mask=MaskConfig(random=0.0, high=0.05, course="cosine"), alpha=0.1, momentum=0.99)


@dataclass(frozen=True, kw_only=True)
class Mhim:
    """MHIM-MIL v1 over a baseline that it trains first.

    Parameters
    ----------
    plain
        The baseline, with the epochs of a teacher.
    config
        See `MhimConfig`.

    Examples
    --------
    >>> Mhim().name
    'mhim-abmil'
    """

    plain: Plain = Plain()
    config: MhimConfig = MHIM

    @property
    def name(self) -> str:
        """Name of the method over its model."""
        return f"mhim-{self.plain.model}"

    def train(self, train: Cohort, validation: Cohort, *, seed: int) -> Trained:
        """Return the student."""
        teacher = self.plain.train(train, validation, seed=seed)
        return self.over(teacher, train, validation, seed=seed)

    def over(
        self,
        teacher: Trained,
        train: Cohort,
        validation: Cohort,
        *,
        seed: int,
        scores: ClassProbability | None = None,
    ) -> Trained:
        """Return the student of a teacher that is trained already."""
        budget = self.plain.budget
        objective = MhimObjective(
            lambda generator: self.plain.untrained(train.source.dim, generator),
            StoredWeights(state=teacher.network.state_dict(), architecture={}, about={}, sha256=""),
            self.config.over(budget.steps(len(train))),
            train,
            validation,
            scores=scores,
            sampling=Sampling(bags=budget.bags, seed=seed),
        )
        fitted = _fit(objective, budget, seed=seed)
        return Trained(fitted.network, fitted)


# Lengths for runs of hundreds of steps, chosen on draw 9001. The last weights are kept: there the
# bag's log loss was least before the soft labels had settled (instance AUC .49 in place of .76).
# As published (`InsConfig.least_positive` of 0) the name of the positive class can die out.
INS_PUBLISHED = InsConfig(bank=1024, warmup=0, phi_steps=200, momentum=0.99)
INS = replace(INS_PUBLISHED, least_positive=0.1)


@dataclass(frozen=True, kw_only=True)
class Ins:
    """INS on labels of bags alone.

    Parameters
    ----------
    budget
        See `Budget`.
    config
        See `InsConfig`; by default a tenth of the instances of positive bags is named positive in
        any case, which INS as published does not do.

    Examples
    --------
    >>> Ins().name, Ins(config=INS_PUBLISHED).name
    ('ins', 'ins as published')
    """

    budget: Budget = Budget()
    config: InsConfig = INS

    @property
    def name(self) -> str:
        """Name of the method; whether it is held from collapse."""
        return "ins" if self.config.least_positive else "ins as published"

    def train(self, train: Cohort, validation: Cohort, *, seed: int) -> Trained:
        """Return the learner after its last step; validation chooses nothing."""
        objective = self.objective(train, validation, seed)
        fitted = _fit(objective, self.budget, seed=seed, keep="last")
        return Trained(fitted.network, fitted)

    def objective(self, train: Cohort, validation: Cohort, seed: int) -> InsObjective:
        """Return what is trained."""
        size = MilSize(dim=train.source.dim, width=self.budget.width)
        sampling = Sampling(bags=self.budget.bags, seed=seed)
        return InsObjective(size, train, validation, config=self.config, sampling=sampling)


@dataclass(frozen=True, kw_only=True)
class ReleasedIns(Ins):
    """The label leak of the released INS code: it is given the truth of training instances.

    With the numbers of `Ins`, so that the two differ in the leak alone.

    Parameters
    ----------
    truth
        Of each training bag.
    budget, config
        As of `Ins`.

    Examples
    --------
    >>> ReleasedIns(truth=()).name
    'ins, RELEASED LEAK (trains on instance truth)'
    """

    truth: Sequence[Bool[Tensor, " _"]] = ()

    @property
    def name(self) -> str:
        """Name that says what it is."""
        return "ins, RELEASED LEAK (trains on instance truth)"

    def objective(self, train: Cohort, validation: Cohort, seed: int) -> InsObjective:
        """Return what is trained, with the leaked labels."""
        return ReleasedLabelsInsObjective(
            MilSize(dim=train.source.dim, width=self.budget.width),
            train,
            validation,
            instance_truth=self.truth,
            config=self.config,
            sampling=Sampling(bags=self.budget.bags, seed=seed),
        )


@dataclass(frozen=True, kw_only=True)
class _InsBody(Plain):
    """The network of INS as a model of bags."""

    config: InsConfig = INS

    def untrained(self, dim: int, generator: Generator) -> MilModel:
        size = MilSize(dim=dim, width=self.budget.width)
        return InsNetwork(size, self.config, generator=generator)


@dataclass(frozen=True, kw_only=True)
class MhimOfIns:
    """MHIM in the network of INS: the trained INS is the teacher, and its instances say the mask.

    Over ABMIL instead, the student's attention would be as poor as that ABMIL's wherever it has
    settled on normal tissue, whatever INS knows. The student learns from bags alone, so its
    attention is what it says of instances: its instance classifier gets no loss.

    Parameters
    ----------
    ins
        Trained first.
    config
        Of MHIM; its scores are replaced.

    Examples
    --------
    >>> MhimOfIns().name
    'mhim+ins'
    """

    ins: Ins = Ins()
    config: MhimConfig = MHIM

    @property
    def name(self) -> str:
        """Name of the method."""
        return "mhim+ins"

    def train(self, train: Cohort, validation: Cohort, *, seed: int) -> Trained:
        """Return the student."""
        ins = self.ins.train(train, validation, seed=seed)
        return self.over(ins, train, validation, seed=seed)

    def over(self, ins: Trained, train: Cohort, validation: Cohort, *, seed: int) -> Trained:
        """Return the student of an INS that is trained already."""
        assert isinstance(ins.network, InsLearner)  # noqa: S101  what Ins returns
        body = _InsBody(budget=self.ins.budget, config=self.ins.config)
        mhim = Mhim(plain=body, config=replace(self.config, scores="given"))
        teacher = Trained(ins.network.model, ins.fitted)
        scores = ClassProbability(ins.network)
        student = mhim.over(teacher, train, validation, seed=seed, scores=scores)
        return replace(student, kinds=("attention",))


def standardised(train: Cohort, *others: Cohort) -> list[Cohort]:
    """Return all parts with the mean and standard deviation of the training instances taken out."""
    rows = torch.cat([train.rows(bag).float() for bag in range(len(train))])
    mean, spread = rows.mean(0), rows.std(0).clamp(min=torch.finfo(rows.dtype).tiny)
    return [
        Cohort.of(
            InMemoryBags([(part.rows(bag).float() - mean) / spread for bag in range(len(part))]),
            part.infos,
            classes=part.classes,
        )
        for part in (train, *others)
    ]


def _fit(
    objective: MilObjective, budget: Budget, *, seed: int, parts: int = 1, keep: Keep = "best"
) -> Fitted:
    epoch = budget.steps(len(objective.train)) // budget.epochs
    config = TrainConfig(
        steps=budget.steps(len(objective.train), parts=parts),
        lr=budget.lr,
        weight_decay=1e-5,
        seed=seed,
        evaluate_every=2 * epoch,
        checkpoint_every=10**6,
        stop=EarlyStop(metric="val_log_loss", patience=10**6, keep=keep),
    )
    with tempfile.TemporaryDirectory() as folder:
        return fit(objective, config, Path(folder) / "run", recipe={}, progress=False)


def _said(output: BagOutput, kinds: Sequence[str]) -> Said:
    instances: dict[str, Tensor] = {}
    if output.attention is not None:
        instances["attention"] = output.attention.mean(1)
    if output.instance_scores is not None:
        instances["instance classifier"] = output.instance_scores.diff(dim=1)[:, 0]
    learnt = {kind: scores for kind, scores in instances.items() if kind in kinds}
    return Said(float(output.probabilities[0, 1]), learnt)
