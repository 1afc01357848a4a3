"""An architecture as it is asked for on a command line: a preset, and what is to differ."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import PRESETS as CIRIM
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.comparators.presets import PRESETS as COMPARATORS
from medconsist.mri.comparators.presets import preset
from medconsist.mri.reconstruction_network import Architecture

__all__ = ["DEFAULT_NETWORK", "asked_network"]

DEFAULT_NETWORK = CirimConfig(cascades=5, steps=5, features=32, noise_input=True)
"""As of the shipped CIRIM."""

_SETTINGS = {
    "--cascades": ("cascades", "iterations"),
    "--time-steps": ("steps",),
    "--features": ("features",),
    "--unit": ("unit",),
    "--consistency": ("consistency",),
    "--coil-maps": ("maps",),
}


def asked_network(
    name: str | None, flags: Mapping[str, Any], *, size: str | None = None
) -> Architecture | None:
    """Return the architecture; None where nothing is asked for.

    Parameters
    ----------
    name
        A preset of CIRIM or a kind of comparator; None is the shipped CIRIM's.
    flags
        Value by flag, of those in `_SETTINGS`; None is not given.
    size
        Of a comparator, see `medconsist.mri.comparators.presets.preset`.

    Raises
    ------
    RefusedInputError
        No network of that name, a flag that it does not know, or a value that it does not take.

    Examples
    --------
    >>> asked_network("lpdnet", {"--cascades": 3}, size="released").iterations
    3
    """
    given = {flag: value for flag, value in flags.items() if value is not None}
    if name is None and size is None and not given:
        return None
    called = name or "cirim"
    base = _base(name, size)
    known = {field.name for field in fields(base)}
    settings = {
        flag: next((word for word in words if word in known), None)
        for flag, words in _SETTINGS.items()
    }
    if unfit := [flag for flag in given if settings[flag] is None]:
        takes = ", ".join(flag for flag, setting in settings.items() if setting)
        msg = (
            f"{' and '.join(unfit)} cannot be set with --network {called}, which takes {takes}; "
            "leave it out."
        )
        raise RefusedInputError(msg)
    changes = {str(settings[flag]): value for flag, value in given.items()}
    if "consistency" in changes:
        allowed = get_args(get_type_hints(type(base))["consistency"])
        if changes["consistency"] not in allowed:
            msg = (
                f"--consistency got {changes['consistency']!r}; allowed with --network {called}: "
                f"{', '.join(allowed)}."
            )
            raise RefusedInputError(msg)
    return replace(base, **changes)


def _base(name: str | None, size: str | None) -> Architecture:
    if name is not None and name in COMPARATORS:
        return preset(name, size or "small")
    if name is not None and name not in CIRIM:
        msg = f"--network got {name!r}; allowed: {', '.join((*CIRIM, *COMPARATORS))}."
        raise RefusedInputError(msg)
    if size is not None:
        msg = (
            f"--network-size goes with --network {', '.join(COMPARATORS)}, got --network "
            f"{name or 'cirim'}; use --cascades, --time-steps and --features."
        )
        raise RefusedInputError(msg)
    return DEFAULT_NETWORK if name is None else CIRIM[name]
