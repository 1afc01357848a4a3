"""Weights for our networks, of users and of our recipes, loaded strictly."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.networks.resnet import RESNET18, RESNET50, ResNet, ResNetConfig
from medconsist.networks.vit import VisionTransformer, ViTConfig
from medconsist.results.safetensors_file import METADATA_KEY
from medconsist.training.foreign_weights import ForeignWeights, read_foreign
from medconsist.training.weights import load_state, read_weights
from medconsist.wsi.encoders.encoder import Preprocessing
from medconsist.wsi.encoders.foreign_names import to_timm_names, to_torchvision_names

__all__ = [
    "LoadedNetwork",
    "NetworkConfig",
    "build_network",
    "load_network",
    "output_dim",
]

NetworkConfig = ResNetConfig | ViTConfig


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with the tensors of a file.

    Parameters
    ----------
    network
        On the CPU, float32.
    sha256
        Of the bytes of the file.
    left_out
        Names in the file that no feature needs (heads, later stages, optimiser).
    preprocessing
        What the file says of it; None where it says nothing, as foreign files do.

    Examples
    --------
    >>> LoadedNetwork(nn.Identity(), "0" * 64, ("fc.weight",), None).left_out
    ('fc.weight',)
    """

    network: nn.Module
    sha256: str
    left_out: tuple[str, ...]
    preprocessing: Preprocessing | None


def output_dim(config: NetworkConfig) -> int:
    """Return the length of the features of a network."""
    return config.dim if isinstance(config, ResNetConfig) else config.out_dim


def build_network(config: NetworkConfig, *, generator: torch.Generator | None = None) -> nn.Module:
    """Return the network of a config with start values from the generator."""
    if isinstance(config, ResNetConfig):
        return ResNet(config, generator=generator)
    return VisionTransformer(config, generator=generator)


def load_network(path: Path, config: NetworkConfig) -> LoadedNetwork:
    """Load a file into the network of a config, every tensor or none.

    Parameters
    ----------
    path
        What `save_weights` wrote of such a network, its config in the architecture and, under
        ``input``, ``pixels``, ``mpp``, ``mean`` and ``std`` of its tiles, as the SimCLR recipe
        does; or a foreign safetensors or torch file (see `read_foreign`) with names of timm,
        torchvision, DINOv2 or Hugging Face. 16-bit floats become float32.
    config
        What the file is meant to hold.

    Raises
    ------
    MissingInputError
        There is no such file.
    UnsafeFileError
        It holds pickled content that could run programs.
    TruncatedFileError
        It ends before its own claim.
    RefusedInputError
        It belongs to another network (the first tensor that differs is named), or a value is not
        finite.
    """
    held = read_foreign(path)
    preprocessing = _own_preprocessing(path, held, config)
    if isinstance(config, ResNetConfig):
        _check_later_stages(held.state, config, path)
    with torch.device("meta"):
        network = build_network(config)
    # names and shapes alone first: nothing is joined or converted for a file that does not fit
    shapes, _ = _named({name: tensor.to("meta") for name, tensor in held.state.items()}, config)
    _load(network, shapes, path)
    state, unused = _named(held.state, config)
    network.to_empty(device="cpu")  # the strict load fills it: no start values are drawn
    state = {name: _as_float32(name, tensor, path) for name, tensor in state.items()}
    _load(network, state, path)
    return LoadedNetwork(network, held.sha256, (*unused, *held.left_out), preprocessing)


def _named(
    state: Mapping[str, Tensor], config: NetworkConfig
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    if isinstance(config, ResNetConfig):
        return to_torchvision_names(state, config)
    return to_timm_names(state, config)


def _own_preprocessing(
    path: Path, held: ForeignWeights, config: NetworkConfig
) -> Preprocessing | None:
    if METADATA_KEY not in held.metadata:
        return None
    architecture = read_weights(path).architecture
    for name, wanted in json.loads(json.dumps(config.as_dict())).items():
        if architecture.get(name) != wanted:
            msg = (
                f"{path} holds another network: {name} is {architecture.get(name)!r} there, "
                f"{wanted!r} here. Choose the encoder that it was saved from."
            )
            raise RefusedInputError(msg)
    facts = architecture.get("input")
    return None if facts is None else Preprocessing.from_facts(facts)


def _check_later_stages(state: Mapping[str, Tensor], config: ResNetConfig, path: Path) -> None:
    """Check the whole known backbone where the file has stages that a truncation leaves out.

    A file of ResNet101 or a wide one may agree in all that is built; what lies beyond tells.
    """
    for whole in (RESNET18, RESNET50):
        n = len(config.depths)
        cut = config.block == whole.block and config.depths == whole.depths[:n]
        if cut and n < len(whole.depths) and any(name.startswith("layer4.") for name in state):
            with torch.device("meta"):
                network = ResNet(whole)
            kept, _ = to_torchvision_names(state, whole)
            _load(network, {name: t.to("meta") for name, t in kept.items()}, path)


def _load(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    held = next(iter(state.values()), torch.empty(0))
    counters = [name for name in network.state_dict() if name.endswith("num_batches_tracked")]
    # torchvision's older files leave the batch counters out; no feature depends on them
    if not any(name in state for name in counters):
        zero = torch.zeros((), dtype=torch.long, device=held.device)
        state = {**state, **dict.fromkeys(counters, zero)}
    load_state(network, state, path)


def _as_float32(name: str, tensor: Tensor, path: Path) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return tensor
    if not tensor.is_floating_point() or tensor.itemsize == 1:
        msg = f"{path}: {name} is {tensor.dtype}; allowed: floats of 16, 32 or 64 bits."
        raise RefusedInputError(msg)
    if not bool(torch.isfinite(tensor).all()):
        msg = f"{path}: {name} holds values that are not finite. These weights cannot be used."
        raise RefusedInputError(msg)
    return tensor.to(torch.float32)
