"""Everything that a training step changes, kept so that it can be put back bit by bit."""

import copy
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Snapshot"]


class Snapshot:
    """Parameters, gradients, buffers, modes, optimiser state and random states at one moment.

    The optimiser's own ``state_dict`` is not used: loading one casts the moments to the dtype of
    the parameters, which is not the identity for half-precision students.

    Parameters
    ----------
    model
        Its parameters, buffers and train/eval flags are kept.
    optimizer
        Its state, options and all its parameters are kept, those outside ``model`` too.
    generators
        Random generators besides the global ones of torch, numpy and Python.

    Examples
    --------
    >>> model = nn.Linear(2, 1)
    >>> before = Snapshot(model, torch.optim.SGD(model.parameters(), lr=0.1))
    >>> _ = nn.init.zeros_(model.weight)
    >>> before.restore()
    >>> bool(model.weight.any())
    True
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        generators: Sequence[torch.Generator] = (),
    ) -> None:
        trained = {p: None for group in optimizer.param_groups for p in group["params"]}
        parameters = trained | dict.fromkeys(model.parameters())
        self._parameters = {p: (_clone(p), _clone(p.grad)) for p in parameters}
        self._modules = {
            module: (module.training, {k: (b, _clone(b)) for k, b in module._buffers.items()})
            for module in model.modules()
        }
        self._optimizer = optimizer
        self._state = {p: _copy(state) for p, state in optimizer.state.items()}
        self._groups = [_copy_group(group) for group in optimizer.param_groups]
        self._random = _RandomState(generators)

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back; may be called more than once."""
        for parameter, (value, grad) in self._parameters.items():
            if value is not None:
                parameter.copy_(value)
            parameter.grad = _clone(grad)
        for module, (training, buffers) in self._modules.items():
            module.training = training
            for name, (buffer, value) in buffers.items():
                if buffer is not None and value is not None:
                    buffer.copy_(value)
                module._buffers[name] = buffer
        self._restore_optimizer()
        self.restore_random()

    def restore_random(self) -> None:
        """Put the random states back, and nothing else."""
        self._random.restore()

    @torch.no_grad()
    def moved(self) -> bool:
        """Return whether a parameter differs from what was kept (NaN equals NaN)."""
        return any(
            value is not None and not torch.equal(p.nan_to_num(), value.nan_to_num())
            for p, (value, _) in self._parameters.items()
        )

    def _restore_optimizer(self) -> None:
        optimizer = self._optimizer
        optimizer.state.clear()
        optimizer.state.update({p: _copy(state) for p, state in self._state.items()})
        del optimizer.param_groups[len(self._groups) :]
        # in place: schedulers and wrappers hold on to these very dictionaries
        for group, kept in zip(optimizer.param_groups, self._groups, strict=True):
            group.clear()
            group.update(_copy_group(kept))


class _RandomState:
    """States of torch (CPU and CUDA), numpy, Python and the generators given."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._torch = torch.get_rng_state()
        used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # untyped in torch
        self._cuda = torch.cuda.get_rng_state_all() if used else []
        self._numpy = np.random.get_state()  # noqa: NPY002 - the step may use the old one
        self._python = random.getstate()
        self._generators = [(generator, generator.get_state()) for generator in generators]

    def restore(self) -> None:
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        np.random.set_state(self._numpy)  # noqa: NPY002
        random.setstate(self._python)
        for generator, state in self._generators:
            generator.set_state(state)


def _clone(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().clone()


def _copy(value: Any) -> Any:  # noqa: ANN401 - an optimiser may keep anything
    """Return a deep copy; tensors that are no leaves are copied by value."""
    if isinstance(value, Tensor):
        return _clone(value)
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return copy.deepcopy(value)


def _copy_group(group: dict[str, Any]) -> dict[str, Any]:
    options = {key: _copy(value) for key, value in group.items() if key != "params"}
    return {"params": list(group["params"]), **options}
