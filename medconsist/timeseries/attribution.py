"""Which windows an answer rests on: by attention, by leaving each out, and whether both agree."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.report import Estimate
from medconsist.metrics.resampling import Resampling, Units, bootstrap

__all__ = ["Attribution", "OnePatient", "attribute"]

_AT_ONCE = 2**22  # numbers of a block of questions that are held at once
_DELETED = (0.1, 0.2, 0.3, 0.5)  # shares of the windows that a deletion check leaves out
_FEWEST = 4  # windows, below which an order of them says nothing
_RESAMPLES = 499


@dataclass(frozen=True, eq=False)
class OnePatient:
    """The windows of one patient, which can be left out again and again without the network.

    Parameters
    ----------
    logits
        Of each window, before the temperature.
    scores
        Of attention, before its softmax.
    trial
        Number of the trial of each window.
    temperature
        Of the model.

    Examples
    --------
    >>> one = OnePatient(torch.tensor([[0.0, 2.0], [0.0, 0.0]]).double(), torch.zeros(2).double(),
    ...                  torch.tensor([0, 0]), temperature=1.0)
    >>> one.probabilities().round(decimals=3).tolist()
    [0.269, 0.731]
    """

    logits: Float64[Tensor, "windows classes"]
    scores: Float64[Tensor, " windows"]
    trial: Int64[Tensor, " windows"]
    temperature: float

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.logits)

    @property
    def attention(self) -> Float64[Tensor, " windows"]:
        """Share of each window in the answer; they sum to 1."""
        shares = self._risen / self._sizes
        return shares / shares.sum()

    def probabilities(self) -> Float64[Tensor, " classes"]:
        """Return those of the patient."""
        return self.without(torch.ones(1, len(self), dtype=torch.bool))[0]

    def without(
        self, kept: Bool[Tensor, "questions windows"]
    ) -> Float64[Tensor, "questions classes"]:
        """Return the probabilities of the patient with only some windows, question by question.

        Trials that keep a window still have the same say, as if the others had never been there.

        Raises
        ------
        RefusedInputError
            A question that keeps no window.
        """
        if not bool(kept.any(1).all()):
            msg = "a question leaves out all windows; keep one or more."
            raise RefusedInputError(msg)
        rows = max(1, _AT_ONCE // len(self))
        return torch.cat([self._answers(block) for block in torch.split(kept, rows)])

    def interval(self, shown: int, *, generator: Generator) -> Estimate:
        """Return the probability of a class with its interval over this patient's own trials.

        Trials are drawn again with replacement (windows, where there is one trial). It says how
        much the answer hangs on which trials were recorded: nothing of whether the model is right,
        and nothing of other days.
        """
        several = len(torch.unique(self.trial)) > 1
        units = self.trial if several else torch.arange(len(self))
        weight, values = self._risen / self._sizes, self.logits

        def figure(rows: Tensor) -> float:
            pooled = weight[rows] @ values[rows] / weight[rows].sum()
            return float((pooled / self.temperature).softmax(0)[shown])

        return bootstrap(
            figure,
            Units(of_row=units, name="trial" if several else "window"),
            generator=generator,
            plan=Resampling(resamples=_RESAMPLES, method="percentile"),
        )

    def halves(self, shown: int, *, repeats: int = 16, generator: Generator) -> float | None:
        """Return how far the answers of two halves differ, mean over random halves.

        Halves of the trials, or of the windows where there is one trial; None with one window.
        """
        units = self._place if self._trials > 1 else torch.arange(len(self))
        count = int(units.max()) + 1
        if count < 2:
            return None
        gaps = []
        for _ in range(repeats):
            half = torch.zeros(count, dtype=torch.bool)
            half[torch.randperm(count, generator=generator)[: count // 2]] = True
            first, second = self.without(torch.stack([half[units], ~half[units]]))[:, shown]
            gaps.append(float((first - second).abs()))
        return sum(gaps) / repeats

    def _answers(self, kept: Bool[Tensor, "questions windows"]) -> Tensor:
        there = kept.double()
        sizes = there.new_zeros(len(kept), self._trials).index_add_(1, self._place, there)
        shares = there * self._risen / sizes.clamp(min=1.0)[:, self._place]
        pooled = shares @ self.logits / shares.sum(1, keepdim=True)
        return (pooled / self.temperature).softmax(1)

    @cached_property
    def _risen(self) -> Tensor:
        # limited, so that a patient without the one window that outweighs all still has an answer
        return (self.scores - self.scores.max()).clamp(min=-600.0).exp()

    @cached_property
    def _place(self) -> Tensor:
        return torch.unique(self.trial, return_inverse=True)[1]

    @cached_property
    def _trials(self) -> int:
        return int(self._place.max()) + 1

    @cached_property
    def _sizes(self) -> Tensor:
        return torch.bincount(self._place)[self._place].double()


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribution:
    """What each window contributes to the probability of the shown class.

    Parameters
    ----------
    attention
        Share of the window in the attention, times the number of windows: 1 is even. No sign.
    occlusion
        Probability of the patient less that without this window: above 0 speaks for the class.
    agreement
        Rank correlation (Spearman) of attention and the size of occlusion, -1 to 1; None with
        fewer than 4 windows, or where one of them has no order.
    deletion
        By ``"attention"`` and ``"occlusion"``: how much more the probability moves when the
        highest 10, 20, 30 and 50 % of windows are left out than when random ones are, on
        average; at or below 0 the order says no more than chance. Empty with fewer than 4 windows.

    Examples
    --------
    >>> one = torch.ones(1).double()
    >>> Attribution(attention=one, occlusion=0 * one, agreement=None, deletion={}).deletion
    {}
    """

    attention: Float64[Tensor, " windows"]
    occlusion: Float64[Tensor, " windows"]
    agreement: float | None
    deletion: dict[str, float]


def attribute(
    patient: OnePatient, shown: int, *, repeats: int = 16, generator: Generator
) -> Attribution:
    """Return the windows that an answer rests on, in two ways, and whether these can be believed.

    Parameters
    ----------
    patient
        Their windows; of one window alone occlusion is NaN.
    shown
        The class.
    repeats
        Random orders that a deletion is compared with.
    generator
        Of these.
    """
    n = len(patient)
    attention = patient.attention * n
    whole = patient.probabilities()[shown]
    if n == 1:
        nothing = torch.full((1,), torch.nan, dtype=torch.float64)
        return Attribution(attention=attention, occlusion=nothing, agreement=None, deletion={})
    occlusion = whole - _left_out(patient)[:, shown]
    if n < _FEWEST:
        return Attribution(attention=attention, occlusion=occlusion, agreement=None, deletion={})

    def moved(order: Tensor) -> float:
        kept = torch.ones(len(_DELETED), n, dtype=torch.bool)
        for row, share in enumerate(_DELETED):
            kept[row, order[: max(1, int(share * n))]] = False
        return float((patient.without(kept)[:, shown] - whole).abs().mean())

    random = [moved(torch.randperm(n, generator=generator)) for _ in range(repeats)]
    chance = sum(random) / repeats
    by = {"attention": attention, "occlusion": occlusion.abs()}
    return Attribution(
        attention=attention,
        occlusion=occlusion,
        agreement=_spearman(attention, occlusion.abs()),
        deletion={name: moved(_falling(one)) - chance for name, one in by.items()},
    )


def _left_out(patient: OnePatient) -> Float64[Tensor, "windows classes"]:
    """Return the answers without each window, a block of windows at a time."""
    n = len(patient)
    rows = max(1, _AT_ONCE // n)
    every = torch.arange(n)
    return torch.cat([patient.without(every != left[:, None]) for left in torch.split(every, rows)])


def _falling(values: Tensor) -> Tensor:
    return values.argsort(descending=True, stable=True)


def _spearman(first: Tensor, second: Tensor) -> float | None:
    """Return the correlation of ranks, equal values sharing their mean rank."""
    ranks = torch.stack([_ranks(first), _ranks(second)])
    if float(ranks.std(1).min()) == 0:
        return None
    return float(torch.corrcoef(ranks)[0, 1])


def _ranks(values: Tensor) -> Tensor:
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[place]
