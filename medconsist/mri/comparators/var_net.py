"""The end-to-end variational network."""

from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.mri.comparators.comparator import State
from medconsist.mri.comparators.norm_unet import NormUnet
from medconsist.mri.comparators.refinement import Consistency, Refinement, RefiningCascade
from medconsist.mri.comparators.scan import Scan, to_kspace
from medconsist.mri.comparators.sensitivity_net import SensitivityNet
from medconsist.mri.comparators.settings import ComparatorConfig

__all__ = ["VarNet", "VarNetConfig"]


@dataclass(frozen=True, kw_only=True)
class VarNetConfig(ComparatorConfig):
    """The architecture of `VarNet`; by default that of its paper, but with given maps.

    Parameters
    ----------
    cascades
        U-Nets in a row; their weights are not shared. 12 in the paper, 8 in ATOMMIC's
        configurations.
    features, pools
        Of each U-Net, see `NormUnet`.
    consistency
        See `RefiningCascade`; ``"kspace"`` is the paper's and ATOMMIC's.
    maps
        ``"given"``: of the measurement; ``"learnt"``: by `SensitivityNet` from the calibration
        region, trained with the rest, as in the paper. It goes with ``"kspace"`` alone.
    sensitivity_features, sensitivity_pools
        Of the U-Net that makes the maps.
    phase
        See `ComparatorConfig`.

    Raises
    ------
    RefusedInputError
        A value out of range, or learnt maps with another form of data consistency.

    Examples
    --------
    >>> VarNetConfig(maps="learnt").sensitivity_features
    8
    """

    kind: ClassVar[str] = "varnet"

    cascades: int = 12
    features: int = 18
    pools: int = 4
    consistency: Consistency = "kspace"
    maps: Literal["given", "learnt"] = "given"
    sensitivity_features: int = 8
    sensitivity_pools: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.maps == "learnt" and self.consistency != "kspace":
            msg = (
                f"varnet with maps 'learnt' got consistency {self.consistency!r}; allowed: "
                "'kspace', or maps 'given'."
            )
            raise RefusedInputError(msg)

    @classmethod
    def released(cls) -> "VarNetConfig":
        """Return ATOMMIC's VarNet of its Stanford knees: 19,634,712 parameters."""
        return cls(cascades=8)

    @property
    def blocks(self) -> int:
        """The cascades."""
        return self.cascades


class VarNet(RefiningCascade):
    """E2E-VarNet: ``k' = k - w M (k - y) - E U(E^H k)`` with U-Nets U.

    Sriram et al. 2020, arXiv:2004.06688. The images are those of the maps that are given,
    ``E^H k``, also where the network works with maps of its own: they then agree with the
    measurement as those of any other method, while the paper returns the root of the sum of
    squares over coils.

    With given maps coils meet in ``A^H`` alone, so that any unitary mix of them gives the same
    image; learnt maps see coil by coil, and only their order does not matter. A positive factor of
    the samples is a factor of the image. A global phase is not, unless it is removed
    (`ComparatorConfig`).

    Raises
    ------
    CalibrationError
        Maps are to be learnt, and a mask has no fully sampled centre.

    Examples
    --------
    >>> net = VarNet(VarNetConfig(cascades=2, features=4, pools=2))
    >>> y = torch.ones(1, 4, 16, 16, dtype=torch.complex64)
    >>> net(y, y[:, 0].real > 0, y[:, None] / 2, torch.tensor([0.01])).shape
    torch.Size([2, 1, 1, 1, 16, 16])
    """

    def __init__(self, config: VarNetConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config: VarNetConfig = config
        self.cascades = nn.ModuleList(
            Refinement(_unet(config, generator), config.consistency) for _ in range(config.cascades)
        )
        if config.maps == "learnt":
            self.sensitivity = SensitivityNet(
                features=config.sensitivity_features,
                pools=config.sensitivity_pools,
                generator=generator,
            )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stub

    @property
    def consistency(self) -> Consistency:
        """As configured."""
        return self.config.consistency

    def _start(self, scan: Scan) -> State:
        state = super()._start(scan)
        if self.config.maps == "learnt":
            return *state, self.sensitivity(scan.samples, scan.mask)
        return state

    def _iterate(self, scan: Scan, part: nn.Module, *state: Tensor) -> State:
        if self.config.maps == "given":
            return super()._iterate(scan, part, *state)
        _, kspace, maps = state
        refinement, coils = cast("Refinement", part), to_kspace(maps)
        refined = coils(self._refined(refinement, coils.H(kspace)))
        kspace = scan.towards_samples(kspace, refinement.dc_weight) - refined
        return scan.coils.H(kspace), kspace, maps

    def _network(self, part: Refinement, x: Tensor) -> Tensor:
        found: Tensor = part.net(x)
        return found


def _unet(config: VarNetConfig, generator: torch.Generator | None) -> NormUnet:
    return NormUnet(
        2 if config.consistency == "implicit" else 1,
        1,
        features=config.features,
        pools=config.pools,
        adds=config.consistency in ("explicit", "implicit"),
        generator=generator,
    )
