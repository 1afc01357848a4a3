"""Every way to train a model of bags by its name, from the plainest pooling to MHIM with INS."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Generator, nn
from torch import distributed as dist

from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.training.fit import fit
from medconsist.training.run_folder import RunFolder
from medconsist.training.settings import TrainConfig
from medconsist.training.weights import StoredWeights, load_state, read_weights, save_weights
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.network import InsNetwork
from medconsist.wsi.mil.ins.noise import FeatureNoise
from medconsist.wsi.mil.ins.objective import InsLearner, InsObjective
from medconsist.wsi.mil.mhim.config import PRESETS
from medconsist.wsi.mil.mhim.network import MhimNetwork
from medconsist.wsi.mil.mhim.objective import MhimObjective
from medconsist.wsi.mil.mhim.scores import ClassProbability
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.choice import MODELS, architecture_of, model_from
from medconsist.wsi.mil.objective import MilObjective, Sampling

__all__ = ["METHODS", "WEIGHTS_NAME", "MethodChoice", "TrainedModel", "load_model", "train_method"]
__all__ += ["wait_for_all"]

METHODS = ("probe", *MODELS, "panther", "ins", "ins-published", "mhim", "mhim-ins")
WEIGHTS_NAME = "model.safetensors"
# MHIM-MIL's ABMIL has neither tanh nor biases.
_BASES: Mapping[str, Mapping[str, Any]] = {
    "abmil": {"activation": "relu", "bias": False},
    "transmil": {},
    "dsmil": {},
}
_LEAST_POSITIVE = 0.1
_NETWORK, _TEACHER = "network.", "teacher."


@dataclass(frozen=True, kw_only=True)
class MethodChoice:
    """A method by its name, with what can be chosen of it.

    Parameters
    ----------
    name
        One of `METHODS`.
    width, dropout
        Of `MilSize`.
    base
        For mhim and mhim-ins: ``abmil``, ``transmil`` or ``dsmil``.
    preset
        For them: one of `medconsist.wsi.mil.mhim.config.PRESETS`; None takes ``c16-`` and the base.
    ins
        For ins, ins-published and mhim-ins; None takes the lengths that fit the run, and for
        ``ins`` and ``mhim-ins`` names the top tenth of the instances of positive cases positive
        (`InsConfig.least_positive`), without which INS can collapse.
    prototypes
        For panther: how many.
    options
        Of a model of `MODELS`, as in the docstring of its class.

    Raises
    ------
    RefusedInputError
        No such method, base or preset.

    Examples
    --------
    >>> MethodChoice(name="mhim", base="dsmil", preset="c16-dsmil").width
    512
    """

    name: str
    width: int = 512
    dropout: float | int = 0.25
    base: str = "abmil"
    preset: str | None = None
    ins: InsConfig | None = None
    prototypes: int = 16
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = (
            ("method", self.name, METHODS),
            ("base", self.base, _BASES),
            ("preset", self.settings, PRESETS),
        )
        for what, given, allowed in known:
            if given not in allowed:
                msg = f"There is no {what} {given!r}. {nearest(given, allowed)}"
                raise RefusedInputError(msg)
        if self.options and self.name not in MODELS:
            msg = f"options {dict(self.options)} go with a plain model, and {self.name} is none."
            raise RefusedInputError(msg)

    @property
    def settings(self) -> str:
        """The name of the settings of MHIM-MIL."""
        return self.preset or f"c16-{self.base}"

    def ins_over(self, steps: int) -> InsConfig:
        """Return the numbers of INS for a run of so many steps."""
        if self.ins is not None:
            return self.ins
        least = 0.0 if self.name == "ins-published" else _LEAST_POSITIVE
        warmup = max(1, steps // 10)
        return InsConfig(warmup=warmup, phi_steps=max(1, steps - warmup), least_positive=least)

    def size(self, cohort: Cohort) -> MilSize:
        """Return the sizes of a model for a cohort."""
        return MilSize(
            dim=cohort.source.dim,
            classes=len(cohort.classes),
            width=self.width,
            dropout=self.dropout,
        )


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What a training leaves: the network that answers and, of some, its teacher.

    Parameters
    ----------
    network
        In eval mode.
    architecture
        What builds it again, plain JSON.
    teacher
        Of the same architecture, in eval mode; None where the method has none.
    metrics
        What validation says of this very network, by name.

    Examples
    --------
    >>> TrainedModel(nn.Linear(1, 1), {"network": "linear"}).teacher is None
    True
    """

    network: nn.Module
    architecture: dict[str, Any]
    teacher: nn.Module | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def save(self, path: Path, *, about: Mapping[str, str]) -> str:
        """Write network and teacher into one weights file; return its sha256."""
        state = {f"{_NETWORK}{n}": v for n, v in self.network.state_dict().items()}
        if self.teacher is not None:
            state |= {f"{_TEACHER}{n}": v for n, v in self.teacher.state_dict().items()}
        return save_weights(path, state, architecture=self.architecture, about=about)


