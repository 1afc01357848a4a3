"""What an instance may be, and what it is believed to be: candidate sets and soft labels."""

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

__all__ = ["SoftLabels", "named_class"]


def named_class(
    scores: Float[Tensor, "instances 2"],
    may_be_positive: Bool[Tensor, " instances"],
    *,
    least_positive: float | int = 0.0,
) -> Int64[Tensor, " instances"]:
    r"""Return :math:`\mathrm{argmax}_c\, p_c Y_c`, the best class within the candidate set.

    Parameters
    ----------
    scores
        Logits, or anything whose difference rises with the odds of class 1.
    may_be_positive
        Whether Y is {0, 1}, as of any instance of a positive slide; else it is {0}.
    least_positive
        Share of those that may be positive, rounded up, that is named so in any case: the ones with
        the highest odds.
    """
    odds = (scores[:, 1] - scores[:, 0]).detach().float()
    named = (odds > 0) & may_be_positive
    among = odds.masked_fill(~may_be_positive, -torch.inf)
    # ranks instead of a top-k, whose length would have to come from the device
    rank = among.argsort(descending=True, stable=True).argsort()
    least = torch.ceil(least_positive * may_be_positive.sum())
    return (named | ((rank < least) & may_be_positive)).long()


class SoftLabels(nn.Module):
    r"""Soft label :math:`s = (1 - u, u)` of every training instance; a buffer, so that it is saved.

    At first uniform over the candidate set: u = 1/2 for instances of positive slides, 0 for those
    of negative slides, where it stays. `move` is

    .. math:: s \leftarrow \varphi s + (1 - \varphi)\, \mathrm{onehot}(c)

    for the named instances, with c = 0 and u = 0 wherever the candidate set is {0}.

    Under ``torch.distributed`` every process moves the instances of all: all must call, with the
    same number of instances.

    Parameters
    ----------
    may_be_positive
        Whether the candidate set of each training instance is {0, 1}.

    Examples
    --------
    >>> labels = SoftLabels(torch.tensor([False, True]))
    >>> labels.move(torch.tensor([0, 1]), torch.tensor([0, 1]), phi=0.5)
    >>> labels(torch.tensor([0, 1])).tolist()
    [[1.0, 0.0], [0.25, 0.75]]
    """

    positive: Tensor
    may_be_positive: Tensor

    def __init__(self, may_be_positive: Bool[Tensor, " instances"]) -> None:
        super().__init__()
        self.register_buffer("positive", 0.5 * may_be_positive.float())
        self.register_buffer("may_be_positive", may_be_positive.clone(), persistent=False)

    def forward(self, number: Int64[Tensor, " batch"]) -> Float[Tensor, "batch 2"]:
        """Return the soft labels of some instances."""
        positive = self.positive[number]
        return torch.stack([1 - positive, positive], 1)

    @torch.no_grad()
    def move(
        self, number: Int64[Tensor, " batch"], named: Int64[Tensor, " batch"], *, phi: float | int
    ) -> None:
        """Move the labels of some instances, each given once, towards the class named."""
        number, named = _of_all_processes(number), _of_all_processes(named)
        moved = phi * self.positive[number] + (1 - phi) * named
        self.positive[number] = torch.where(self.may_be_positive[number], moved, 0.0)


def _of_all_processes(rows: Tensor) -> Tensor:
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)
