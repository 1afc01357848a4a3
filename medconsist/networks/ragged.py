"""Sets of different sizes, their rows one after the other: softmax, sums and maxima of each set."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["Segments"]


@dataclass(frozen=True, eq=False)
class Segments:
    """Which rows belong to which set; set ``s`` has the rows ``offsets[s]`` to ``offsets[s + 1]``.

    All results have the dtype of what is given; sums are made in float32 at least, so that half
    precision loses nothing over 100,000 rows. A single set takes the plain operations of torch.

    Parameters
    ----------
    offsets
        First row of each set, from 0, and the number of all rows at the end; strictly increasing,
        as an empty set has no mean and no maximum.

    Raises
    ------
    RefusedInputError
        No set, an empty one, or offsets that do not start at 0.

    Examples
    --------
    >>> two = Segments.of_sizes([1, 2])
    >>> two.softmax(torch.zeros(3)).tolist(), two.sum(torch.ones(3, 1)).tolist()
    ([1.0, 0.5, 0.5], [[1.0], [2.0]])
    """

    offsets: Int64[Tensor, " sets_and_end"]

    def __post_init__(self) -> None:
        sizes = self.offsets.diff()
        if not len(sizes) or int(self.offsets[0]) != 0 or int(sizes.min()) < 1:
            msg = (
                f"offsets got {self.offsets.tolist()[:8]}; allowed: 0 first, then strictly "
                "increasing, one more number than sets. Leave empty sets out."
            )
            raise RefusedInputError(msg)

    @classmethod
    def of_sizes(
        cls, sizes: "list[int] | Int64[Tensor, ' sets']", *, device: torch.device | None = None
    ) -> "Segments":
        """Return the segments of sets of these sizes."""
        counts = torch.as_tensor(sizes, dtype=torch.int64, device=device)
        return cls(torch.cat([counts.new_zeros(1), counts.cumsum(0)]))

    def __len__(self) -> int:
        """Return the number of sets."""
        return len(self.offsets) - 1

    @cached_property
    def rows(self) -> int:
        """Number of rows of all sets."""
        return int(self.offsets[-1])

    @cached_property
    def longest(self) -> int:
        """Number of rows of the largest set."""
        return int(self.sizes.max())

    @cached_property
    def sizes(self) -> Int64[Tensor, " sets"]:
        """Number of rows of each set."""
        return self.offsets.diff()

    @cached_property
    def owner(self) -> Int64[Tensor, " rows"]:
        """The set of each row."""
        sets = torch.arange(len(self), device=self.offsets.device)
        return sets.repeat_interleave(self.sizes, output_size=self.rows)

    def to(self, device: torch.device | str) -> "Segments":
        """Return the same segments on another device."""
        return Segments(self.offsets.to(device))

    def spread(self, values: Shaped[Tensor, "sets ..."]) -> Shaped[Tensor, "rows ..."]:
        """Return for each row the value of its set."""
        if len(self) == 1:
            return values.expand(self.rows, *values.shape[1:])
        return values[self.owner]

    def sum(self, values: Float[Tensor, "rows ..."]) -> Float[Tensor, "sets ..."]:
        """Return the sum over the rows of each set."""
        self._check(values)
        wide = values.to(_wide(values.dtype))
        if len(self) == 1:
            return wide.sum(0, keepdim=True).to(values.dtype)
        total = wide.new_zeros(len(self), *values.shape[1:])
        return total.index_add(0, self.owner, wide).to(values.dtype)

    def mean(self, values: Float[Tensor, "rows ..."]) -> Float[Tensor, "sets ..."]:
        """Return the mean over the rows of each set."""
        wide = values.to(_wide(values.dtype))
        sizes = self.sizes.view(-1, *[1] * (values.ndim - 1))
        return (self.sum(wide) / sizes).to(values.dtype)

    def max(self, values: Float[Tensor, "rows ..."]) -> Float[Tensor, "sets ..."]:
        """Return the largest value of each set; its gradient goes to the first row that has it."""
        return values.gather(0, self.argmax(values))

    def argmax(self, values: Float[Tensor, "rows ..."]) -> Int64[Tensor, "sets ..."]:
        """Return the row of the largest value of each set; among equal ones the first.

        A NaN counts as the largest, as in torch.
        """
        self._check(values)
        shape = values.shape[1:]
        best = self._most(values.detach())
        rows = torch.arange(self.rows, device=values.device).view(-1, *[1] * len(shape))
        found = (values.detach() == self.spread(best)) | values.isnan()
        rows = torch.where(found, rows, self.rows).expand_as(values)
        first = rows.new_full((len(self), *shape), self.rows)
        owner = self.owner.view(-1, *[1] * len(shape)).expand_as(values)
        return first.scatter_reduce(0, owner, rows, "amin")

    def softmax(self, scores: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
        """Return ``exp(s_i) / sum exp(s_j)`` over the rows of each set."""
        self._check(scores)
        wide = scores.to(_wide(scores.dtype))
        if len(self) == 1:
            return wide.softmax(0).to(scores.dtype)
        risen = (wide - self.spread(self._most(wide.detach()))).exp()
        return (risen / self.spread(self.sum(risen))).to(scores.dtype)

    def weighted_sum(
        self, weights: Float[Tensor, "rows heads"], values: Float[Tensor, "rows width"]
    ) -> Float[Tensor, "sets heads width"]:
        """Return ``sum_i w_ih v_i`` of each set and head, without rows x heads x width numbers."""
        self._check(weights)
        self._check(values)
        if len(self) == 1:
            wide = _wide(values.dtype)
            return (weights.to(wide).T @ values.to(wide)).to(values.dtype)[None]
        return torch.stack([self.sum(head[:, None] * values) for head in weights.unbind(1)], 1)

    def ranking(self, values: Float[Tensor, " rows"]) -> Int64[Tensor, " rows"]:
        """Return the rows of each set by falling value, set after set; equal ones by row."""
        self._check(values)
        order = values.argsort(descending=True, stable=True)
        if len(self) == 1:
            return order
        return order[self.owner[order].argsort(stable=True)]

    def _most(self, values: Tensor) -> Tensor:
        owner = self.owner.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
        least = values.new_full((len(self), *values.shape[1:]), -torch.inf)
        return least.scatter_reduce(0, owner, values, "amax")

    def _check(self, values: Tensor) -> None:
        if values.ndim == 0 or len(values) != self.rows:
            msg = f"got values of shape {tuple(values.shape)}; these sets have {self.rows} rows."
            raise ShapeError(msg)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