def load_model(stored: StoredWeights, *, source: str) -> TrainedModel:
    """Return what `TrainedModel.save` wrote.

    Parameters
    ----------
    stored
        Of `read_weights`.
    source
        Name of the file, for sentences.

    Raises
    ------
    RefusedInputError
        It is no model of bags, or its weights do not fit its architecture.
    """
    parts = {
        prefix: {
            name.removeprefix(prefix): value
            for name, value in stored.state.items()
            if name.startswith(prefix)
        }
        for prefix in (_NETWORK, _TEACHER)
    }
    if not parts[_NETWORK]:
        msg = f"{source} holds no model of bags; give what medconsist wsi train wrote."
        raise RefusedInputError(msg)
    built = {
        prefix: _built(stored.architecture, state, f"{source}, {prefix.rstrip('.')}")
        for prefix, state in parts.items()
        if state
    }
    return TrainedModel(built[_NETWORK], dict(stored.architecture), built.get(_TEACHER))


def train_method(
    choice: MethodChoice,
    train: Cohort,
    validation: Cohort | None,
    *,
    folder: Path,
    config: TrainConfig,
    sampling: Sampling,
    recipe: Mapping[str, Any],
    resume: bool = False,
    progress: bool = True,
) -> TrainedModel:
    """Train a method, stage after stage, each in a run folder of its own.

    MHIM-MIL first trains the plain model that its teacher starts from, ``mhim-ins`` also INS, whose
    instance probabilities then choose what is hidden. Each stage takes ``config.steps``, over which
    MHIM's courses run also where it stops earlier, as the learning rate does: compare a plain model
    at as many stages, or at the sum of their steps.

    INS is never stopped early: the log loss of its bag head says little of its instances.

    Parameters
    ----------
    choice
        Which.
    train, validation
        Of different patients.
    folder
        Of the stages: ``ins``, ``baseline``, ``run``.
    config, sampling
        Of every stage; ``config.stop`` of all but those of INS.
    recipe
        What else decides the outcome, plain JSON.
    resume, progress
        See `medconsist.training.fit.fit`.

    Raises
    ------
    RefusedInputError, ConvergenceError, StorageError, MissingExtraError
        As of `fit`.
    """

    def run(objective: MilObjective, stage: str) -> tuple[nn.Module, Mapping[str, float]]:
        own = replace(config, stop=None) if isinstance(objective, InsObjective) else config
        fitted = fit(
            objective,
            own,
            folder / stage,
            recipe={**recipe, "stage": stage},
            resume=resume,
            progress=progress,
        )
        wait_for_all()  # the next stage reads what the first process has written
        network = fitted.network.to(config.device)
        # the last row of the run may be of weights that an early stop did not keep
        return network, objective.evaluate(network)

    size = choice.size(train)
    if choice.name == "probe":
        return _train_probe(train, validation)
    common: dict[str, Any] = {"sampling": sampling}
    if choice.name in MODELS:
        architecture = architecture_of(choice.name, size, choice.options)
        task = MilObjective(
            _maker(architecture), train, validation, architecture=architecture, **common
        )
        network, metrics = run(task, "run")
        return TrainedModel(network, architecture, metrics=metrics)
    if choice.name == "panther":
        return _train_panther(choice, train, validation, common, run, seed=config.seed)
    if choice.name.startswith("ins"):
        return _train_ins(choice, train, validation, common, run, steps=config.steps)
    given = None
    if choice.name == "mhim-ins":
        first = _train_ins(choice, train, validation, common, run, steps=config.steps, stage="ins")
        given = ClassProbability(first.network)
    architecture = architecture_of(choice.base, size, dict(_BASES[choice.base]))
    make = _maker(architecture)
    common["architecture"] = architecture
    run(MilObjective(make, train, validation, **common), "baseline")
    baseline = read_weights(RunFolder(folder / "baseline").weights)
    mhim = PRESETS[choice.settings].over(config.steps)
    if given is not None:
        mhim = replace(mhim, scores="given")
    task = MhimObjective(make, baseline, mhim, train, validation, scores=given, **common)
    network, metrics = run(task, "run")
    assert isinstance(network, MhimNetwork)  # noqa: S101  what build returned
    return TrainedModel(network.student, architecture, network.teacher.model, metrics)


