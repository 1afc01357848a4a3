"""Where the weights of an encoder begin: random, EEGNet, pre-trained first, or given."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Generator, nn

from medconsist.timeseries.eegnet import EegNet, EegNetConfig
from medconsist.timeseries.encoders import (
    architecture_of_encoder,
    digest_of_weights,
    encoder_from,
    refuse_other_size,
)
from medconsist.timeseries.pretext import Pretext, PretextSize
from medconsist.timeseries.pretexts import make_pretext
from medconsist.timeseries.pretrained import Pretraining
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.weights import load_state

__all__ = ["EegNetStart", "GivenStart", "MakeEncoder", "PretrainedStart", "RandomStart", "Start"]

MakeEncoder = Callable[[Generator], nn.Module]
Kind = Literal["finetuned", "scratch", "eegnet"]


@dataclass(frozen=True, kw_only=True)
class RandomStart:
    """The encoder of a pretext task with its first weights: from scratch.

    Parameters
    ----------
    method, options
        As of `Pretraining`.

    Examples
    --------
    >>> RandomStart().kind
    'scratch'
    """

    method: str = "comet"
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = "scratch"

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.method} encoder from scratch"

    def facts(self) -> dict[str, Any]:
        """Return what decides it, plain JSON values."""
        return {"method": self.method, "options": dict(self.options)}

    def encoder(self, train: WindowSet, folder: Path, *, seed: int) -> MakeEncoder:  # noqa: ARG002
        """Return what builds the encoder."""
        size = PretextSize.of(train)
        return lambda g: make_pretext(self.method, size, generator=g, options=self.options)


@dataclass(frozen=True, kw_only=True)
class EegNetStart:
    """EEGNet, from scratch.

    Parameters
    ----------
    config
        See `EegNetConfig`.

    Examples
    --------
    >>> EegNetStart().name
    'EEGNet'
    """

    config: EegNetConfig = field(default_factory=EegNetConfig)
    kind: Kind = "eegnet"

    @property
    def name(self) -> str:
        """What it is called."""
        return "EEGNet"

    def facts(self) -> dict[str, Any]:
        """Return what decides it, plain JSON values."""
        return {"eegnet": asdict(self.config)}

    def encoder(self, train: WindowSet, folder: Path, *, seed: int) -> MakeEncoder:  # noqa: ARG002
        """Return what builds the encoder; the run's seed sets torch's own generator."""
        size = PretextSize.of(train)
        return lambda _: EegNet(size, self.config)


@dataclass(frozen=True, kw_only=True)
class PretrainedStart:
    """An encoder that is pre-trained first, on the same training windows without their labels.

    Parameters
    ----------
    how
        See `Pretraining`.

    Examples
    --------
    >>> PretrainedStart(how=Pretraining(method="comet")).name
    'comet, fine-tuned'
    """

    how: Pretraining
    kind: Kind = "finetuned"

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.how.method}, fine-tuned"

    def facts(self) -> dict[str, Any]:
        """Return what decides it, plain JSON values."""
        return {name: one for name, one in asdict(self.how).items() if name != "device"}

    def encoder(self, train: WindowSet, folder: Path, *, seed: int) -> MakeEncoder:
        """Pre-train in ``folder``, and return what builds the encoder with those weights."""
        network = self.how.run(train, folder / "pretrained", resume=True, progress=False, seed=seed)
        return GivenStart(network, self.name).encoder(train, folder, seed=seed)


@dataclass(frozen=True)
class GivenStart:
    """An encoder with weights, as of `load_pretext`. Whom it has seen is for the caller to know.

    Parameters
    ----------
    network
        Copied, not changed.
    name
        What it is called.

    Examples
    --------
    ::

        GivenStart(load_pretext(Path("runs/comet")), "comet, fine-tuned")
    """

    network: Pretext
    name: str = "pre-trained, fine-tuned"
    kind: Kind = "finetuned"

    def facts(self) -> dict[str, Any]:
        """Return what decides it, plain JSON values."""
        return {"weights_sha256": digest_of_weights(self.network)}

    def encoder(self, train: WindowSet, folder: Path, *, seed: int) -> MakeEncoder:  # noqa: ARG002
        """Return what builds a copy of it; windows that it was not built for are refused."""
        refuse_other_size(self.network, train)
        architecture = architecture_of_encoder(self.network)
        state = {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}

        def make(_: Generator) -> nn.Module:
            copy = encoder_from(architecture)
            load_state(copy, state, "the given encoder")
            return copy

        return make


Start = RandomStart | EegNetStart | PretrainedStart | GivenStart
