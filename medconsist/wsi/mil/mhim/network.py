"""Student, teacher and merge in one module; what it says of a bag is the student's word."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Generator, Tensor, nn

from medconsist.consistency.schedules import Schedule, cosine
from medconsist.consistency.teacher import Teacher
from medconsist.errors import RefusedInputError
from medconsist.training.weights import StoredWeights, load_state
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.mhim.config import MhimConfig
from medconsist.wsi.mil.mhim.merge import GlobalMerge
from medconsist.wsi.mil.models.base import MilModel
from medconsist.wsi.mil.output import BagOutput

__all__ = ["MhimNetwork", "student_state", "teacher_momentum"]

_STUDENT = "student."


class MhimNetwork(nn.Module):
    """The student that learns, the teacher that averages it, and v2's merge.

    ``forward`` is the student on whole bags, without mask and merge: so MHIM-MIL is evaluated.

    Parameters
    ----------
    student
        What learns.
    trained
        Model of the same architecture, where the teacher starts; copied.
    config
        See `MhimConfig`.
    generator
        Source of the merge's first weights.

    Examples
    --------
    >>> from medconsist.wsi.mil.models.abmil import Abmil
    >>> from medconsist.wsi.mil.models.base import MilSize
    >>> model = Abmil(MilSize(dim=4, width=8), generator=Generator())
    >>> MhimNetwork(model, model, MhimConfig(), generator=Generator()).merge is None
    True
    """

    def __init__(
        self, student: MilModel, trained: MilModel, config: MhimConfig, *, generator: Generator
    ) -> None:
        super().__init__()
        self.student = student
        self.teacher = Teacher(
            trained, teacher_momentum(config), buffers="ema", dropout=config.teacher_dropout
        )
        self.merge = (
            None
            if config.merge is None
            else GlobalMerge(student.size.width, config.merge, generator=generator)
        )
        # the teacher's dropout follows; it was built in eval mode
        self.train()

    @classmethod
    def from_baseline(
        cls,
        make: Callable[[Generator], nn.Module],
        baseline: StoredWeights,
        config: MhimConfig,
        generator: Generator,
    ) -> "MhimNetwork":
        """Return a network whose teacher is a trained model of the same architecture.

        The released code prints what went wrong with the teacher's file and trains on with a random
        one; here nothing is built then.

        Parameters
        ----------
        make
            Builds the untrained student.
        baseline
            Weights of a plain model, or of a whole run of MHIM-MIL, whose student is taken.
        config, generator
            As of the class.

        Raises
        ------
        RefusedInputError
            The weights belong to another network, or the model is none of bags.
        """
        student = make(generator)
        if not isinstance(student, MilModel):
            msg = f"make returned {type(student).__name__}; allowed: a model of bags (MilModel)."
            raise RefusedInputError(msg)
        trained = copy.deepcopy(student)
        load_state(trained, student_state(baseline.state), "The teacher's baseline")
        if config.student_start == "fc":
            first, taught = _first_linear(student), _first_linear(trained)
            first.load_state_dict(taught.state_dict())
        return cls(student, trained, config, generator=generator)

    def forward(self, bags: BagBatch) -> BagOutput:
        """Return what the student says of whole bags."""
        said: BagOutput = self.student(bags)
        return said


def student_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the student's part of a run's weights; weights of a plain model as they are.

    Examples
    --------
    >>> import torch
    >>> list(student_state({"student.w": torch.ones(1), "teacher.model.w": torch.ones(1)}))
    ['w']
    """
    inner = {n.removeprefix(_STUDENT): v for n, v in state.items() if n.startswith(_STUDENT)}
    return inner or dict(state)


def teacher_momentum(config: MhimConfig) -> float | Schedule:
    """Return the teacher's share of the old value, constant or by its update.

    Raises
    ------
    RefusedInputError
        It has a course, and ``steps`` is None.
    """
    if config.momentum_course == "constant":
        return float(config.momentum)
    if config.steps is None:
        msg = "The teacher's momentum rises over the run, and steps is None; call over(steps)."
        raise RefusedInputError(msg)
    return _FromFirstUpdate(cosine(config.momentum, 1.0, config.steps))


@dataclass(frozen=True)
class _FromFirstUpdate:
    """A schedule of iterations, which start at 0, for updates, which start at 1."""

    schedule: Schedule

    def __call__(self, update: int) -> float:
        return self.schedule(update - 1)


def _first_linear(model: nn.Module) -> nn.Linear:
    for part in model.modules():
        if isinstance(part, nn.Linear):
            return part
    msg = f"{type(model).__name__} has no linear layer to start with; take student_start='random'."
    raise RefusedInputError(msg)
