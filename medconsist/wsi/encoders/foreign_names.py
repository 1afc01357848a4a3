"""State dicts of other programs under the names of timm and torchvision.

Facts are read off huggingface/pytorch-image-models, facebookresearch/dinov2 and
huggingface/transformers (all Apache-2.0).
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from medconsist.networks.resnet import ResNetConfig
from medconsist.networks.vit import ViTConfig

__all__ = ["to_timm_names", "to_torchvision_names"]

State = dict[str, Tensor]

# Heads, and the token that stands for hidden patches while DINOv2 trains: no part of a feature.
_UNUSED = re.compile(r"^(head|fc|head_dist|pooler|classifier)\.|^(embeddings\.)?mask_token$")
_DINOV2 = {
    r"^register_tokens$": "reg_token",
    r"\.mlp\.w12\.": ".mlp.fc1.",
    r"\.mlp\.w3\.": ".mlp.fc2.",
}
# Hugging Face's ViTModel and Dinov2Model; keys and values are joined afterwards.
_HUGGING_FACE = {
    r"^embeddings\.cls_token$": "cls_token",
    r"^embeddings\.register_tokens$": "reg_token",
    r"^embeddings\.position_embeddings$": "pos_embed",
    r"^embeddings\.patch_embeddings\.projection\.": "patch_embed.proj.",
    r"^layernorm\.": "norm.",
    r"^encoder\.layer\.(\d+)\.": r"blocks.\1.",
    r"\.attention\.output\.dense\.": ".attn.proj.",
    r"\.attention\.attention\.(query|key|value)\.": r".attn.\1.",
    r"\.layernorm_before\.": ".norm1.",
    r"\.layernorm_after\.": ".norm2.",
    r"\.intermediate\.dense\.": ".mlp.fc1.",
    r"\.(?<!attention\.)output\.dense\.": ".mlp.fc2.",
    r"\.mlp\.weights_in\.": ".mlp.fc1.",
    r"\.mlp\.weights_out\.": ".mlp.fc2.",
    r"\.layer_scale([12])\.lambda1$": r".ls\1.gamma",
}
_QUERY = ".attn.query."


def to_timm_names(state: Mapping[str, Tensor], config: ViTConfig) -> tuple[State, tuple[str, ...]]:
    """Return a vision transformer's tensors under timm's names, and the names that were left out.

    Known are timm itself, DINOv2 of torch hub (``register_tokens``, ``mlp.w12``, ``mlp.w3``,
    ``mask_token``) and Hugging Face's ``ViTModel`` and ``Dinov2Model`` (queries, keys and values
    apart). DINOv2 gives the class token a place and the registers none; where the config has no
    places for either (timm's ``no_embed_class``), that place is added to the class token, which is
    the same sum. Names of no known program stay, for the strict load to refuse.

    Parameters
    ----------
    state
        Name to tensor.
    config
        The network that they are meant for.

    Returns
    -------
    tuple of dict and tuple
        Tensors by name; names of heads and mask token.
    """
    is_hugging_face = "embeddings.cls_token" in state
    rules = _HUGGING_FACE if is_hugging_face else _DINOV2
    kept, unused = _without_heads(state)
    named = {_renamed(name, rules): tensor for name, tensor in kept.items()}
    if is_hugging_face:
        named = _joined(named)
    return _class_place_added(named, config), unused


def to_torchvision_names(
    state: Mapping[str, Tensor], config: ResNetConfig
) -> tuple[State, tuple[str, ...]]:
    """Return the tensors of a residual network that the config builds, and the names left out.

    torchvision and timm use the same names. Stages beyond a truncation are left out; whether they
    belong to the architecture is for the caller to check.

    Parameters
    ----------
    state
        Name to tensor.
    config
        The network that they are meant for.
    """
    kept, unused = _without_heads(state)
    beyond = tuple(f"layer{n}." for n in range(len(config.depths) + 1, 5))
    cut = tuple(name for name in kept if name.startswith(beyond))
    return {name: kept[name] for name in kept if name not in cut}, (*unused, *cut)


def _without_heads(state: Mapping[str, Tensor]) -> tuple[State, tuple[str, ...]]:
    unused = tuple(name for name in state if _UNUSED.search(name))
    return {name: state[name] for name in state if name not in unused}, unused


def _renamed(name: str, rules: Mapping[str, str]) -> str:
    for pattern, ours in rules.items():
        name = re.sub(pattern, ours, name)
    return name


def _joined(state: State) -> State:
    """Join queries, keys and values, in this order, where all three are there."""
    joined = dict(state)
    for name in state:
        parts = [name.replace(_QUERY, f".attn.{part}.") for part in ("query", "key", "value")]
        if _QUERY in name and all(part in state for part in parts):
            joined[name.replace(_QUERY, ".attn.qkv.")] = torch.cat(
                [joined.pop(part) for part in parts]
            )
    return joined


def _class_place_added(state: State, config: ViTConfig) -> State:
    places = state.get("pos_embed")
    wanted = (1, config.grid**2 + 1, config.dim)
    if not config.no_embed_class or places is None or tuple(places.shape) != wanted:
        return state
    if "cls_token" not in state:
        return state
    token = state["cls_token"] + places[:, :1]
    return {**state, "cls_token": token, "pos_embed": places[:, 1:]}
