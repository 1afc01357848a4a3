"""Residual networks whose state dicts have torchvision's names, truncated where wanted.

He et al. 2016, arXiv:1512.03385. The stride of a bottleneck lies in its 3 x 3 convolution, as in
torchvision ("v1.5"), not in the first 1 x 1 of the paper.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError

__all__ = ["RESNET18", "RESNET50", "RESNET50_LAYER3", "ResNet", "ResNetConfig"]

_STEM = 64
_EXPANSION = {"basic": 1, "bottleneck": 4}
_MOST_STAGES = 4


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """The architecture of a residual network, as plain values.

    Parameters
    ----------
    block
        ``"basic"``: two 3 x 3 convolutions; ``"bottleneck"``: 1 x 1, 3 x 3, 1 x 1.
    depths
        Blocks of ``layer1``, ``layer2`` ...; 1 to 4 stages. What is not listed is not built:
        ``(3, 4, 6)`` is ResNet50 truncated after ``layer3``.
    channels
        Of the pictures; at least 1.

    Raises
    ------
    RefusedInputError
        A value is outside its range.

    Examples
    --------
    >>> ResNetConfig(block="bottleneck", depths=(3, 4, 6)).dim
    1024
    """

    block: Literal["basic", "bottleneck"] = "bottleneck"
    depths: tuple[int, ...] = (3, 4, 6, 3)
    channels: int = 3

    def __post_init__(self) -> None:
        if self.block not in _EXPANSION:
            msg = f"block got {self.block!r}; allowed: {', '.join(map(repr, _EXPANSION))}."
            raise RefusedInputError(msg)
        if not 1 <= len(self.depths) <= _MOST_STAGES or min(self.depths) < 1 or self.channels < 1:
            msg = (
                f"depths got {self.depths}, channels {self.channels}; allowed: 1 to {_MOST_STAGES} "
                "stages of at least one block, at least one channel."
            )
            raise RefusedInputError(msg)

    @property
    def dim(self) -> int:
        """Channels of the last stage, and so the length of the output."""
        return _STEM * 2 ** (len(self.depths) - 1) * _EXPANSION[self.block]

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON knows them."""
        return {"network": "resnet", **asdict(self), "depths": list(self.depths)}


RESNET18 = ResNetConfig(block="basic", depths=(2, 2, 2, 2))
RESNET50 = ResNetConfig(block="bottleneck", depths=(3, 4, 6, 3))
RESNET50_LAYER3 = ResNetConfig(block="bottleneck", depths=(3, 4, 6))


class ResNet(nn.Module):
    """Pictures to vectors: convolutions, then the mean over the last map.

    Names and shapes are those of torchvision's ``resnet18`` and ``resnet50`` without ``fc``: 318
    entries for the whole ResNet50, batch counters included. Weights of either load strictly.

    Parameters
    ----------
    config
        See `ResNetConfig`.
    generator
        Draws the start values (Kaiming normal, fan out); None uses torch's global state.

    Examples
    --------
    >>> net = ResNet(ResNetConfig(block="basic", depths=(1, 1))).eval()
    >>> net(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 128])
    """

    def __init__(self, config: ResNetConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(config.channels, _STEM, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM)
        self._stages = list[str]()
        inputs = _STEM
        for stage, depth in enumerate(config.depths):
            width = _STEM * 2**stage
            blocks = nn.Sequential()
            for number in range(depth):
                stride = 2 if stage > 0 and number == 0 else 1
                blocks.append(_Block(config.block, inputs, width, stride=stride))
                inputs = width * _EXPANSION[config.block]
            self._stages.append(f"layer{stage + 1}")
            self.add_module(self._stages[-1], blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu", generator=generator
                )

    def feature_map(
        self, pictures: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch dim rows columns"]:
        """Return the map of the last stage, 4, 8, 16 or 32 times coarser than the pictures."""
        x = functional.relu(self.bn1(self.conv1(pictures)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for stage in self._stages:
            x = self.get_submodule(stage)(x)
        return x

    def forward(
        self, pictures: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch dim"]:
        """Return one vector a picture, the mean of `feature_map` over rows and columns."""
        return self.feature_map(pictures).mean(dim=(2, 3))


class _Block(nn.Module):
    """Residual block; the input is projected where size or channels change."""

    def __init__(self, kind: str, inputs: int, width: int, *, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION[kind]
        # kernel and stride of each convolution; a bottleneck's stride is in the second
        steps = (
            [(3, stride, width), (3, 1, outputs)]
            if kind == "basic"
            else [(1, 1, width), (3, stride, width), (1, 1, outputs)]
        )
        self._n, before = len(steps), inputs
        for n, (size, step, after) in enumerate(steps, start=1):
            conv = nn.Conv2d(before, after, size, stride=step, padding=size // 2, bias=False)
            self.add_module(f"conv{n}", conv)
            self.add_module(f"bn{n}", nn.BatchNorm2d(after))
            before = after
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            project = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(outputs))

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs rows columns"]:
        y = x
        for n in range(1, self._n + 1):
            y = self.get_submodule(f"bn{n}")(self.get_submodule(f"conv{n}")(y))
            if n < self._n:
                y = functional.relu(y)
        return functional.relu(y + self.downsample(x))
