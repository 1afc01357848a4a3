"""Vision transformers whose state dicts have timm's names.

Dosovitskiy et al. 2021, arXiv:2010.11929; registers: Darcet et al. 2024, arXiv:2309.16588;
LayerScale: Touvron et al. 2021, arXiv:2103.17239; SwiGLU: Shazeer 2020, arXiv:2002.05202.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["VIT_BASE", "VIT_GIANT", "VIT_LARGE", "VIT_SMALL", "ViTConfig", "VisionTransformer"]

Tokens = Float[Tensor, "batch tokens dim"]

_CHOICES = {
    "mlp": ("gelu", "swiglu"),
    "pooling": ("token", "avg", "cls+avg"),
    "interpolation": ("none", "antialias", "dinov2"),
}
# DINOv2 adds this to the wanted rows and columns before it divides by the trained ones.
_DINOV2_OFFSET = 0.1


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """The architecture of a vision transformer, as plain values.

    Parameters
    ----------
    image_size
        Side of the pictures whose patches ``pos_embed`` has places for [px].
    patch_size
        Side of a patch [px]; divides the image size.
    channels
        Of the pictures.
    dim, depth, heads
        Length of a token, number of blocks, heads of each; heads divide the length.
    mlp_ratio
        Rows of ``mlp.fc1`` over ``dim``, rounded down as timm does. With ``"swiglu"`` these are
        gate and value together: timm's ``2.66667 * 2`` gives 8192 rows for ``dim=1536``.
    mlp
        ``"gelu"``: ``fc2(GELU(fc1 x))``; ``"swiglu"``: ``fc2(SiLU(g) * v)``, ``[g, v] = fc1 x``
        (timm's ``SwiGLUPacked``).
    qkv_bias
        Whether ``attn.qkv`` has a bias.
    layer_scale
        Start value of ``ls1.gamma`` and ``ls2.gamma``; None for no LayerScale.
    registers
        Register tokens after the class token.
    no_embed_class
        Position embeddings for patches alone, not for class and register tokens (timm's name).
    pooling
        ``"token"``: class token; ``"avg"``: mean of the patch tokens, registers left out;
        ``"cls+avg"``: both in a row, twice the length.
    norm_after_pooling
        Norm of the pooled vector (``fc_norm``, timm's way for ``"avg"``) instead of the tokens
        (``norm``). Not for ``"cls+avg"``.
    norm_eps
        Of every layer norm; timm and DINOv2 1e-6, Hugging Face's ViT 1e-12.
    interpolation
        What pictures of another size than ``image_size`` get: ``"none"``: they are refused;
        ``"antialias"``: position embeddings by bicubic interpolation with antialiasing (timm, and
        DINOv2 with registers); ``"dinov2"``: bicubic without antialiasing by the factor
        ``(n + .1) / trained`` a side (DINOv2 without registers).

    Raises
    ------
    RefusedInputError
        A value is outside its range.

    Examples
    --------
    >>> ViTConfig(dim=384, heads=6, pooling="cls+avg").out_dim
    768
    """

    image_size: int = 224
    patch_size: int = 16
    channels: int = 3
    dim: int = 768
    depth: int = 12
    heads: int = 12
    mlp_ratio: float | int = 4.0
    mlp: Literal["gelu", "swiglu"] = "gelu"
    qkv_bias: bool = True
    layer_scale: float | int | None = None
    registers: int = 0
    no_embed_class: bool = False
    pooling: Literal["token", "avg", "cls+avg"] = "token"
    norm_after_pooling: bool = False
    norm_eps: float = 1e-6
    interpolation: Literal["none", "antialias", "dinov2"] = "none"

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if (got := getattr(self, name)) not in allowed:
                msg = f"{name} got {got!r}; allowed: {', '.join(map(repr, allowed))}."
                raise RefusedInputError(msg)
        sizes = (self.image_size, self.patch_size, self.channels, self.dim, self.depth, self.heads)
        if min(sizes) < 1 or self.registers < 0 or self.hidden < 1:
            msg = f"Sizes got {asdict(self)}; allowed: at least 1, registers at least 0."
            raise RefusedInputError(msg)
        self._check_divisions()
        if self.pooling == "cls+avg" and self.norm_after_pooling:
            msg = 'norm_after_pooling is for pooling "token" and "avg"; "cls+avg" norms the tokens.'
            raise RefusedInputError(msg)

    def _check_divisions(self) -> None:
        for name, value, by, divisor in (
            ("image_size", self.image_size, "patch_size", self.patch_size),
            ("dim", self.dim, "heads", self.heads),
            ("rows of swiglu", self.hidden, "gate and value", 2 if self.mlp == "swiglu" else 1),
        ):
            if value % divisor:
                msg = f"{name} got {value}; allowed: multiples of {divisor} ({by})."
                raise RefusedInputError(msg)

    @property
    def grid(self) -> int:
        """Patches a side."""
        return self.image_size // self.patch_size

    @property
    def hidden(self) -> int:
        """Rows of ``mlp.fc1``."""
        return int(self.dim * self.mlp_ratio)

    @property
    def out_dim(self) -> int:
        """Length of the output."""
        return self.dim * (2 if self.pooling == "cls+avg" else 1)

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON knows them."""
        return {"network": "vit", **asdict(self)}


VIT_SMALL = ViTConfig(dim=384, depth=12, heads=6)
VIT_BASE = ViTConfig(dim=768, depth=12, heads=12)
VIT_LARGE = ViTConfig(dim=1024, depth=24, heads=16)
VIT_GIANT = ViTConfig(
    patch_size=14, dim=1536, depth=40, heads=24, mlp="swiglu", mlp_ratio=2.66667 * 2
)


class VisionTransformer(nn.Module):
    """Pictures to vectors: patches to tokens, blocks of attention, one pooled token.

    ``x <- x + ls1(attn(norm1 x))``, then ``x <- x + ls2(mlp(norm2 x))``, in the order class token,
    registers, patches by rows. Names and shapes are those of timm's ``VisionTransformer`` with
    ``num_classes=0``.

    Parameters
    ----------
    config
        See `ViTConfig`.
    generator
        Draws the start values (normal cut at two sigma of .02; biases 0); None uses torch's global
        state.

    Examples
    --------
    >>> config = ViTConfig(image_size=32, dim=32, depth=2, heads=4, registers=4)
    >>> net = VisionTransformer(config).eval()
    >>> net(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 32])
    """

    def __init__(self, config: ViTConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        prefix = 1 + config.registers
        places = config.grid**2 + (0 if config.no_embed_class else prefix)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.dim))
        self.register_parameter("reg_token", None)
        if config.registers:
            self.reg_token = nn.Parameter(torch.empty(1, config.registers, config.dim))
        self.pos_embed = nn.Parameter(torch.empty(1, places, config.dim))
        self.patch_embed = _PatchEmbedding(config)
        self.blocks = nn.Sequential(*(_TransformerBlock(config) for _ in range(config.depth)))
        norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.norm = nn.Identity() if config.norm_after_pooling else norm
        self.fc_norm = norm if config.norm_after_pooling else nn.Identity()
        self._draw(generator)

    def forward(
        self,
        pictures: Float[Tensor, "batch channels height width"],
        *,
        low_memory: bool = False,
    ) -> Float[Tensor, "batch out_dim"]:
        """Return one vector a picture.

        Parameters
        ----------
        pictures
            Normalised as the weights want it; of the image size, or of multiples of the patch size
            where the config asks for interpolation.
        low_memory
            Keep nothing within a block while differentiating: about a third more time.

        Raises
        ------
        ShapeError
            The size of the pictures does not fit.
        """
        x = self.norm(self._blocks(self._embedded(pictures), low_memory=low_memory))
        patches = x[:, 1 + self.config.registers :]
        match self.config.pooling:
            case "token":
                pooled = x[:, 0]
            case "avg":
                pooled = patches.mean(dim=1)
            case _:
                pooled = torch.cat([x[:, 0], patches.mean(dim=1)], dim=-1)
        return self.fc_norm(pooled)

    def _blocks(self, x: Tokens, *, low_memory: bool) -> Tokens:
        if not (low_memory and torch.is_grad_enabled()):
            return self.blocks(x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False, preserve_rng_state=False)
        return x

    def _embedded(self, pictures: Tensor) -> Tokens:
        rows, columns = self._patches_of(pictures)
        patches = self.patch_embed(pictures)
        first: Tensor = self.cls_token
        if self.reg_token is not None:
            first = torch.cat([first, self.reg_token], dim=1)
        n_prefix = 0 if self.config.no_embed_class else first.shape[1]
        of_prefix, of_patches = self.pos_embed[:, :n_prefix], self.pos_embed[:, n_prefix:]
        if n_prefix:
            first = first + of_prefix
        placed = patches + self._interpolated(of_patches, rows, columns)
        return torch.cat([first.expand(len(placed), -1, -1), placed], dim=1)

    def _patches_of(self, pictures: Tensor) -> tuple[int, int]:
        height, width = pictures.shape[-2:]
        size, patch = self.config.image_size, self.config.patch_size
        if (height, width) != (size, size) and self.config.interpolation == "none":
            msg = (
                f"The pictures have {height} x {width} px; allowed: {size} x {size}, or another "
                "size where the config asks for an interpolation of the position embeddings."
            )
            raise ShapeError(msg)
        if height % patch or width % patch or not height or not width:
            msg = f"The pictures have {height} x {width} px; allowed: multiples of {patch}."
            raise ShapeError(msg)
        return height // patch, width // patch

    def _interpolated(self, places: Tensor, rows: int, columns: int) -> Tensor:
        grid = self.config.grid
        if (rows, columns) == (grid, grid):
            return places
        square = places.float().reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
        if self.config.interpolation == "dinov2":
            factors = [(n + _DINOV2_OFFSET) / grid for n in (rows, columns)]
            found = functional.interpolate(square, scale_factor=factors, mode="bicubic")
        else:
            found = functional.interpolate(
                square, size=(rows, columns), mode="bicubic", antialias=True
            )
        return found.flatten(2).transpose(1, 2).to(places.dtype)

    def _draw(self, generator: torch.Generator | None) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                _cut_normal(module.weight, generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        _cut_normal(self.pos_embed, generator)
        nn.init.normal_(self.cls_token, std=1e-6, generator=generator)
        if self.reg_token is not None:
            nn.init.normal_(self.reg_token, std=1e-6, generator=generator)


class _PatchEmbedding(nn.Module):
    """Each patch to a token by one linear map, written as a convolution."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        size = config.patch_size
        self.proj = nn.Conv2d(config.channels, config.dim, size, stride=size)

    def forward(self, pictures: Float[Tensor, "batch channels height width"]) -> Tokens:
        return self.proj(pictures).flatten(2).transpose(1, 2)


class _Attention(nn.Module):
    """Self-attention; ``qkv`` holds queries, keys and values of all heads, in that order."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self._heads = config.heads
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=config.qkv_bias)
        self.proj = nn.Linear(config.dim, config.dim)

    def forward(self, x: Tokens) -> Tokens:
        qkv = self.qkv(x).unflatten(-1, (3, self._heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(found.transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self._gated = config.mlp == "swiglu"
        self.fc1 = nn.Linear(config.dim, config.hidden)
        self.fc2 = nn.Linear(config.hidden // (2 if self._gated else 1), config.dim)

    def forward(self, x: Tokens) -> Tokens:
        if not self._gated:
            return self.fc2(functional.gelu(self.fc1(x)))
        gate, value = self.fc1(x).chunk(2, dim=-1)
        return self.fc2(functional.silu(gate) * value)


class _LayerScale(nn.Module):
    def __init__(self, dim: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(start)))

    def forward(self, x: Tokens) -> Tokens:
        return x * self.gamma


class _TransformerBlock(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.attn = _Attention(config)
        self.ls1 = self._scale(config)
        self.norm2 = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.mlp = _Mlp(config)
        self.ls2 = self._scale(config)

    @staticmethod
    def _scale(config: ViTConfig) -> nn.Module:
        if config.layer_scale is None:
            return nn.Identity()
        return _LayerScale(config.dim, float(config.layer_scale))

    def forward(self, x: Tokens) -> Tokens:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


def _cut_normal(tensor: Tensor, generator: torch.Generator | None) -> None:
    nn.init.trunc_normal_(tensor, std=0.02, a=-0.04, b=0.04, generator=generator)
