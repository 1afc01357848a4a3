"""The networks that can be trained, stored and asked for an image, by the name of their kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.comparators.cascade_net import CascadeNet, CascadeNetConfig
from medconsist.mri.comparators.kiki_net import KikiNet, KikiNetConfig
from medconsist.mri.comparators.lpd_net import LpdNet, LpdNetConfig
from medconsist.mri.comparators.unet import UNet, UNetConfig
from medconsist.mri.comparators.var_net import VarNet, VarNetConfig
from medconsist.mri.reconstruction_network import Architecture, ReconstructionNetwork

__all__ = ["KINDS", "Kind", "architecture_from", "make_network", "stored_architecture"]


@dataclass(frozen=True)
class Kind:
    """One kind of network.

    Parameters
    ----------
    config
        Its settings; ``config.kind`` is the name.
    network
        What they build: called with the settings and a keyword ``generator``.

    Examples
    --------
    >>> KINDS["cirim"].config().cascades
    5
    """

    config: type[Architecture]
    network: type[ReconstructionNetwork]


KINDS: Mapping[str, Kind] = {
    kind.config.kind: kind
    for kind in (
        Kind(CirimConfig, Cirim),
        Kind(UNetConfig, UNet),
        Kind(CascadeNetConfig, CascadeNet),
        Kind(KikiNetConfig, KikiNet),
        Kind(LpdNetConfig, LpdNet),
        Kind(VarNetConfig, VarNet),
    )
}


def make_network(
    config: Architecture, *, generator: torch.Generator | None = None
) -> ReconstructionNetwork:
    """Return the untrained network; its first weights come from ``generator``.

    Examples
    --------
    >>> make_network(CirimConfig(cascades=1, features=4)).config.cascades
    1
    """
    make: Any = KINDS[config.kind].network  # the base has no constructor of its own
    network: ReconstructionNetwork = make(config, generator=generator)
    return network


def stored_architecture(config: Architecture) -> dict[str, Any]:
    """Return what builds the network again, as JSON takes it; see `architecture_from`."""
    return {"network": config.kind, **config.as_dict()}


def architecture_from(settings: Mapping[str, Any], file: str) -> Architecture:
    """Return the architecture that a weight file names.

    Parameters
    ----------
    settings
        Of `stored_architecture`.
    file
        Name of the file, for messages.

    Raises
    ------
    RefusedInputError
        A kind that is not known, or settings that it does not take.
    """
    values = dict(settings)
    kind = values.pop("network", None)
    if kind not in KINDS:
        msg = f"{file} holds weights of the network {kind!r}; allowed: {', '.join(sorted(KINDS))}."
        raise RefusedInputError(msg)
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    try:
        return KINDS[kind].config(**values | lists)
    except TypeError as error:
        msg = f"{file} describes its network by settings that are not known here: {error}."
        raise RefusedInputError(msg) from error
