"""INS end to end: a ResNet on tiles in the place of an encoder of features."""

from jaxtyping import Float
from torch import Generator, Tensor, nn

from medconsist.networks.resnet import RESNET18, ResNet, ResNetConfig
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.instances import InstanceModel, InstanceOutput
from medconsist.wsi.mil.ins.memory import InsMemory
from medconsist.wsi.mil.models.base import start_xavier

__all__ = ["InsTilesLearner", "InsTilesNetwork"]


class InsTilesNetwork(nn.Module):
    """A tile classifier, and a classifier of the mean feature of a slide's tiles.

    The released end-to-end script feeds the softmax of the mean feature's 512 numbers to the bag's
    cross-entropy as if they were logits, and leaves its bag classifier unused; here it is used.

    Parameters
    ----------
    backbone
        Architecture of the encoder; its weights may be loaded into ``instances.branch.encoder``.
    config
        See `InsConfig`.
    generator
        Source of the first weights.

    Examples
    --------
    >>> import torch
    >>> tiny = ResNetConfig(block="basic", depths=(1,))
    >>> network = InsTilesNetwork(tiny, generator=Generator()).eval()
    >>> network(torch.zeros(2, 3, 32, 32)).logits.shape
    torch.Size([2, 2])
    """

    def __init__(
        self,
        backbone: ResNetConfig = RESNET18,
        config: InsConfig | None = None,
        *,
        generator: Generator,
    ) -> None:
        super().__init__()
        encoder = ResNet(backbone, generator=generator)
        self.instances = InstanceModel(
            encoder, backbone.dim, config or InsConfig(), generator=generator
        )
        self.classifier = nn.Linear(backbone.dim, 2)
        start_xavier(self.classifier, generator)

    def forward(self, views: Float[Tensor, "tiles 3 height width"]) -> InstanceOutput:
        """Return features, logits and projection of each tile."""
        output: InstanceOutput = self.instances(views)
        return output

    def slide_logits(
        self, views: Float[Tensor, "tiles 3 height width"]
    ) -> Float[Tensor, "slides=1 2"]:
        """Return the logits of one slide from the mean feature of these tiles of it."""
        features = self.instances.branch.encoder(views)
        logits: Tensor = self.classifier(features.mean(0, keepdim=True))
        return logits


class InsTilesLearner(nn.Module):
    """The network and what it needs to learn; answers as the network does.

    Parameters
    ----------
    model
        What learns, and all that is needed afterwards: ``learner.model.state_dict()``.
    memory
        Slow encoder, bank and soft labels.

    Examples
    --------
    >>> import torch
    >>> model = InsTilesNetwork(ResNetConfig(block="basic", depths=(1,)), generator=Generator())
    >>> memory = InsMemory(model.instances, torch.tensor([False, True]), InsConfig())
    >>> InsTilesLearner(model, memory).eval()(torch.zeros(1, 3, 32, 32)).features.shape
    torch.Size([1, 64])
    """

    def __init__(self, model: InsTilesNetwork, memory: InsMemory) -> None:
        super().__init__()
        self.model = model
        self.memory = memory

    def forward(self, views: Float[Tensor, "tiles 3 height width"]) -> InstanceOutput:
        """Return what the network says of tiles."""
        output: InstanceOutput = self.model(views)
        return output
