"""One step of a run: its batch, its losses and its gradient."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.training.draws import Place, generator_for, seed_for
from medconsist.training.metrics_log import first_not_finite
from medconsist.training.objective import Objective
from medconsist.training.optimisation import make_optimizer, trainable
from medconsist.training.settings import TrainConfig
from medconsist.training.weights import load_state

__all__ = ["NETWORK", "StepModule", "diverged"]

# Places of the random numbers of one step, after (step, micro-batch, rank).
_BATCH, NETWORK = 0, 1
# Columns of metrics.jsonl that are not the objective's.
_TAKEN = ("step", "lr", "grad_norm")


class StepModule(pl.LightningModule):
    """One step: draw, losses, and the gradient watched before it moves anything."""

    def __init__(self, objective: Objective, network: nn.Module, config: TrainConfig) -> None:
        super().__init__()
        self.objective, self.network, self.config = objective, network, config
        self.row: dict[str, float] = {}

    def training_step(self, batch: object, batch_idx: int) -> Tensor:
        step, micro = self.trainer.global_step, batch_idx % self.config.accumulate
        place = (step, micro, self.global_rank)
        generator = generator_for(self.config.seed, *place, _BATCH)
        # Lightning's autocast is around all of this method; a batch does not depend on it
        with torch.autocast(self.device.type, enabled=False):
            batch = self.objective.draw_at(generator, self._place(step, micro))
            drawn = _on_device(batch, self.device)
        torch.manual_seed(seed_for(self.config.seed, *place, NETWORK))
        drawn = self.objective.prepare(self.network, drawn, self.trainer.optimizers[0])
        losses = self.objective.losses(self.network, drawn)
        loss = _scalars(losses)["loss"]
        self._note(step, micro, losses)
        return loss

    def _place(self, step: int, micro: int) -> Place:
        ranks, micros = self.trainer.world_size, self.config.accumulate
        return Place(step=step, micro=micro, micros=micros, rank=self.global_rank, ranks=ranks)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        gradients = {n: p.grad for n, p in self.network.named_parameters() if p.grad is not None}
        if not gradients:
            msg = "The loss depends on no parameter of the network. Check losses()."
            raise RefusedInputError(msg)
        norm = float(torch.nn.utils.get_total_norm(list(gradients.values())))
        if not math.isfinite(norm):
            bad = [name for name, grad in gradients.items() if not bool(grad.isfinite().all())]
            named = ", ".join(bad[:3]) or "all weights together"
            diverged(self.trainer.global_step, f"the gradient of {named}", norm)
        self.row |= {"grad_norm": norm, "lr": float(optimizer.param_groups[0]["lr"])}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = {name.removeprefix("network."): t for name, t in checkpoint["state_dict"].items()}
        load_state(self.network, state, "The last checkpoint")

    def configure_optimizers(self) -> Any:  # noqa: ANN401  Lightning's union
        optimizer, scheduler = make_optimizer(trainable(self.network), self.config)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _note(self, step: int, micro: int, losses: Mapping[str, Tensor]) -> None:
        """Keep the mean over ranks and micro-batches; every rank stops at the same NaN."""
        terms = torch.stack([value.detach().float() for value in losses.values()])
        means = torch.as_tensor(self.trainer.strategy.reduce(terms, reduce_op="mean")).tolist()
        values = dict(zip(losses, means, strict=True))
        if bad := first_not_finite(values):
            diverged(step, f"the loss term {bad!r}", values[bad])
        old = self.row if micro else dict.fromkeys(values, 0.0)
        self.row = {name: old[name] + v / self.config.accumulate for name, v in values.items()}


def diverged(step: int, what: str, value: float) -> None:
    msg = (
        f"Step {step + 1}: {what} is {value}. The last checkpoint stays. Lower lr, clip the "
        "gradient or look at the batch of this step."
    )
    raise ConvergenceError(msg)


def _on_device(value: Any, device: torch.device) -> Any:  # noqa: ANN401  a batch of theirs
    match value:
        case Tensor():
            return value.to(device, non_blocking=True)
        case dict():
            return {name: _on_device(item, device) for name, item in value.items()}
        case list():
            return [_on_device(item, device) for item in value]
        case tuple():
            items = [_on_device(item, device) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(
            value, **{name: _on_device(getattr(value, name), device) for name in names}
        )
    return value


def _scalars(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Refuse what is not named scalars with a ``loss`` that depends on the network."""
    if "loss" not in losses:
        msg = f"losses got {sorted(losses)}; one of them must be called 'loss'."
        raise RefusedInputError(msg)
    for name, value in losses.items():
        if value.dim() or value.is_complex():
            msg = f"The loss term {name!r} is {tuple(value.shape)}; allowed: one real number."
            raise RefusedInputError(msg)
        if name in _TAKEN or name.startswith("val_"):
            msg = f"A loss term is called {name!r}; {', '.join(_TAKEN)} and val_... are taken."
            raise RefusedInputError(msg)
    if not losses["loss"].requires_grad:
        msg = "The loss depends on no parameter that requires a gradient. Check losses()."
        raise RefusedInputError(msg)
    return losses
