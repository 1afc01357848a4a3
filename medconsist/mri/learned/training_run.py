"""One training run as it is asked for on a command line: material, network, folder, weights."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

from torch import Generator, Tensor, nn

from medconsist._digests import sha256_of_path
from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.mri.learned.asked_network import DEFAULT_NETWORK
from medconsist.mri.learned.loss import Distance
from medconsist.mri.learned.model import load_model
from medconsist.mri.learned.networks import make_network, stored_architecture
from medconsist.mri.learned.ssdu import Ssdu, SsduConfig, measurements_from
from medconsist.mri.learned.supervised import Supervised, SupervisedConfig
from medconsist.mri.learned.withheld_loss import WithheldLoss
from medconsist.mri.reconstruction_network import Architecture
from medconsist.mri.scan_file import read_reference
from medconsist.mri.scan_pool import PoolConfig, load_pool
from medconsist.training.fit import fit
from medconsist.training.objective import Objective
from medconsist.training.optimisation import trainable
from medconsist.training.run_folder import RunFolder
from medconsist.training.settings import TrainConfig

__all__ = ["Continued", "Trained", "TrainingRun"]

_ARCHITECTURE = (
    "--network, --network-size, --cascades, --time-steps, --features, --unit, --consistency and "
    "--coil-maps"
)


@dataclass(frozen=True)
class Trained:
    """Where a finished run left its weights.

    Parameters
    ----------
    weights
        Path of the file.
    sha256
        Of its bytes.
    metrics
        The last value of everything that was recorded; ``val_...`` are scores of validation.

    Examples
    --------
    >>> Trained(Path("run/weights.safetensors"), "0" * 64, {"val_ssim": 0.9}).metrics["val_ssim"]
    0.9
    """

    weights: Path
    sha256: str
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What is trained, on what, and where it goes.

    Parameters
    ----------
    out
        Simulated scans go to ``out/pools``, the run to ``out/run``.
    train
        See ``TrainConfig``.
    network
        Architecture; None takes that of ``start``, else the shipped network's.
    start
        A shipped name or a weights file to begin with; None begins with random weights.
    freeze
        Patterns of parameter names (``"cascades.0.*"``) that keep their values.
    ssdu
        Undersampled k-space files to learn from, without a reference; none: scans of the
        simulator with theirs.
    validation
        Other such files, on whose withheld samples the network is scored.
    loss
        A loss of `Supervised`, or of `Ssdu` where there are files; None takes the usual one.
    scans, size
        Of the simulator; every eighth as many more, one at least, are for validation.
    resume
        Go on with the run in ``out``.

    Raises
    ------
    RefusedInputError
        An architecture is given beside ``start``, files for validation without ``ssdu``, or a
        loss that does not belong.

    Examples
    --------
    >>> TrainingRun(out=Path("run"), train=TrainConfig(steps=10)).architecture.cascades
    5
    """

    out: Path
    train: TrainConfig
    network: Architecture | None = None
    start: str | None = None
    freeze: tuple[str, ...] = ()
    ssdu: tuple[Path, ...] = ()
    validation: tuple[Path, ...] = ()
    loss: str | None = None
    scans: int = 160
    size: int = 128
    resume: bool = False

    def __post_init__(self) -> None:
        if self.start is not None and self.network is not None:
            msg = f"--start brings its own architecture; leave {_ARCHITECTURE} out."
            raise RefusedInputError(msg)
        if self.validation and not self.ssdu:
            msg = "--validation goes with --ssdu alone: simulated scans bring their own."
            raise RefusedInputError(msg)
        allowed = get_args(WithheldLoss if self.ssdu else Distance)
        if self.loss is not None and self.loss not in allowed:
            where = "with --ssdu" if self.ssdu else "without --ssdu"
            msg = f"--loss got {self.loss!r}; allowed {where}: {', '.join(allowed)}."
            raise RefusedInputError(msg)

    @property
    def architecture(self) -> Architecture:
        """The architecture that is trained."""
        if self.start is not None:
            return load_model(self.start).network.config
        return self.network or DEFAULT_NETWORK

    def run(self) -> Trained:
        """Train, or go on; a finished run is returned as it is.

        Raises
        ------
        RefusedInputError
            Nothing to train, a folder of another run, or material that cannot be used.
        MissingExtraError
            Lightning is not installed.
        """
        for module in ("lightning.pytorch", "tensorboard"):
            require(module, extra="train")  # before minutes of simulation
        trainable(_frozen(make_network(self.architecture), self.freeze))
        objective = Continued(self._objective(), start=self.start, freeze=self.freeze)
        folder = self.out / "run"
        fitted = fit(objective, self.train, folder, recipe=self._recipe(), resume=self.resume)
        weights = RunFolder(folder).weights
        return Trained(weights, sha256_of_path(weights), fitted.metrics)

    def _objective(self) -> Objective:
        chosen: dict[str, Any] = {"network": self.architecture}
        if self.ssdu:
            if self.loss is not None:
                chosen["loss"] = self.loss
            config = SsduConfig(seed=self.train.seed, **chosen)
            others = measurements_from(self.validation)
            return _SimulatedToo(self.ssdu, config, measurements_from(self.ssdu), others)
        if self.loss is not None:
            chosen["distance"] = self.loss
        pools = self.out / "pools"
        supervised = SupervisedConfig(**chosen)
        train, validation = (load_pool(config, pools) for config in self._pools())
        return Supervised(supervised, train, validation)

    def _pools(self) -> tuple[PoolConfig, PoolConfig]:
        fewer = max(1, self.scans // 8)
        return (
            PoolConfig(scans=self.scans, slices=1, size=self.size, seed=self.train.seed),
            PoolConfig(scans=fewer, slices=1, size=self.size, role="validation"),
        )

    def _recipe(self) -> dict[str, Any]:
        start = None if self.start is None else load_model(self.start).sha256
        recipe: dict[str, Any] = {
            "network": stored_architecture(self.architecture),
            "start_sha256": start,
            "freeze": list(self.freeze),
            "loss": self.loss,
        }
        if self.ssdu:
            files = {"ssdu": self.ssdu, "validation": self.validation}
            return recipe | {name: _digests(paths) for name, paths in files.items()}
        return recipe | {"pools": [asdict(pool) for pool in self._pools()]}


class _SimulatedToo(Ssdu):
    """SSDU on files, some of which may be of the simulator: its label must not get lost."""

    def __init__(self, files: Sequence[Path], *args: Any) -> None:  # noqa: ANN401  of Ssdu
        super().__init__(*args)
        kinds = {read_reference(file) is not None for file in files}
        names = {True: "simulation", False: "undersampled scans"}
        self._seen = " and ".join(names[kind] for kind in sorted(kinds, reverse=True))

    def about(self) -> dict[str, str]:
        return super().about() | {"trained_on": self._seen}


class Continued(Objective):
    """An objective whose network begins with stored weights, of which some keep their values.

    Parameters
    ----------
    objective
        Everything but the first weights.
    start
        See `load_model`; None leaves the first weights to the objective.
    freeze
        Patterns of names of parameters that are not trained.

    Raises
    ------
    RefusedInputError
        A pattern fits no parameter.

    Examples
    --------
    >>> from medconsist.mri.cirim.config import CirimConfig
    >>> from medconsist.mri.scan_pool import ScanPool
    >>> pool = ScanPool.simulate(PoolConfig(scans=1, slices=1, size=32, coils=2))
    >>> tiny = SupervisedConfig(network=CirimConfig(cascades=1, steps=1, features=4))
    >>> task = Continued(Supervised(tiny, pool), freeze=("*.out.*",))
    >>> task.build(Generator()).cascades[0].out.weight.requires_grad
    False
    """

    def __init__(
        self, objective: Objective, *, start: str | None = None, freeze: tuple[str, ...] = ()
    ) -> None:
        self._objective = objective
        self._start = None if start is None else load_model(start)
        self._freeze = freeze

    def build(self, generator: Generator) -> nn.Module:
        """Return the network with its first weights; frozen ones ask for no gradient."""
        network = self._objective.build(generator)
        if self._start is not None:
            network.load_state_dict(self._start.network.state_dict())
        return _frozen(network, self._freeze)

    def draw(self, generator: Generator, step: int) -> Any:  # noqa: ANN401  a batch of theirs
        """Return what the objective draws."""
        return self._objective.draw(generator, step)

    def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:  # noqa: ANN401
        """Return the losses of the objective."""
        return self._objective.losses(network, batch)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return the scores of the objective."""
        return self._objective.evaluate(network)

    def architecture(self) -> dict[str, Any]:
        """Return the architecture of the objective."""
        return self._objective.architecture()

    def about(self) -> dict[str, str]:
        """Return what the weights have seen, before and now."""
        now = self._objective.about()
        return now if self._start is None else _both(self._start.about, now, self._start.sha256)


def _frozen(network: nn.Module, patterns: Sequence[str]) -> nn.Module:
    names = dict(network.named_parameters())
    for pattern in patterns:
        found = [name for name in names if fnmatchcase(name, pattern)]
        if not found:
            msg = f"--freeze {pattern} fits no parameter; there are {', '.join(names)}."
            raise RefusedInputError(msg)
        for name in found:
            names[name].requires_grad = False
    return network


def _digests(paths: Sequence[Path]) -> list[str]:
    return [sha256_of_path(path.resolve()) for path in paths]


def _both(before: Mapping[str, str], now: dict[str, str], sha256: str) -> dict[str, str]:
    seen = [before.get("trained_on", "unknown"), now.get("trained_on", "unknown")]
    return now | {"trained_on": ", then ".join(dict.fromkeys(seen)), "start_sha256": sha256}
