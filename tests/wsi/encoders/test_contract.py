"""Every encoder keeps one contract: rows of their own, float32, the same bits, a full card."""

import json
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.resnet import ResNet, ResNetConfig
from medconsist.networks.vit import VisionTransformer, ViTConfig
from medconsist.wsi.encoders.batching import AutoBatch
from medconsist.wsi.encoders.colour_texture import ColourTexture
from medconsist.wsi.encoders.encoder import DTYPES, Encoder, EncoderCard, Preprocessing
from medconsist.wsi.encoders.network_encoder import NetworkEncoder

PX = 64
# A batch of another size splits matrix products otherwise; some tens of roundings each.
TOLERANCE = {"fp32": 1e-5, "bf16": 3e-2, "fp16": 4e-3}


def network(kind: str) -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    if kind == "vit":
        config = ViTConfig(image_size=PX, patch_size=16, dim=32, depth=2, heads=4, layer_scale=1.0)
        return VisionTransformer(config, generator=generator)
    return ResNet(ResNetConfig(block="basic", depths=(1,)), generator=generator)


def of_network(kind: str, precision: str = "fp32") -> Encoder:
    card = EncoderCard(
        name=kind,
        dim=32 if kind == "vit" else 64,
        preprocessing=Preprocessing(input_px=PX, mpp=0.5),
        sha256="0" * 64,
        precision=precision,  # type: ignore[arg-type]
    )
    return NetworkEncoder(network(kind), card=card)


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "colour-texture": lambda: ColourTexture(input_px=PX),
    "resnet": lambda: of_network("resnet"),
    "vit": lambda: of_network("vit"),
    "vit bf16": lambda: of_network("vit", "bf16"),
    "resnet bf16": lambda: of_network("resnet", "bf16"),
    "batched": lambda: AutoBatch(of_network("vit"), start=3),
}


@pytest.fixture(params=list(ENCODERS))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return ENCODERS[request.param]()


@pytest.fixture
def tiles(generator: torch.Generator) -> torch.Tensor:
    """Noise, ramps and flat tiles: what a network and a histogram meet."""
    noise = torch.randint(0, 256, (4, PX, PX, 3), generator=generator, dtype=torch.uint8)
    ramp = torch.arange(PX, dtype=torch.uint8)[None, :, None, None].expand(1, PX, PX, 3)
    flat = torch.tensor([255, 0], dtype=torch.uint8)[:, None, None, None].expand(2, PX, PX, 3)
    return torch.cat([noise, ramp, flat])


def test_features_are_finite_float32_rows(encoder: Encoder, tiles: torch.Tensor) -> None:
    found = encoder(tiles)
    assert found.shape == (len(tiles), encoder.dim)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert found.isfinite().all()


def test_a_row_does_not_depend_on_its_batch_mates(encoder: Encoder, tiles: torch.Tensor) -> None:
    together = encoder(tiles)
    alone = torch.cat([encoder(tile[None]) for tile in tiles])
    tolerance = TOLERANCE[encoder.card.precision]
    torch.testing.assert_close(together, alone, rtol=tolerance, atol=tolerance)
    # company of the same number but other pixels changes no bit
    company = torch.cat([tiles[:1], 255 - tiles[1:]])
    assert torch.equal(encoder(company)[0], together[0])


def test_rows_follow_the_order_of_the_tiles(encoder: Encoder, tiles: torch.Tensor) -> None:
    order = torch.tensor([6, 3, 0, 5, 1, 4, 2])
    tolerance = TOLERANCE[encoder.card.precision]
    torch.testing.assert_close(
        encoder(tiles[order]), encoder(tiles)[order], rtol=tolerance, atol=tolerance
    )


def test_the_same_tiles_give_the_same_bits(encoder: Encoder, tiles: torch.Tensor) -> None:
    assert torch.equal(encoder(tiles), encoder(tiles))


def test_no_tiles_give_no_rows(encoder: Encoder) -> None:
    found = encoder(torch.zeros(0, PX, PX, 3, dtype=torch.uint8))
    assert found.shape == (0, encoder.dim)


def test_tiles_are_left_as_they_were(encoder: Encoder, tiles: torch.Tensor) -> None:
    before = tiles.clone()
    encoder(tiles)
    assert torch.equal(tiles, before)


def test_another_size_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ShapeError, match=rf"\(1, 64, 48, 3\).*allowed: \(n, {PX}, {PX}, 3\)"):
        encoder(torch.zeros(1, PX, 48, 3, dtype=torch.uint8))


def test_the_card_says_what_decides_a_feature(encoder: Encoder) -> None:
    card = encoder.card
    assert (encoder.name, encoder.dim, encoder.sha256) == (card.name, card.dim, card.sha256)
    assert encoder.input_px == PX
    assert len(encoder.mean) == len(encoder.std) == 3
    assert encoder.mpp == card.preprocessing.mpp
    assert len(encoder.sha256) == 64
    held = json.loads(json.dumps(card.as_dict()))
    assert held["preprocessing"]["input_px"] == PX
    assert held["precision"] == card.precision


