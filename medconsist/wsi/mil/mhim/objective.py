"""Training by MHIM-MIL: labels, and the agreement with a teacher that saw the whole bag."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from medconsist.consistency.agreement import gate_correct, soft_ce
from medconsist.consistency.teacher import Teacher
from medconsist.errors import RefusedInputError
from medconsist.training.draws import Place
from medconsist.training.weights import StoredWeights
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.mhim.config import MhimConfig
from medconsist.wsi.mil.mhim.masking import mhim_mask
from medconsist.wsi.mil.mhim.network import MhimNetwork
from medconsist.wsi.mil.mhim.scores import InstanceScores, teacher_scores
from medconsist.wsi.mil.models.base import MilModel
from medconsist.wsi.mil.objective import DrawnBags, MilObjective, Sampling
from medconsist.wsi.mil.output import BagOutput

__all__ = ["MhimBags", "MhimObjective", "TeacherView"]

_SEEDS = 2**31 - 1
_CASES = "cases_sha256"  # in what weights say about themselves


@dataclass(frozen=True, eq=False)
class TeacherView:
    """What the teacher says of whole bags.

    Parameters
    ----------
    output
        Without a graph.
    scores
        By which instances are hidden.

    Examples
    --------
    >>> said = BagOutput(logits=torch.zeros(1, 2), features=torch.zeros(1, 8))
    >>> TeacherView(said, torch.zeros(3, 1)).scores.shape
    torch.Size([3, 1])
    """

    output: BagOutput
    scores: Float[Tensor, "instances heads"]


@dataclass(frozen=True, eq=False)
class MhimBags(DrawnBags):
    """One batch.

    Parameters
    ----------
    bags, labels, step
        As of `DrawnBags`.
    seed
        Of its masks.
    view
        What a future teacher says of it; None asks the present one.

    Examples
    --------
    >>> from medconsist.wsi.mil.bag_batch import BagBatch
    >>> bags = BagBatch.of([torch.zeros(2, 4)])
    >>> MhimBags(bags, torch.tensor([1]), step=0, seed=3).view is None
    True
    """

    seed: int = 0
    view: TeacherView | None = None


class MhimObjective(MilObjective):
    r"""A student on part of each bag, its teacher on all of it.

    .. math:: L = L_{model} + \alpha\, H(\mathrm{softmax}(z_t / \tau_t),
        \mathrm{softmax}(z_s / \tau_s))

    with the bag features z of teacher and student (of each class branch of DSMIL, whose terms are
    averaged) and the model's own loss on labels. The teacher is the moving average of the student,
    moved after each step, before the next one looks at it. Scores of `evaluate`, and the weights
    that a run is chosen by, are the student's on whole bags.

    The student embeds only what it sees: instances are embedded each by itself, so that hiding them
    before or after the embedding is the same but for the numbers of dropout, and costs less.

    Parameters
    ----------
    make
        Builds the untrained student from a generator.
    baseline
        Trained weights of the same architecture, where the teacher starts: a run of `MilObjective`
        on the same training cases.
    config
        See `MhimConfig`; with its courses over the steps of the run.
    train, validation
        As of `MilObjective`.
    scores
        With ``config.scores="given"``: what instances are ranked by.
    sampling, architecture, about
        As of `MilObjective`.

    Raises
    ------
    RefusedInputError
        A course without steps, scores given and not asked for or the reverse, a baseline that says
        it was trained on other cases, and what `MilObjective` refuses; a baseline of another
        network when the student is built.

    References
    ----------
    Tang et al. 2023, arXiv:2307.15254 (v1); 2025, arXiv:2509.11526 (v2).

    Examples
    --------
    ::

        baseline = read_weights(Path("baseline/weights.safetensors"))
        config = PRESETS["c16-abmil"].over(steps=2000)
        objective = MhimObjective(make, baseline, config, train, validation)
        fit(objective, TrainConfig(steps=2000, lr=2e-4), Path("mhim"), recipe={})
    """

    def __init__(
        self,
        make: Callable[[Generator], nn.Module],
        baseline: StoredWeights,
        config: MhimConfig,
        train: Cohort,
        validation: Cohort | None = None,
        *,
        scores: InstanceScores | None = None,
        sampling: Sampling | None = None,
        architecture: Mapping[str, Any] | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        if config.needs_steps:
            msg = "The mask or the teacher's momentum has a course; call config.over(steps) first."
            raise RefusedInputError(msg)
        if (config.scores == "given") != (scores is not None):
            msg = (
                f"config.scores is {config.scores!r} and scores are "
                f"{'not given' if scores is None else 'given'}; give them with 'given' only."
            )
            raise RefusedInputError(msg)
        super().__init__(
            make, train, validation, sampling=sampling, architecture=architecture, about=about
        )
        self.config = config
        self._baseline = baseline
        self._scores = scores
        self._refuse_other_cases()

    def build(self, generator: Generator) -> MhimNetwork:
        """Return student and teacher.

        Raises
        ------
        RefusedInputError
            The baseline belongs to another network.
        """
        return MhimNetwork.from_baseline(self._make, self._baseline, self.config, generator)

    def draw_at(self, generator: Generator, place: Place) -> MhimBags:
        """Return the next bags, and the seed of their masks."""
        drawn = super().draw_at(generator, place)
        seed = int(torch.randint(_SEEDS, (1,), generator=generator))
        return MhimBags(drawn.bags, drawn.labels, drawn.step, seed)

    def prepare(
        self, network: nn.Module, batch: MhimBags, optimizer: torch.optim.Optimizer
    ) -> MhimBags:
        """Return the batch with what the future teacher says of it; as it is without look-ahead.

        The virtual steps see the same batch under the same mask seed. Their gradients are not
        clipped, to which Adam is nearly blind.

        Raises
        ------
        RefusedInputError
            Several processes: the gradients of virtual steps are not shared.
        """
        if not self.config.lookahead:
            return batch
        if torch.distributed.is_initialized():
            msg = "Look-ahead trains on one device; set devices to 1, or lookahead to 0."
            raise RefusedInputError(msg)
        assert isinstance(network, MhimNetwork)  # noqa: S101  what build returned
        _advance(network, batch.step)

        def virtual(future: Teacher) -> None:
            optimizer.zero_grad()
            loss, _ = self._against(network, batch, self._view(future, batch))
            loss["loss"].backward()  # type: ignore[no-untyped-call]  # untyped in torch
            optimizer.step()

        ahead = network.teacher.lookahead(
            network.student, optimizer, virtual, self.config.lookahead
        )
        with ahead as future:
            view = self._view(future, batch)
        return replace(batch, view=view)

    def losses(self, network: nn.Module, batch: DrawnBags) -> dict[str, Tensor]:
        """Return the model's own losses, ``agreement``, the share ``seen``, and their ``loss``."""
        assert isinstance(network, MhimNetwork)  # noqa: S101  what build returned
        assert isinstance(batch, MhimBags)  # noqa: S101  what draw_at returned
        _advance(network, batch.step)
        view = self._view(network.teacher, batch) if batch.view is None else batch.view
        losses, tokens = self._against(network, batch, view)
        if network.merge is not None and tokens is not None:
            network.merge.remember(tokens)
        return losses

    def architecture(self) -> dict[str, Any]:
        """Return what builds the student again, and how it was trained."""
        return {"network": "mhim", "student": super().architecture(), "mhim": asdict(self.config)}

    def about(self) -> dict[str, str]:
        """Return what the weights have seen."""
        return super().about() | {
            "method": f"MHIM-MIL {self.config.version}",
            "teacher_sha256": self._baseline.sha256,
        }

    def _refuse_other_cases(self) -> None:
        """Refuse a teacher that may have learnt from cases that judge the student."""
        mine, theirs = super().about().get(_CASES), self._baseline.about.get(_CASES)
        if mine != theirs and theirs is not None:
            msg = (
                f"The teacher's baseline was trained on other cases ({_CASES} {theirs[:12]}..., "
                f"here {(mine or 'none')[:12]}...), maybe on those that judge the student. Train "
                "it on the training cases of this run."
            )
            raise RefusedInputError(msg)

    def model_of(self, network: nn.Module) -> MilModel:
        """Return the student."""
        assert isinstance(network, MhimNetwork)  # noqa: S101  what build returned
        return network.student

    @torch.no_grad()
    def _view(self, teacher: Teacher, batch: MhimBags) -> TeacherView:
        model = teacher.model
        assert isinstance(model, MilModel)  # noqa: S101  a copy of the student
        embedded = model.embed(batch.bags)
        output = model.pool(embedded)
        if self._scores is not None:
            scores = self._scores(batch.bags, batch.labels)
        else:
            scores = teacher_scores(self.config.scores, model, embedded, output)
        return TeacherView(output.detach(), scores.detach())

    def _against(
        self, network: MhimNetwork, batch: MhimBags, view: TeacherView
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        config, student, tokens = self.config, network.student, None
        device = batch.bags.features.device
        generator = torch.Generator(device).manual_seed(batch.seed)
        keep = mhim_mask(view.scores, batch.bags.segments, config.mask, batch.step, generator)
        seen = student.embed(batch.bags.keep(keep))
        if network.merge is not None:
            merged = network.merge(seen, generator)
            seen, tokens = merged.bags, merged.tokens
        output = student.pool(seen)
        losses = student.losses(output, batch.labels)
        agreement = self._agreement(student, output, view.output, batch.labels)
        total = losses.pop("loss") + config.alpha * agreement
        return {
            **losses,
            "agreement": agreement,
            "seen": keep.float().mean(),
            "loss": total,
        }, tokens

    def _agreement(
        self, student: MilModel, said: BagOutput, taught: BagOutput, labels: Int64[Tensor, " bags"]
    ) -> Tensor:
        config, width = self.config, student.size.width
        weight = gate_correct(taught.logits, labels) if config.gate == "correct" else None
        return soft_ce(
            _branches(said.features, width),
            _branches(taught.features, width),
            config.tau_teacher,
            config.tau_student,
            weight=None if weight is None else weight[:, None, None],
        )


def _advance(network: MhimNetwork, step: int) -> None:
    """Average the student of the step before, once, also where micro-batches make a step."""
    if int(network.teacher.updates) < step:
        network.teacher.update(network.student)


def _branches(features: Tensor, width: int) -> Tensor:
    """Return the bag feature as rows of one width: one, or one a class."""
    rows = features.shape[1] // width if features.shape[1] % width == 0 else 1
    return features.reshape(len(features), rows, -1)
