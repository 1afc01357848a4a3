"""The instance side of INS: what encodes, classifies and compares single instances."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.consistency.prototypes import Prototypes
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.models.base import start_xavier

__all__ = ["InstanceModel", "InstanceOutput"]


class InstanceOutput(NamedTuple):
    """What is said of single instances.

    Parameters
    ----------
    features
        Of the encoder.
    logits
        Of the instance classifier.
    projection
        Of unit length, in float32 also under autocast.

    Examples
    --------
    >>> import torch
    >>> InstanceOutput(torch.zeros(1, 8), torch.zeros(1, 2), torch.zeros(1, 4)).logits.shape
    torch.Size([1, 2])
    """

    features: Tensor
    logits: Tensor
    projection: Tensor


class _Branch(nn.Module):
    """Encoder and projector ``width - width - projection``: what the slow average copies."""

    def __init__(
        self, encoder: nn.Module, width: int, projection: int, generator: Generator
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection)
        )
        start_xavier(self.projector, generator)

    def project(
        self, features: Float[Tensor, "instances width"]
    ) -> Float[Tensor, "instances projection"]:
        return functional.normalize(self.projector(features).float(), dim=1)

    def forward(self, shown: Float[Tensor, "instances ..."]) -> tuple[Tensor, Tensor]:
        features = self.encoder(shown)
        return features, self.project(features)


class InstanceModel(nn.Module):
    """Encoder, instance classifier, projector and one prototype a class.

    Parameters
    ----------
    encoder
        From what is shown of an instance to ``width`` numbers.
    width
        Length of its output.
    config
        See `InsConfig`.
    generator
        Source of the first weights of classifier and projector.

    Examples
    --------
    >>> import torch
    >>> model = InstanceModel(nn.Linear(4, 8), 8, InsConfig(), generator=Generator())
    >>> model(torch.ones(3, 4)).projection.shape
    torch.Size([3, 128])
    """

    def __init__(
        self, encoder: nn.Module, width: int, config: InsConfig, *, generator: Generator
    ) -> None:
        super().__init__()
        self.branch = _Branch(encoder, width, config.projection, generator)
        self.classifier = nn.Linear(width, 2)
        self.prototypes = Prototypes(
            2, config.projection, config.prototype_momentum, config.prototype_update
        )
        start_xavier(self.classifier, generator)

    def forward(self, shown: Float[Tensor, "instances ..."]) -> InstanceOutput:
        """Return features, logits and projection of each instance."""
        features, projection = self.branch(shown)
        return InstanceOutput(features, self.classifier(features), projection)

    def prototype_probabilities(
        self, features: Float[Tensor, "instances width"]
    ) -> Float[Tensor, "instances 2"]:
        r"""Return :math:`\mathrm{softmax}(q \mu^T)`, without temperature, of encoder features."""
        return self.prototypes.logits(self.branch.project(features)).softmax(1)
