"""What COMET compares and how: the released code's way, and each mend by its own switch."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from medconsist.errors import RefusedInputError
from medconsist.timeseries.masks import MaskKind

__all__ = ["FIXED", "LEVELS", "REFERENCE", "CometConfig", "Level"]

Level = Literal["patient", "trial", "sample", "observation"]
LEVELS: tuple[Level, ...] = get_args(Level)

_CHOICES = {
    "weighted": ("lower", "all"),
    "positives": ("any", "apart"),
    "trial_negatives": ("any", "other patients"),
    "sample_negatives": ("any", "apart"),
    "views": ("separate", "shared"),
}


@dataclass(frozen=True, kw_only=True)
class CometConfig:
    """Settings of COMET's loss (Wang et al. 2023, arXiv:2310.14017); as it stands, `REFERENCE`.

    `REFERENCE` follows the released code (DL4mHealth/COMET, commit a769779) with its quirks,
    `FIXED` mends them. Two more mends lie elsewhere: batches drawn anew every epoch in the
    training, one head of logits (released: sigmoid twice, then softmax) in the fine-tuning.

    Parameters
    ----------
    weights
        Of the levels patient, trial, sample and observation; 0 leaves a level out.
    weighted
        ``"lower"``: patient and trial weigh 1 whatever their weight, as the released code drops
        the factor of these two; ``"all"``: as ``weights`` says.
    positives
        ``"any"``: windows of one trial that overlap in time are positives of patient and trial
        level, and a window is a negative of itself; ``"apart"``: such pairs are left out there.
    trial_negatives
        ``"any"``: other trials of the same patient are negatives of the trial level;
        ``"other patients"``: they are left out.
    sample_negatives
        ``"any"``: all other windows; ``"apart"``: those which overlap in time are left out.
    views
        ``"separate"``: two views for each level; ``"shared"``: two for each kind of mask. The
        losses differ by the draws of masks and dropout alone.
    masks
        Of each level.
    tau
        Temperature of patient and trial level, > 0; the other two have none.
    steps
        Patient and trial level compare features max-pooled by 2 over time until at most so many
        steps are left; None compares all steps, as released.

    Raises
    ------
    RefusedInputError
        An unknown choice, a weight below 0, all weights 0, or ``tau`` or ``steps`` not positive.

    Examples
    --------
    >>> CometConfig(weights=(0.1, 0.7, 0.1, 0.1)).effective_weights["trial"]
    1.0
    """

    weights: tuple[float | int, float | int, float | int, float | int] = (0.25, 0.25, 0.25, 0.25)
    weighted: Literal["lower", "all"] = "lower"
    positives: Literal["any", "apart"] = "any"
    trial_negatives: Literal["any", "other patients"] = "any"
    sample_negatives: Literal["any", "apart"] = "any"
    views: Literal["separate", "shared"] = "separate"
    masks: tuple[MaskKind, MaskKind, MaskKind, MaskKind] = (
        "all_true",
        "all_true",
        "continuous",
        "continuous",
    )
    tau: float | int = 0.1
    steps: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                msg = f"{name} got {getattr(self, name)!r}; allowed: {', '.join(allowed)}."
                raise RefusedInputError(msg)
        unknown = [kind for kind in self.masks if kind not in get_args(MaskKind)]
        if unknown or len(self.masks) != len(LEVELS):
            msg = f"masks got {self.masks}; allowed: four of {', '.join(get_args(MaskKind))}."
            raise RefusedInputError(msg)
        right = all(math.isfinite(weight) and weight >= 0 for weight in self.weights)
        if not right or len(self.weights) != len(LEVELS) or not any(self.weights):
            msg = f"weights got {self.weights}; allowed: four of at least 0, one above it."
            raise RefusedInputError(msg)
        if not 0 < self.tau < math.inf or (self.steps is not None and self.steps < 1):
            msg = f"got tau {self.tau}, steps {self.steps}; allowed: tau above 0, 1 step or more."
            raise RefusedInputError(msg)

    @property
    def effective_weights(self) -> dict[Level, float]:
        """What each level's loss is multiplied by; levels of weight 0 are not there."""
        named = {level: float(w) for level, w in zip(LEVELS, self.weights, strict=True) if w}
        if self.weighted == "all":
            return named
        return {level: 1.0 if level in ("patient", "trial") else w for level, w in named.items()}

    def mask_of(self, level: Level) -> MaskKind:
        """Return the kind of mask of a level."""
        return self.masks[LEVELS.index(level)]


REFERENCE = CometConfig()
FIXED = CometConfig(
    weighted="all",
    positives="apart",
    trial_negatives="other patients",
    sample_negatives="apart",
    views="shared",
)
