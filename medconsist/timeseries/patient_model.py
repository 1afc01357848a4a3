"""A network that answers for patients: encoder, classifier of windows, attention over trials."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.timeseries.encoders import architecture_of_encoder, encoder_from
from medconsist.timeseries.finetuning import HeadConfig, WindowClassifier
from medconsist.timeseries.pooling import Evidence, TrialAttention
from medconsist.timeseries.window_set import WindowSet

__all__ = ["PatientModel", "ProbeClassifier", "evidence_of", "patient_model_from"]

_AT_ONCE = 64


class ProbeClassifier(nn.Module):
    """A frozen encoder with a linear probe on its features.

    Parameters
    ----------
    encoder
        A `Pretext`.
    classes
        Two or more.

    Examples
    --------
    ::

        ProbeClassifier(comet, classes=2).copy_probe(LogisticProbe().fit(features, label, 2))
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, encoder: nn.Module, *, classes: int) -> None:
        super().__init__()
        self.encoder, self.classes = encoder, classes
        dim = int(encoder.dim)  # type: ignore[arg-type]  # what a Pretext has
        self.register_buffer("weight", torch.zeros(classes, dim, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(classes, dtype=torch.float64))

    def forward(
        self, signals: Float[Tensor, "batch time channels"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits of each window."""
        return self.classify(self.encoder.encode(signals))  # type: ignore[operator]  # a Pretext

    def classify(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch classes"]:
        """Return the logits of windows whose features are known."""
        return features.double() @ self.weight.T + self.bias

    def copy_probe(self, apply: Callable[[npt.NDArray[np.float64]], Tensor]) -> "ProbeClassifier":
        """Take over a probe whose logits are linear in the features, its scaling included.

        Its weights are what it says of the axes, less what it says of 0.
        """
        dim = self.weight.shape[1]
        at = apply(np.vstack([np.zeros((1, dim)), np.eye(dim)]))
        self.bias.copy_(at[0])
        self.weight.copy_((at[1:] - at[0]).T)
        return self


class PatientModel(nn.Module):
    """What is said of windows, and of their patient.

    Parameters
    ----------
    classifier
        Of windows: a `ProbeClassifier`, or a fine-tuned `WindowClassifier`.
    pool
        Attention over the windows of a patient.

    Examples
    --------
    ::

        evidence = model.evidence(windows)
        evidence.pooled(model.pool).softmax(1)
    """

    def __init__(
        self, classifier: WindowClassifier | ProbeClassifier, pool: TrialAttention
    ) -> None:
        super().__init__()
        self.classifier, self.pool = classifier, pool

    @property
    def device(self) -> torch.device:
        """Where the encoder is; attention, which is small, stays on the CPU."""
        return next(self.classifier.parameters()).device

    @torch.no_grad()
    def evidence(self, windows: WindowSet) -> Evidence:
        """Return features and logits of all windows, on the CPU; labels are not read.

        Windows go to the device a few at a time.
        """
        return evidence_of(self.classifier, windows)

    def architecture(self) -> dict[str, Any]:
        """Return what builds it again, plain JSON values."""
        head: dict[str, Any] = {"kind": "probe"}
        if isinstance(self.classifier, WindowClassifier):
            head = {"kind": "finetuned", "config": asdict(self.classifier.config)}
        return {
            "network": "patient-model",
            "encoder": architecture_of_encoder(self.classifier.encoder),
            "head": head,
            "classes": self.classifier.classes,
            "pool": {"dim": self.pool.dim, "hidden": self.pool.hidden},
        }


def evidence_of(classifier: WindowClassifier | ProbeClassifier, windows: WindowSet) -> Evidence:
    """Return features and logits of all windows of a classifier in eval mode, on the CPU."""
    device = next(classifier.parameters()).device
    features, logits = list[Tensor](), list[Tensor]()
    for first in range(0, len(windows), _AT_ONCE):
        rows = np.arange(first, min(first + _AT_ONCE, len(windows)))
        with torch.no_grad():
            found = classifier.encoder.encode(windows.batch(rows).to(device))  # type: ignore[operator]  # a Pretext
            features.append(found.float().cpu())
            logits.append(classifier.classify(found).double().cpu())
    return Evidence(torch.cat(features), torch.cat(logits), windows.table)


def patient_model_from(architecture: Mapping[str, Any]) -> PatientModel:
    """Return the model, its weights not yet set.

    Raises
    ------
    RefusedInputError
        Not an architecture of `PatientModel.architecture`.
    """
    classifier: WindowClassifier | ProbeClassifier
    match architecture:
        case {"network": "patient-model", "encoder": dict(inner), "head": dict(head), **rest}:
            encoder, classes = encoder_from(inner), int(rest["classes"])
            if head["kind"] == "probe":
                classifier = ProbeClassifier(encoder, classes=classes)
            else:
                classifier = WindowClassifier(encoder, classes, HeadConfig(**head["config"]))
            return PatientModel(classifier, TrialAttention(**rest["pool"]))
    msg = "the weights are of no model of signals; give the folder of a finished training."
    raise RefusedInputError(msg)
