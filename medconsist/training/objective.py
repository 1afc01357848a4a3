"""What is trained: how to build it, draw a batch, judge it. Knows nothing of loops and devices."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from medconsist.training.draws import Place

__all__ = ["Objective"]


class Objective(ABC):
    """The subject of a training run; :func:`~medconsist.training.fit.fit` does the rest.

    A batch is a function of its arguments alone: the generator that ``draw`` is given depends on
    the run's seed, the step, the micro-batch and the rank. That is what lets a run that was killed
    go on as if nothing had happened, so ``draw`` must keep no state and use no other source of
    randomness. While ``losses`` and ``evaluate`` run, torch's own generators (dropout) are seeded
    by the same rule.

    Examples
    --------
    >>> class Line(Objective):
    ...     def build(self, generator): return nn.Linear(1, 1)
    ...     def draw(self, generator, step): return torch.rand(8, 1, generator=generator)
    ...     def losses(self, network, batch): return {"loss": (network(batch) - batch).square().mean()}
    >>> sorted(Line().losses(nn.Linear(1, 1), torch.ones(2, 1)))
    ['loss']
    """  # noqa: E501  one line of the example

    @abstractmethod
    def build(self, generator: torch.Generator) -> nn.Module:
        """Return the untrained network; its first weights come from ``generator`` alone."""

    @abstractmethod
    def draw(self, generator: torch.Generator, step: int) -> Any:  # noqa: ANN401  a batch of theirs
        """Return one batch of tensors, on the CPU or where the network will be.

        Parameters
        ----------
        generator
            On the CPU; differs for every step, micro-batch and rank.
        step
            Optimiser steps done so far, 0 for the first batch.

        Returns
        -------
        Any
            A tensor, or a tuple, list, dict or dataclass of batches; other values stay as they are.
        """

    def draw_at(self, generator: torch.Generator, place: Place) -> Any:  # noqa: ANN401  as draw
        """Return the batch of one place; by default `draw` of its step.

        To be overridden where batches follow an order, such as epochs that see every case once:
        ``place.number`` counts them over micro-batches and processes too.
        """
        return self.draw(generator, place.step)

    def prepare(
        self,
        network: nn.Module,  # noqa: ARG002  for what overrides it
        batch: Any,  # noqa: ANN401  a batch of theirs
        optimizer: torch.optim.Optimizer,  # noqa: ARG002
    ) -> Any:  # noqa: ANN401
        """Return the batch that `losses` will see, on the device; by default the one drawn.

        To be overridden where a step needs the optimiser before its own gradient, such as virtual
        steps of a look-ahead. Network, optimiser and random states must be as they were, but for
        what the network itself remembers.
        """
        return batch

    @abstractmethod
    def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:  # noqa: ANN401
        """Return scalars by name; ``"loss"`` is what is minimised, all are recorded."""

    def evaluate(self, network: nn.Module) -> dict[str, float]:  # noqa: ARG002  may be empty
        """Return finite scores by name, recorded as ``val_<name>``; without gradients, eval mode.

        Parameters
        ----------
        network
            The one whose weights would be saved now: the averaged one where there is one.
        """
        return {}

    def architecture(self) -> dict[str, Any]:
        """Return what builds this network again, as plain JSON; it goes into the weights file."""
        return {}

    def about(self) -> dict[str, str]:
        """Return what a reader of the weights file should know, free of times and paths."""
        return {}
