"""A tiny regression, y = x sum, that learns in a blink; the parts of a training test."""

import os
import signal
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from medconsist.training.objective import Objective


@dataclass(frozen=True)
class Pairs:
    """One batch."""

    inputs: Tensor
    targets: Tensor


class Line(Objective):
    """Dropout makes it depend on torch's own generator, batch normalisation on buffers."""

    def build(self, generator: torch.Generator) -> nn.Module:
        network = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 1)
        )
        for layer in (network[0], network[3]):
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, 0.0, 0.3, generator=generator)
            nn.init.zeros_(layer.bias)
        return network

    def draw(self, generator: torch.Generator, step: int) -> Pairs:  # noqa: ARG002  same at all
        inputs = torch.randn(16, 3, generator=generator)
        return Pairs(inputs, inputs.sum(1, keepdim=True))

    def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
        error = (network(batch.inputs) - batch.targets).square().mean()
        return {"loss": error, "twice": 2 * error}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        pairs = self.draw(torch.Generator().manual_seed(1), 0)
        return {"error": float(self.losses(network, pairs)["loss"])}

    def architecture(self) -> dict[str, Any]:
        return {"width": 8}

    def about(self) -> dict[str, str]:
        return {"data": "simulated"}


class Interrupted(Line):
    """Stops in the middle of a step, by an exception or by a signal."""

    def __init__(self, step: int, micro: int = 0, *, by: signal.Signals | None = None) -> None:
        self.step, self.micro, self.signal = step, micro, by
        self._now = 0
        self._seen = 0

    def draw(self, generator: torch.Generator, step: int) -> Pairs:
        self._seen = self._seen + 1 if step == self._now else 0
        self._now = step
        return super().draw(generator, step)

    def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
        losses = super().losses(network, batch)
        if network.training and (self._now, self._seen) == (self.step, self.micro):
            if self.signal is None:
                msg = "pulled the plug"
                raise RuntimeError(msg)
            os.kill(os.getpid(), self.signal)
        return losses
