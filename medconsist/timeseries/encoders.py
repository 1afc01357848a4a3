"""Any encoder of windows as plain JSON, and back: of a pretext task, or EEGNet."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import safetensors.torch
from torch import nn

from medconsist._digests import sha256_of_bytes
from medconsist.errors import RefusedInputError
from medconsist.timeseries.eegnet import EegNet, EegNetConfig
from medconsist.timeseries.pretext import Pretext, PretextSize
from medconsist.timeseries.pretexts import architecture_of, pretext_from
from medconsist.timeseries.window_set import WindowSet

__all__ = ["architecture_of_encoder", "digest_of_weights", "encoder_from", "refuse_other_size"]


def architecture_of_encoder(encoder: nn.Module) -> dict[str, Any]:
    """Return what builds the encoder again, plain JSON values.

    Parameters
    ----------
    encoder
        A pretext task, or EEGNet.

    Raises
    ------
    RefusedInputError
        Another network.
    """
    if isinstance(encoder, EegNet):
        size, config = asdict(encoder.size), asdict(encoder.config)
        return {"encoder": "eegnet", "size": size, "config": config}
    if isinstance(encoder, Pretext):
        return {"encoder": "pretext", "pretext": dict(architecture_of(encoder))}
    msg = f"{type(encoder).__name__} cannot be stored; allowed: a pretext task, or EegNet."
    raise RefusedInputError(msg)


def encoder_from(architecture: Mapping[str, Any]) -> nn.Module:
    """Return the encoder, its weights not yet set.

    Raises
    ------
    RefusedInputError
        Not an architecture of `architecture_of_encoder`.
    """
    match architecture:
        case {"encoder": "pretext", "pretext": dict(inner)}:
            return pretext_from(inner)
        case {"encoder": "eegnet", "size": dict(size), "config": dict(config)}:
            return EegNet(PretextSize(**size), EegNetConfig(**config))
    msg = f"no encoder is described by {dict(architecture)}; take weights of this library."
    raise RefusedInputError(msg)


def refuse_other_size(encoder: nn.Module, windows: WindowSet) -> None:
    """Refuse windows that an encoder was not built for, and an empty set.

    Raises
    ------
    RefusedInputError
        Another number of channels, length or rate, or no window at all.
    """
    if len(windows) == 0:
        msg = "got no windows; allowed: at least one. Nothing is left after the choice of patients."
        raise RefusedInputError(msg)
    size, wanted = PretextSize.of(windows), getattr(encoder, "size", None)
    if wanted is not None and wanted != size:
        msg = (
            f"the encoder was built for {_said(wanted)}, the windows are {_said(size)}; prepare "
            "them as for its training."
        )
        raise RefusedInputError(msg)


def _said(size: PretextSize) -> str:
    return f"{size.channels} channels of {size.samples} samples at {size.rate:g} Hz"


def digest_of_weights(network: nn.Module) -> str:
    """Return the sha256 of the weights of a network, wherever they came from."""
    state = {name: one.detach().cpu().contiguous() for name, one in network.state_dict().items()}
    return sha256_of_bytes(safetensors.torch.save(state))