def wait_for_all() -> None:
    """Let no process of a data-parallel run go on before all are here; only the first writes."""
    if dist.is_available() and dist.is_initialized():
        dist.barrier()


_Run = Callable[[MilObjective, str], tuple[nn.Module, Mapping[str, float]]]


def _train_ins(
    choice: MethodChoice,
    train: Cohort,
    validation: Cohort | None,
    common: Mapping[str, Any],
    run: _Run,
    *,
    steps: int,
    stage: str = "run",
) -> TrainedModel:
    ins = choice.ins_over(steps)
    task = InsObjective(choice.size(train), train, validation, config=ins, **common)
    network, metrics = run(task, stage)
    assert isinstance(network, InsLearner)  # noqa: S101  what build returned
    return TrainedModel(network.model, task.architecture(), metrics=metrics)


def _train_probe(train: Cohort, validation: Cohort | None) -> TrainedModel:
    from medconsist.wsi.mil.probe import fit_probe

    if validation is None:
        msg = "the probe chooses its penalty on validation; take a split that has some."
        raise RefusedInputError(msg)
    judge = MilObjective(lambda _: nn.Identity(), train, validation)  # refuses what all refuse
    model, chosen = fit_probe(train, validation)
    metrics = {**judge.evaluate(model), "penalty": chosen["penalty"]}
    return TrainedModel(model, architecture_of("mean", model.size), metrics=metrics)


def _train_panther(
    choice: MethodChoice,
    train: Cohort,
    validation: Cohort | None,
    common: Mapping[str, Any],
    run: _Run,
    *,
    seed: int,
) -> TrainedModel:
    from medconsist.wsi.mil.panther import Panther, fit_prototypes

    size = choice.size(train)
    generator = Generator().manual_seed(seed)
    centres = fit_prototypes(train, components=choice.prototypes, generator=generator)

    def make(generator: Generator) -> nn.Module:
        model = Panther(size, centres, generator=generator)
        model.standardise(train)
        return model

    architecture = {
        "network": "panther",
        "size": asdict(size),
        "prototypes": choice.prototypes,
    }
    task = MilObjective(make, train, validation, architecture=architecture, **common)
    network, metrics = run(task, "run")
    return TrainedModel(network, architecture, metrics=metrics)


def _maker(architecture: Mapping[str, Any]) -> Callable[[Generator], nn.Module]:
    return lambda generator: model_from(architecture, generator)


def _built(architecture: Mapping[str, Any], state: Mapping[str, Any], source: str) -> nn.Module:
    network = _untrained(architecture, source)
    load_state(network, state, source)
    return network.eval()


def _untrained(architecture: Mapping[str, Any], source: str) -> nn.Module:
    generator = Generator().manual_seed(0)
    kind = architecture.get("network", "registry")
    if kind == "registry":
        return model_from(architecture, generator)
    size = MilSize(**architecture["size"])
    if kind == "ins":
        values = dict(architecture["ins"])
        config = InsConfig(**values | {"noise": FeatureNoise(**values["noise"])})
        return InsNetwork(size, config, generator=generator)
    if kind == "panther":
        import torch

        from medconsist.wsi.mil.panther import Panther

        centres = torch.zeros(architecture["prototypes"], size.dim)
        return Panther(size, centres, generator=generator)
    msg = f"{source} is of a network {kind!r} that is not known here; a newer medconsist wrote it."
    raise RefusedInputError(msg)
