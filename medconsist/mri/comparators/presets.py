"""Comparators by name and size."""

from collections.abc import Mapping

from medconsist.errors import RefusedInputError
from medconsist.mri.comparators.cascade_net import CascadeNetConfig
from medconsist.mri.comparators.kiki_net import KikiNetConfig
from medconsist.mri.comparators.lpd_net import LpdNetConfig
from medconsist.mri.comparators.settings import ComparatorConfig
from medconsist.mri.comparators.unet import UNetConfig
from medconsist.mri.comparators.var_net import VarNetConfig

__all__ = ["PRESETS", "SIZES", "preset"]

SIZES = ("small", "published", "released")

PRESETS: Mapping[str, Mapping[str, ComparatorConfig]] = {
    "unet": {
        "small": UNetConfig(features=8),
        "published": UNetConfig(),
        "released": UNetConfig(),
    },
    "cascadenet": {
        "small": CascadeNetConfig(features=48),
        "published": CascadeNetConfig(activation="relu"),
        "released": CascadeNetConfig.released(),
    },
    "kikinet": {
        "small": KikiNetConfig(block="unet", features=16),
        "published": KikiNetConfig(),
        "released": KikiNetConfig.released(),
    },
    "lpdnet": {
        "small": LpdNetConfig(iterations=5, block="unet", features=10),
        "published": LpdNetConfig(),
        "released": LpdNetConfig.released(),
    },
    "varnet": {
        "small": VarNetConfig(cascades=4, features=8, pools=3),
        "published": VarNetConfig(maps="learnt"),
        "released": VarNetConfig.released(),
    },
}
"""By kind, then by size.

``"small"``: 0.32 to 0.49 million parameters, to be trained on a CPU, no iteration shared; U-Nets
in KIKI-net and LPD-net, as in every comparison with CIRIM. ``"published"``: as the papers say.
``"released"``: ATOMMIC's configurations (Stanford knees), with the weights that it shares.
"""


def preset(kind: str, size: str = "small") -> ComparatorConfig:
    """Return the architecture of that kind and size.

    Raises
    ------
    RefusedInputError
        There is none of that name.

    Examples
    --------
    >>> preset("varnet", "released").blocks
    8
    """
    if kind not in PRESETS or size not in SIZES:
        msg = (
            f"got network {kind!r} of size {size!r}; allowed: {', '.join(PRESETS)}, and "
            f"{', '.join(SIZES)}."
        )
        raise RefusedInputError(msg)
    return PRESETS[kind][size]