def test_the_digest_of_a_card_changes_with_what_decides_a_feature() -> None:
    cards = [of_network("vit").card, of_network("vit", "bf16").card, of_network("resnet").card]
    assert len({card.digest() for card in cards}) == 3
    assert of_network("vit").card.digest() == cards[0].digest()


@pytest.mark.parametrize("kind", ["resnet", "vit"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_16_bits_stay_close_to_32(kind: str, precision: str, tiles: torch.Tensor) -> None:
    exact, found = of_network(kind)(tiles), of_network(kind, precision)(tiles)
    # 8 and 11 bits of mantissa, through some ten layers
    allowed = {"bf16": 0.02, "fp16": 0.003}[precision]
    assert ((found - exact).norm(dim=1) / exact.norm(dim=1)).max() < allowed
    assert not torch.equal(found, exact)
    assert DTYPES[precision] != torch.float32


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_normalisation_and_memory_layout_change_no_value(kind: str, tiles: torch.Tensor) -> None:
    plain = network(kind).eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    pictures = ((tiles.permute(0, 3, 1, 2).contiguous() / 255) - mean) / std
    with torch.no_grad():
        wanted = plain(pictures.contiguous())
    torch.testing.assert_close(of_network(kind)(tiles), wanted, rtol=1e-4, atol=1e-4)


def test_red_is_not_taken_for_blue(tiles: torch.Tensor) -> None:
    red = torch.zeros(1, PX, PX, 3, dtype=torch.uint8)
    red[..., 0] = 255
    for make in ENCODERS.values():
        encoder = make()
        assert not torch.allclose(encoder(red), encoder(red.flip(3)), atol=1e-3)


def test_a_network_keeps_its_statistics_and_is_frozen(tiles: torch.Tensor) -> None:
    net = network("resnet")
    card = EncoderCard(name="r", dim=64, preprocessing=Preprocessing(input_px=PX), sha256="0" * 64)
    encoder = NetworkEncoder(net, card=card)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    encoder(tiles)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_shorter_products_of_the_caller_change_no_bit(precision: str, tiles: torch.Tensor) -> None:
    encoder = of_network("vit")
    wanted = encoder(tiles)
    torch.set_float32_matmul_precision(precision)
    try:
        assert torch.equal(encoder(tiles), wanted)
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision("highest")


def test_autocast_of_the_caller_changes_no_bit(encoder: Encoder, tiles: torch.Tensor) -> None:
    wanted = encoder(tiles)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder(tiles), wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["resnet", "vit"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_gpu_agrees_with_cpu_whatever_the_caller_switched_on(
    kind: str, precision: str, tiles: torch.Tensor
) -> None:
    card = of_network(kind, precision).card
    exact = of_network(kind)(tiles)
    encoder = NetworkEncoder(network(kind), card=card, device="cuda")
    found = encoder(tiles)
    assert found.is_cuda
    assert found.dtype == torch.float32
    # fp32 without TF32, which would miss by 1e-3; otherwise 8 and 11 bits through ten layers
    allowed = {"fp32": 1e-5, "bf16": 0.02, "fp16": 0.003}[precision]
    assert ((found.cpu() - exact).norm(dim=1) / exact.norm(dim=1)).max() < allowed
    torch.set_float32_matmul_precision("high")
    try:
        assert torch.equal(encoder(tiles.cuda()), found)
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.gpu
def test_colour_and_texture_on_the_gpu_agree_with_the_cpu(tiles: torch.Tensor) -> None:
    found = ColourTexture(input_px=PX, device="cuda")(tiles)
    torch.testing.assert_close(found.cpu(), ColourTexture(input_px=PX)(tiles), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "values",
    [
        {"input_px": 0},
        {"std": (0.0, 1.0, 1.0)},
        {"std": (1.0, math.nan, 1.0)},
        {"mean": (0.0, math.inf, 0.0)},
        {"mpp": 0.0},
        {"mpp": -1},
        {"mpp": math.nan},
    ],
    ids=str,
)
def test_impossible_preprocessing_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(RefusedInputError, match="positive numbers"):
        Preprocessing(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"pixels": 224, "mpp": "x", "mean": [0, 0, 0], "std": [1, 1, 1]},
        {"pixels": 224.5, "mpp": None, "mean": [0, 0, 0], "std": [1, 1, 1]},
        {"pixels": 224, "mpp": None, "mean": [0, 0, 0], "std": [math.nan, 1, 1]},
        {"pixels": None},
    ],
)
def test_facts_that_are_none_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(RefusedInputError, match="are no facts of tiles"):
        Preprocessing.from_facts(facts)
