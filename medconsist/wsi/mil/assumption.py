"""Three tests whether a trained model respects the assumption of multiple-instance learning."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.networks.ragged import Segments
from medconsist.training.draws import generator_for, seed_for
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel, MilSize

__all__ = [
    "ASSUMPTION_TESTS",
    "AssumptionBudget",
    "AssumptionResult",
    "AssumptionTest",
    "assumption_bags",
    "assumption_tests",
]

AssumptionTest = Literal["single-concept", "threshold", "false-frequency"]

#: The three tests, in the order of the paper.
ASSUMPTION_TESTS: tuple[AssumptionTest, ...] = ("single-concept", "threshold", "false-frequency")

_LEARNED = 0.6  # AUC on bags like the training ones below which nothing can be said; ours
_NORMAL = 1.96  # of a two-sided 5 % level
_CHUNK = 250  # bags that are judged at once
_WEIGHTS, _TRAIN, _LIKE, _TEST, _ORDER, _DROPOUT = range(6)  # places of random numbers

# (mean, standard deviation) in every dimension: poison, first concept, second, background.
_KINDS: dict[AssumptionTest, tuple[tuple[float, float], ...]] = {
    "single-concept": ((-10.0, 0.1), (0.0, 3.0), (1.0, 1.0), (0.0, 1.0)),
    "threshold": ((-10.0, 0.1), (2.0, 0.1), (3.0, 0.1), (0.0, 1.0)),
    "false-frequency": ((-10.0, 0.1), (2.0, 0.1), (3.0, 0.1), (0.0, 1.0)),
}


@dataclass(frozen=True, kw_only=True)
class AssumptionBudget:
    """How much is trained for one test.

    With the defaults all three take 1 to 9 core-seconds for a model that pools whole batches. One
    that goes bag by bag, as TransMIL, needs fewer: with 16 landmarks, ``steps=100, batch=8,
    test_bags=200`` takes 21.

    Parameters
    ----------
    dim
        Length of an instance.
    width
        Of the embedded instance.
    dropout
        In training.
    train_bags, test_bags
        Half of them positive; ``test_bags`` of either kind that is judged.
    steps, batch
        Of Adam, and bags in each.
    lr
        Its learning rate, constant.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> AssumptionBudget(steps=100).train_bags
    4000
    """

    dim: int = 16
    width: int = 64
    dropout: float | int = 0.0
    train_bags: int = 4000
    test_bags: int = 1000
    steps: int = 600
    batch: int = 32
    lr: float | int = 2e-3

    def __post_init__(self) -> None:
        few = min(self.train_bags, self.test_bags) < 2
        if self.dim < 1 or self.width < 1 or few or self.steps < 1 or self.batch < 1:
            msg = (
                f"got {asdict(self)}; allowed: 2 bags or more of training and of test, and 1 or "
                "more of dim, width, steps and batch."
            )
            raise RefusedInputError(msg)
        if not self.lr > 0 or not 0 <= self.dropout < 1:
            msg = f"got lr {self.lr}, dropout {self.dropout}; allowed: lr > 0, dropout in [0, 1)."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True)
class AssumptionResult:
    """How one model did in one test.

    Parameters
    ----------
    test
        One of `ASSUMPTION_TESTS`.
    train_auc
        Area under the ROC curve of new bags of the training's distribution. (The paper has that of
        the training bags themselves; among few of them, memory would pass for learning.)
    test_auc
        The same of bags whose shortcut is turned round.
    respects
        True where the test AUC lies above 0.5 by more than chance (two-sided 5 % level of the rank
        test), False where it does not: what the model took for evidence of a positive bag is none.
        None, which is "cannot tell", where ``train_auc`` is below 0.6.
    seed, budget
        What gives the same figures again.

    Examples
    --------
    >>> kwargs = {"test": "threshold", "train_auc": 1.0, "test_auc": 0.2, "respects": False}
    >>> AssumptionResult(**kwargs, seed=0, budget=AssumptionBudget()).line()
    'threshold: does not respect the assumption (AUC 1.000 train, 0.200 test, seed 0)'
    """

    test: AssumptionTest
    train_auc: float
    test_auc: float
    respects: bool | None
    seed: int
    budget: AssumptionBudget

    def line(self) -> str:
        """Return one line for a report."""
        said = {
            True: "respects the assumption",
            False: "does not respect the assumption",
            None: "cannot tell, as it learned nothing",
        }[self.respects]
        figures = f"AUC {self.train_auc:.3f} train, {self.test_auc:.3f} test, seed {self.seed}"
        return f"{self.test}: {said} ({figures})"

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def assumption_bags(
    test: AssumptionTest,
    bags: int,
    *,
    part: Literal["train", "test"],
    generator: Generator,
    dim: int = 16,
) -> tuple[BagBatch, Int64[Tensor, " bags"]]:
    r"""Draw bags of one test with their labels; even bags are negative, odd ones positive.

    Every instance is one of four kinds, :math:`\mathcal N(\mu, \sigma^2)` in each dimension:
    background (0, 1), poison (-10, 0.1), and two concepts; *u(a, b)* is a whole number from a to
    b, both included.

    - ``"single-concept"``: concepts (0, 3) and (1, 1). Positive bags have *u(1, 4)* instances of
      concepts, each of one at random, and 10 of background; negative bags have background alone.
      **Poison**: one instance in each negative bag of training, and in each positive one of test.
    - ``"threshold"``: concepts (2, 0.1) and (3, 0.1). Positive bags have *u(1, 4)* of each,
      negative bags one instance of one of them, both have *u(1, 10)* of background; poison as
      above.
    - ``"false-frequency"``: the same concepts. Positive bags have *u(1, 2)* of each, negative bags
      only one concept: *u(1, 2)* of it in training and *u(35, 45)* in test; *u(1, 10)* of
      background; no poison.

    The instances of a bag are shuffled, so that a place tells nothing.

    Parameters
    ----------
    test
        One of `ASSUMPTION_TESTS`.
    bags
        How many, 1 or more.
    part
        Which distribution.
    generator
        Source of the numbers.
    dim
        Length of an instance.

    Raises
    ------
    RefusedInputError
        Another test or part.

    Notes
    -----
    Known of the paper at writing are its abstract and what torchmil (MIT), which cites its
    algorithms 1 to 3, draws. Not checked against the paper: ``dim``, the 10 of background (torchmil
    leaves both to the caller), whether the 3 of the first concept is a standard deviation (as in
    torchmil) or a variance, and that ranges include their end: in torchmil they do not, so that its
    negative bags of the third test always hold the first concept.

    References
    ----------
    Raff and Holt 2023, arXiv:2310.17867, algorithms 1 to 3.
    """
    if test not in _KINDS or part not in ("train", "test"):
        msg = f"got {test!r}, {part!r}; allowed: {', '.join(_KINDS)}, of 'train' or 'test'."
        raise RefusedInputError(msg)
    labels = torch.arange(bags) % 2
    counts = _counts(test, labels.bool(), part, generator)
    kinds = torch.arange(4).repeat(bags).repeat_interleave(counts.flatten())
    mean, spread = torch.tensor(_KINDS[test]).unbind(1)
    noise = torch.randn(len(kinds), dim, generator=generator)
    rows = mean[kinds, None] + spread[kinds, None] * noise
    segments = Segments.of_sizes(counts.sum(1))
    shuffled = segments.ranking(torch.rand(len(kinds), generator=generator))
    return BagBatch(rows[shuffled], segments), labels


def assumption_tests(
    make: Callable[[MilSize, Generator], MilModel],
    *,
    seed: int,
    budget: AssumptionBudget | None = None,
    tests: tuple[AssumptionTest, ...] = ASSUMPTION_TESTS,
) -> tuple[AssumptionResult, ...]:
    """Train a model anew for each test and say whether it respects the MIL assumption.

    A bag is positive because of what is in it. In the training bags of the first two tests a
    further instance marks the *negative* bags, which is easier to learn; a model that defaults to
    positive until it sees that mark has its labels turned round on test bags, where the positive
    ones have it. In the third, negative test bags hold many more instances of one concept than any
    training bag, so that a model that counts instead of asking for both concepts is turned round.
    A pass shows that this training at this budget did not take the shortcut, and no more. Of the
    last two, the right answer needs two concepts in one bag: a model of single instances cannot
    learn it fully. Max pooling, which cannot hold an instance against a bag, passes the first test,
    mostly learns nothing in the others ("cannot tell"), and where it learned one concept can fail
    the third: the largest of 40 noisy scores lies above the largest of two.

    Parameters
    ----------
    make
        Builds the untrained model of a size.
    seed
        Of weights, bags, their order and dropout.
    budget
        See `AssumptionBudget`. The paper's own (not checked) is larger.
    tests
        Which, in this order.

    Returns
    -------
    One result a test.

    References
    ----------
    Raff and Holt, Reproducibility in Multiple Instance Learning: A Case For Algorithmic Unit Tests,
    NeurIPS 2023, arXiv:2310.17867.

    Examples
    --------
    ::

        for result in assumption_tests(lambda size, g: Abmil(size, generator=g), seed=0):
            log.info(result.line())
    """
    budget = budget or AssumptionBudget()
    return tuple(_run(make, test, seed, budget) for test in tests)


def _run(
    make: Callable[[MilSize, Generator], MilModel],
    test: AssumptionTest,
    seed: int,
    budget: AssumptionBudget,
) -> AssumptionResult:
    number = ASSUMPTION_TESTS.index(test)
    size = MilSize(dim=budget.dim, width=budget.width, dropout=budget.dropout)
    place = {
        part: generator_for(seed, number, part) for part in (_WEIGHTS, _TRAIN, _LIKE, _TEST, _ORDER)
    }
    seen = assumption_bags(
        test, budget.train_bags, part="train", generator=place[_TRAIN], dim=budget.dim
    )
    like = assumption_bags(
        test, budget.test_bags, part="train", generator=place[_LIKE], dim=budget.dim
    )
    turned = assumption_bags(
        test, budget.test_bags, part="test", generator=place[_TEST], dim=budget.dim
    )
    with _own_randomness(seed_for(seed, number, _DROPOUT)):
        model = make(size, place[_WEIGHTS])
        _train(model, *seen, budget=budget, generator=place[_ORDER])
        train_auc, test_auc = _auc(model, *like), _auc(model, *turned)
    return AssumptionResult(
        test=test,
        train_auc=train_auc,
        test_auc=test_auc,
        respects=test_auc > _beyond_chance(turned[1]) if train_auc >= _LEARNED else None,
        seed=seed,
        budget=budget,
    )


def _train(
    model: MilModel,
    bags: BagBatch,
    labels: Tensor,
    *,
    budget: AssumptionBudget,
    generator: Generator,
) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=budget.lr)
    model.train()
    for _ in range(budget.steps):
        chosen = torch.randperm(len(bags), generator=generator)[: budget.batch].sort().values
        optimiser.zero_grad(set_to_none=True)
        loss = model.losses(model(_part(bags, chosen)), labels[chosen])["loss"]
        torch.autograd.backward(loss)
        optimiser.step()
    model.eval()


@torch.no_grad()
def _auc(model: MilModel, bags: BagBatch, labels: Tensor) -> float:
    parts = torch.split(torch.arange(len(bags)), _CHUNK)
    scores = [model(_part(bags, chosen)).probabilities[:, 1] for chosen in parts]
    return area_under_roc(torch.cat(scores).float(), labels == 1)


def _beyond_chance(labels: Tensor) -> float:
    """Return the AUC above which scores that know nothing lie once in 40 times."""
    positive, negative = int(labels.sum()), int((1 - labels).sum())
    deviation = ((positive + negative + 1) / (12 * positive * negative)) ** 0.5
    return 0.5 + _NORMAL * float(deviation)


def _part(bags: BagBatch, chosen: Int64[Tensor, " chosen"]) -> BagBatch:
    kept = torch.zeros(len(bags), dtype=torch.bool)
    kept[chosen] = True
    rows = bags.features[bags.segments.spread(kept)]
    return BagBatch(rows, Segments.of_sizes(bags.segments.sizes[chosen]))


def _counts(
    test: AssumptionTest, positive: Tensor, part: str, generator: Generator
) -> Int64[Tensor, "bags kinds"]:
    """Return how many instances of each kind each bag has."""

    def whole(least: int, most: int) -> Int64[Tensor, " bags"]:
        return torch.randint(least, most + 1, (len(positive),), generator=generator)

    coin = whole(0, 1)
    poison = (positive if part == "test" else ~positive).long()
    if test == "single-concept":
        total = whole(1, 4) * positive
        heads = torch.rand(len(positive), 4, generator=generator) < 0.5
        first = (heads & (torch.arange(4) < total[:, None])).sum(1)
        return torch.stack([poison, first, total - first, torch.full_like(total, 10)], 1)
    if test == "threshold":
        both, alone = whole(1, 4), torch.ones_like(coin)
    else:
        both, alone = whole(1, 2), whole(35, 45) if part == "test" else whole(1, 2)
        poison = torch.zeros_like(poison)
    other = whole(1, 2) if test == "false-frequency" else both
    first = torch.where(positive, both, alone * coin)
    second = torch.where(positive, other, alone * (1 - coin))
    return torch.stack([poison, first, second, whole(1, 10)], 1)


@contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """Seed torch's own generator, which dropout takes, and put it back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
