"""CascadeNet: a deep cascade of small convolutional networks."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.mri.comparators.conv_stack import ConvStack
from medconsist.mri.comparators.refinement import Consistency, Refinement, RefiningCascade
from medconsist.mri.comparators.settings import ComparatorConfig

__all__ = ["CascadeNet", "CascadeNetConfig"]

_RESIDUAL_GAIN = 0.1


@dataclass(frozen=True, kw_only=True)
class CascadeNetConfig(ComparatorConfig):
    """The architecture of `CascadeNet`; by default D5-C5 of its paper, but with PReLU.

    Parameters
    ----------
    cascades
        Networks in a row; their weights are not shared.
    depth, features
        Convolutions of each, and channels between them.
    activation
        ``"prelu"``: ATOMMIC's kind, here with one slope for each activation; ``"relu"``: the
        paper's.
    sharing
        ``"none"``; ``"released"``: ATOMMIC's one PReLU for all layers of all cascades, the effect
        of a mutable default argument.
    consistency
        See `RefiningCascade`; ``"explicit"`` is the paper's, ``"kspace"`` ATOMMIC's.
    phase
        See `ComparatorConfig`.

    Raises
    ------
    RefusedInputError
        A value out of range, or a shared activation other than PReLU.

    Examples
    --------
    >>> CascadeNetConfig.released().cascades
    10
    """

    kind: ClassVar[str] = "cascadenet"

    cascades: int = 5
    depth: int = 5
    features: int = 64
    activation: Literal["prelu", "relu"] = "prelu"
    sharing: Literal["none", "released"] = "none"
    consistency: Consistency = "explicit"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sharing == "released" and self.activation == "relu":
            msg = (
                "sharing of cascadenet got 'released', and activation 'relu' has no weights to "
                "share; allowed: activation 'prelu', or sharing 'none'."
            )
            raise RefusedInputError(msg)

    @classmethod
    def released(cls) -> "CascadeNetConfig":
        """Return ATOMMIC's CCNN of its Stanford knees: 1,131,551 parameters."""
        return cls(cascades=10, sharing="released", consistency="kspace")

    @property
    def blocks(self) -> int:
        """The cascades."""
        return self.cascades


class CascadeNet(RefiningCascade):
    """CNNs of ``depth`` layers in a row, each followed by data consistency.

    Schlemper et al. 2018, doi:10.1109/TMI.2017.2760978 (arXiv:1704.02422): a residual network of
    five 3 x 3 convolutions, then data consistency, five times; one coil. With several coils data
    consistency is one step along the gradient of the data term. ATOMMIC's form differs in five
    ways, see `CascadeNetConfig.released`: ten cascades, PReLU for ReLU, one for all layers, the
    form of data consistency, and so the sign of the residual.

    Coils meet in ``A^H`` alone, so that any unitary mix of them gives the same image. The biases
    make it non-linear in the scale of the samples; a global phase is no phase of the image unless
    it is removed (`ComparatorConfig`).

    Examples
    --------
    >>> net = CascadeNet(CascadeNetConfig(cascades=2, features=4))
    >>> y = torch.ones(1, 4, 16, 16, dtype=torch.complex64)
    >>> net(y, y[:, 0].real > 0, y[:, None] / 2, torch.tensor([0.01])).shape
    torch.Size([2, 1, 1, 1, 16, 16])
    """

    def __init__(
        self, config: CascadeNetConfig, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.config: CascadeNetConfig = config
        shared = config.sharing == "released"
        # beside the cascades, so that a weight file holds it once
        self.activation = nn.PReLU() if shared else None
        self.cascades = nn.ModuleList(
            Refinement(_stack(config, generator, shared=shared), config.consistency)
            for _ in range(config.cascades)
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stub

    @property
    def consistency(self) -> Consistency:
        """As configured."""
        return self.config.consistency

    def _network(self, part: Refinement, x: Tensor) -> Tensor:
        found: Tensor = part.net(x, self.activation)
        return found


def _stack(
    config: CascadeNetConfig, generator: torch.Generator | None, *, shared: bool
) -> ConvStack:
    return ConvStack(
        2 if config.consistency == "implicit" else 1,
        1,
        features=config.features,
        depth=config.depth,
        activation="shared" if shared else config.activation,
        gain=1.0 if config.consistency == "none" else _RESIDUAL_GAIN,
        generator=generator,
    )
