"""The two contrasts of INS: own key against the bank, then families of one class."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from medconsist.consistency.contrast import info_nce, positives_from_ids

__all__ = ["family_contrast", "own_key_contrast"]


def own_key_contrast(
    queries: Float[Tensor, "batch width"],
    keys: Float[Tensor, "batch width"],
    bank: Float[Tensor, "entries width"],
    *,
    tau: float | int,
) -> Float[Tensor, ""]:
    r"""Return MoCo's InfoNCE, the contrast of the warm-up (He et al. 2020, arXiv:1911.05722).

    :math:`-\log e^{q k / \tau} / (e^{q k / \tau} + \sum_b e^{q b / \tau})`, mean over the batch;
    keys of other instances of the batch take no part. An empty bank gives exactly 0.

    Parameters
    ----------
    queries, keys, bank
        Of unit length; keys and bank without gradient.
    tau
        Temperature, positive.
    """
    itself = torch.eye(len(queries), dtype=torch.bool, device=queries.device)
    in_bank = itself.new_zeros(len(queries), len(bank))
    own, others = torch.cat([itself, in_bank], 1), torch.cat([~itself, in_bank], 1)
    return info_nce(queries, torch.cat([keys, bank]), own, others, tau=tau, normalize=False)


def family_contrast(
    queries: Float[Tensor, "batch width"],
    keys: Float[Tensor, "batch width"],
    bank: Float[Tensor, "entries width"],
    named: Int64[Tensor, " batch"],
    bank_named: Int64[Tensor, " entries"],
    *,
    tau: float | int,
) -> Float[Tensor, ""]:
    """Return INS's weakly supervised contrast: SupCon over queries, keys and bank.

    Anchors are the queries. The family of an anchor are all entries of the class it is named, the
    anchor itself left out; its own key is named as it is, so that no family is empty. In the
    released code the bank starts with random vectors of random classes, which belong to families
    until it has filled; here only what was written is read.

    Parameters
    ----------
    queries, keys, bank
        Of unit length; keys and bank without gradient.
    named, bank_named
        Class of each query and of its key, and of the entries of the bank.
    tau
        Temperature, positive.
    """
    entries = torch.cat([queries, keys, bank])
    family = positives_from_ids(named, torch.cat([named, named, bank_named]))
    itself = torch.zeros_like(family).fill_diagonal_(fill_value=True)
    return info_nce(queries, entries, family, itself, tau=tau, normalize=False)
