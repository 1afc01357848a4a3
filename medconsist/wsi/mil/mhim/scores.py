"""By what instances are ranked before some are hidden: the teacher's own scores, or given ones."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from medconsist.consistency.teacher import Teacher
from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.mhim.class_aware import class_aware_scores
from medconsist.wsi.mil.models.base import MilModel
from medconsist.wsi.mil.output import BagOutput

__all__ = ["ClassProbability", "InstanceScores", "Scores", "teacher_scores"]

Scores = Literal["attention", "class_aware", "class_aware_class_0", "given"]


#: Scores from elsewhere: any function of bags and their labels that returns one row an instance and
#: one column a head; more is easier. No gradient is taken.
InstanceScores: TypeAlias = Callable[[BagBatch, Tensor], Tensor]


class ClassProbability:
    """Probability of the bag's class at each instance, by a trained model; for MHIM driven by INS.

    Where the attention of a teacher says what its bag decision leant on, this says which instances
    show the class: the easy evidence of it is hidden.

    Parameters
    ----------
    model
        Of bags, with instance scores that are logits of classes; copied, and never trained here.

    Examples
    --------
    >>> from medconsist.wsi.mil.models.abmil import Abmil
    >>> from medconsist.wsi.mil.models.base import MilSize
    >>> scores = ClassProbability(Abmil(MilSize(dim=4, width=8), generator=torch.Generator()))
    >>> scores(BagBatch.of([torch.ones(3, 4)]), torch.tensor([1])).shape
    torch.Size([3, 1])
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = Teacher(model, rule="frozen")

    def __call__(
        self, bags: BagBatch, labels: Int64[Tensor, " bags"]
    ) -> Float[Tensor, "instances 1"]:
        """Return the softmax of the instance scores at the label of the bag.

        Raises
        ------
        RefusedInputError
            The model has no instance scores.
        """
        said = self._model.to(bags.features.device)(bags).instance_scores
        if said is None:
            name = type(self._model.model).__name__
            msg = f"{name} has no instance scores; give a model with an instance classifier."
            raise RefusedInputError(msg)
        wanted = bags.segments.spread(labels)[:, None]
        probability: Tensor = said.double().softmax(1).gather(1, wanted)
        return probability


@torch.no_grad()
def teacher_scores(
    scores: Scores, model: MilModel, embedded: BagBatch, output: BagOutput
) -> Float[Tensor, "instances heads"]:
    """Return what the teacher itself ranks instances by.

    Parameters
    ----------
    scores
        ``"attention"``: the model's ``hardness``, as v1. ``"class_aware"`` as v2, with the bias of
        each class; ``"class_aware_class_0"`` as released, see `class_aware_scores`.
    model, embedded, output
        The teacher, and what it says of the bags.

    Raises
    ------
    RefusedInputError
        Scores that the model cannot give.
    """
    match scores:
        case "attention":
            return model.hardness(embedded, output).detach()
        case "class_aware":
            return class_aware_scores(model, embedded, output)
        case "class_aware_class_0":
            return class_aware_scores(model, embedded, output, bias="class_0")
    msg = f"scores got {scores!r}: they are not the teacher's."
    raise RefusedInputError(msg)
