"""When a run has seen enough: the best evaluation, and how many came after it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.training.settings import EarlyStop

__all__ = ["Patience"]


class Patience:
    """The best evaluation so far, and how many followed it without doing better."""

    def __init__(self, rule: EarlyStop) -> None:
        self.rule = rule
        self.best: float | None = None
        self.waited = 0
        self.best_state: dict[str, Tensor] | None = None

    @property
    def is_over(self) -> bool:
        return self.waited >= self.rule.patience

    def look(self, row: Mapping[str, float], state: Callable[[], dict[str, Tensor]]) -> None:
        if self.rule.metric not in row:
            scores = ", ".join(sorted(n for n in row if n.startswith("val_"))) or "none"
            msg = f"stop got the metric {self.rule.metric!r}; evaluate gives: {scores}."
            raise RefusedInputError(msg)
        value = row[self.rule.metric]
        gain = math.inf if self.best is None else self.best - value
        if self.rule.mode == "max" and self.best is not None:
            gain = -gain
        if gain <= self.rule.least_change:
            self.waited += 1
            return
        self.best, self.waited = value, 0
        if self.rule.keep == "best":
            self.best_state = state()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "best_state": self.best_state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]
        self.best_state = state["best_state"]
