"""Encoders by name; a network without weights is refused, never filled with random ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import RefusedInputError
from medconsist.networks.resnet import RESNET18, RESNET50_LAYER3
from medconsist.networks.vit import VIT_BASE, VIT_GIANT, VIT_LARGE, VIT_SMALL
from medconsist.wsi.encoders.colour_texture import ColourTexture
from medconsist.wsi.encoders.encoder import (
    IMAGENET,
    Encoder,
    EncoderCard,
    Precision,
    Preprocessing,
)
from medconsist.wsi.encoders.network_encoder import NetworkEncoder
from medconsist.wsi.encoders.weights import (
    NetworkConfig,
    build_network,
    load_network,
    output_dim,
)

__all__ = ["PRESETS", "Preset", "encoder_names", "make_encoder"]

_RANDOM = "-random"
_WEIGHTLESS = "colour-texture"


@dataclass(frozen=True)
class Preset:
    """A network and how tiles were shown to it.

    Parameters
    ----------
    config
        The architecture.
    preprocessing
        As published with the weights; for networks that anyone may have trained, ImageNet's.

    Examples
    --------
    >>> PRESETS["uni"].config.depth
    24
    """

    config: NetworkConfig
    preprocessing: Preprocessing = IMAGENET


_AT_20X = replace(IMAGENET, mpp=0.5)
# DINOv2 was trained last at 518 px; at 224 px its own code interpolates the position embeddings.
_DINOV2 = {"patch_size": 14, "image_size": 518, "layer_scale": 1.0}
_DINOV2_PLAIN = {**_DINOV2, "interpolation": "dinov2"}
_DINOV2_REG = {**_DINOV2, "interpolation": "antialias", "registers": 4, "no_embed_class": True}
_SIZES = {"s": VIT_SMALL, "b": VIT_BASE, "l": VIT_LARGE, "g": VIT_GIANT}

PRESETS: Mapping[str, Preset] = {
    "resnet18": Preset(RESNET18),
    "resnet50": Preset(RESNET50_LAYER3),
    "vit-s": Preset(VIT_SMALL),
    "vit-b": Preset(VIT_BASE),
    "vit-l": Preset(VIT_LARGE),
    "uni": Preset(replace(VIT_LARGE, layer_scale=1e-5), _AT_20X),
    "uni2": Preset(
        replace(VIT_GIANT, depth=24, layer_scale=1e-5, registers=8, no_embed_class=True), _AT_20X
    ),
    "phikon": Preset(replace(VIT_BASE, norm_eps=1e-12), _AT_20X),
    "phikon-v2": Preset(replace(VIT_LARGE, layer_scale=1.0), _AT_20X),
    **{f"dinov2-{s}": Preset(replace(c, **_DINOV2_PLAIN)) for s, c in _SIZES.items()},  # type: ignore[arg-type]  # mypy reads the values of ** as one type
    **{f"dinov2-{s}-reg": Preset(replace(c, **_DINOV2_REG)) for s, c in _SIZES.items()},  # type: ignore[arg-type]  # as above
}


def encoder_names() -> tuple[str, ...]:
    """Return the names that `make_encoder` knows, apart from ``*-random``."""
    return (_WEIGHTLESS, *PRESETS)


def make_encoder(
    name: str,
    *,
    weights: Path | None = None,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    preprocessing: Preprocessing | None = None,
) -> Encoder:
    """Return an encoder by name.

    ``"colour-texture"`` needs no weights. ``"resnet50"`` is truncated after ``layer3`` (1024
    features), ``"resnet18"`` is whole (512), ``"vit-s"``, ``"vit-b"``, ``"vit-l"`` have patches of
    16 px; ``"uni"`` (arXiv:2308.15474), ``"uni2"``, ``"phikon"`` (doi:10.1101/2023.07.21.23292757),
    ``"phikon-v2"`` (arXiv:2409.09173) and ``"dinov2-s"`` to ``"dinov2-g"``, each also ``"-reg"``
    (arXiv:2304.07193), take those weights as published. ``"resnet50-random"``, and so on for every
    network, has random weights of the seed 0: for timings, never for features of a study.

    Parameters
    ----------
    name
        See `encoder_names`.
    weights
        Local file; see `load_network`. Nothing is ever fetched.
    device
        Where it computes.
    precision
        Of the computation; colour-texture is ``"fp32"`` always.
    preprocessing
        How tiles were shown to the network, instead of what the file (one that
        a recipe of ours wrote) or else the name says. A foreign file does not say:
        for ``resnet*`` and ``vit-*`` ImageNet's is taken, while timm's own ViT of ``augreg`` have
        mean and std .5. The card records what was used. Of colour-texture it sets the size alone.

    Raises
    ------
    RefusedInputError
        An unknown name, a network without weights, weights for what takes none, or a file that
        belongs to another network.
    MissingInputError, UnsafeFileError, TruncatedFileError
        See `load_network`.

    Examples
    --------
    >>> make_encoder("colour-texture").dim
    146
    >>> make_encoder("uni")
    Traceback (most recent call last):
        ...
    medconsist.errors.RefusedInputError: uni needs its weights, and nothing is fetched: ...
    """
    if precision not in get_args(Precision):
        msg = f"precision got {precision!r}; allowed: {', '.join(get_args(Precision))}."
        raise RefusedInputError(msg)
    if name == _WEIGHTLESS:
        return _weightless(weights, device=device, precision=precision, shown=preprocessing)
    is_random = name.endswith(_RANDOM)
    preset = PRESETS.get(name.removesuffix(_RANDOM))
    if preset is None:
        known = ", ".join(encoder_names())
        msg = f"There is no encoder {name!r}; allowed: {known}; for timings alone <name>-random."
        raise RefusedInputError(msg)
    if (weights is None) != is_random:
        raise RefusedInputError(_wrong_weights(name, is_random=is_random))
    if weights is None:
        network = build_network(preset.config, generator=torch.Generator().manual_seed(0))
        digest = sha256_of_bytes(canonical_json({"seed": 0, **preset.config.as_dict()}))
        stored = None
    else:
        loaded = load_network(weights, preset.config)
        network, digest, stored = loaded.network, loaded.sha256, loaded.preprocessing
    card = EncoderCard(
        name=name,
        dim=output_dim(preset.config),
        preprocessing=preprocessing or stored or preset.preprocessing,
        sha256=digest,
        precision=precision,
        settings=preset.config.as_dict(),
    )
    return NetworkEncoder(network, card=card, device=device)


def _weightless(
    weights: Path | None,
    *,
    device: torch.device | str,
    precision: Precision,
    shown: Preprocessing | None,
) -> Encoder:
    if weights is not None:
        msg = f"{_WEIGHTLESS} takes no weights, got {weights}. Leave them out."
        raise RefusedInputError(msg)
    if precision != "fp32":
        msg = f"{_WEIGHTLESS} computes in fp32 alone, got {precision}. Leave the precision out."
        raise RefusedInputError(msg)
    return ColourTexture(input_px=224 if shown is None else shown.input_px, device=device)


def _wrong_weights(name: str, *, is_random: bool) -> str:
    if is_random:
        return f"{name} draws its weights and takes none. Use {name.removesuffix(_RANDOM)!r}."
    return (
        f"{name} needs its weights, and nothing is fetched: give a local .safetensors or torch "
        f"file by --weights. Without any, use {_WEIGHTLESS!r}; for timings alone "
        f"{name + _RANDOM!r}."
    )
