"""What INS remembers while it learns, and the losses of a batch of instances."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from medconsist.consistency.agreement import soft_ce
from medconsist.consistency.prototypes import RingBank
from medconsist.consistency.teacher import Teacher
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.contrasts import family_contrast, own_key_contrast
from medconsist.wsi.mil.ins.instances import InstanceModel
from medconsist.wsi.mil.ins.soft_labels import SoftLabels, named_class

__all__ = ["InsMemory", "InstanceViews"]


@dataclass(frozen=True, eq=False)
class InstanceViews:
    """Two views of each of some training instances.

    Parameters
    ----------
    weak, strong
        What is shown to the encoder and to its slow average.
    number
        Of each instance among those of the training, each once.
    step
        Optimiser steps done when they were drawn.

    Examples
    --------
    >>> import torch
    >>> InstanceViews(torch.zeros(1, 4), torch.ones(1, 4), torch.tensor([7]), step=0).step
    0
    """

    weak: Float[Tensor, "instances ..."]
    strong: Float[Tensor, "instances ..."]
    number: Int64[Tensor, " instances"]
    step: int


class InsMemory(nn.Module):
    r"""The slow encoder, the bank of its keys and the soft labels; all of it is in buffers.

    With ``q`` the projection of the weak view, ``k`` the slow encoder's of the strong one, and the
    candidate sets Y of `SoftLabels`, a step is

    1. the slow encoder moves, once a step;
    2. :math:`\hat y = \mathrm{argmax}\; \mathrm{softmax}(f(x)) Y` names query and key;
    3. after the warm-up, soft labels move to
       :math:`\mathrm{argmax}\; \mathrm{softmax}(q \mu^T) Y`, with the prototypes :math:`\mu` as
       they were before this step;
    4. the prototypes move by (q, ŷ). `Prototypes` is the mean over all orders of INS's loop over
       the rows, :math:`\mu_{\hat y} \leftarrow m \mu_{\hat y} + (1 - m) q`, whose outcome depends
       on the order, and then of unit length. They move in the warm-up too, and are used after it;
    5. the loss :math:`-\overline{\sum_c s_c \log p_c} + w L_\mathrm{con}`, p before the candidate
       sets, with `own_key_contrast` in the warm-up and `family_contrast` after it;
    6. the bank takes the keys with their names.

    Parameters
    ----------
    instances
        The model that learns; its encoder and projector are copied.
    may_be_positive
        Whether the candidate set of each training instance is {0, 1}.
    config
        See `InsConfig`.

    References
    ----------
    Qu et al., INS, IEEE TCSVT 2024, arXiv:2307.02249; the steps are those of its released code,
    whose relation to the paper's text is unverified.

    Examples
    --------
    >>> import torch
    >>> config = InsConfig(bank=16)
    >>> model = InstanceModel(nn.Linear(4, 8), 8, config, generator=torch.Generator())
    >>> InsMemory(model, torch.tensor([False, True]), config).soft_labels.positive.tolist()
    [0.0, 0.5]
    """

    def __init__(
        self,
        instances: InstanceModel,
        may_be_positive: Bool[Tensor, " instances"],
        config: InsConfig,
    ) -> None:
        super().__init__()
        self.config = config
        # keys share the statistics of their batch, as the queries do; of use to a ResNet only
        self.teacher = Teacher(instances.branch, config.momentum, bn="batch")
        self.bank = RingBank(config.bank, config.projection, {"named": 0})
        self.soft_labels = SoftLabels(may_be_positive)

    def losses(self, instances: InstanceModel, views: InstanceViews) -> dict[str, Tensor]:
        """Return ``instance``, ``contrast`` and, for the log, ``named_positive``; move the state.

        Parameters
        ----------
        instances
            What this memory was made of.
        views
            The batch.

        Returns
        -------
        dict
            The first two are to be added up with `InsConfig.contrast_weight`; the third is the
            share named positive among those that may be: 0 or 1 for long is a collapse.
        """
        # once a step, also where several micro-batches make one
        if int(self.teacher.updates) <= views.step:
            self.teacher.update(instances.branch)
        _, logits, queries = instances(views.weak)
        _, keys = self.teacher(views.strong)
        allowed = self.soft_labels.may_be_positive[views.number]
        named = named_class(logits, allowed, least_positive=self.config.least_positive)
        by_prototype = named_class(instances.prototypes.logits(queries.detach()), allowed)
        instances.prototypes.update(queries.detach(), named)
        contrast = self._contrast(queries, keys, named, views.step)
        if views.step >= self.config.warmup:
            self.soft_labels.move(views.number, by_prototype, phi=self.config.phi(views.step))
        return {
            "instance": soft_ce(logits.float(), self.soft_labels(views.number).log()),
            "contrast": contrast,
            "named_positive": named.sum() / allowed.sum().clamp(min=1),
        }

    def _contrast(self, queries: Tensor, keys: Tensor, named: Tensor, step: int) -> Tensor:
        old, tau = self.bank.read(), self.config.temperature
        self.bank.push(keys, named=named)
        if step < self.config.warmup:
            return own_key_contrast(queries, keys, old["z"], tau=tau)
        return family_contrast(queries, keys, old["z"], named, old["named"], tau=tau)
