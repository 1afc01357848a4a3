"""Memory that runs out makes runs smaller, and loses or moves no tile."""

import pytest
import torch
from torch import Tensor

from medconsist.errors import BudgetError, RefusedInputError
from medconsist.networks.vit import VisionTransformer, ViTConfig
from medconsist.wsi.encoders.batching import AutoBatch, bytes_per_tile
from medconsist.wsi.encoders.colour_texture import ColourTexture
from medconsist.wsi.encoders.encoder import Encoder, EncoderCard, Preprocessing
from medconsist.wsi.encoders.network_encoder import NetworkEncoder

PX = 8
CPU_WORDS = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried"
ERRORS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError(CPU_WORDS),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    MemoryError(),
]


class Small(Encoder):
    """Numbers its tiles, and has room for some of them at once."""

    def __init__(self, room: int, error: Exception) -> None:
        shown = Preprocessing(input_px=PX)
        card = EncoderCard(name="small", dim=2, preprocessing=shown, sha256="0" * 64)
        super().__init__(card, device="cpu")
        self.runs = list[int]()
        self.room, self.error = room, error

    def _features(self, tiles: Tensor) -> Tensor:
        self.runs.append(len(tiles))
        if len(tiles) > self.room:
            raise self.error
        first = tiles[:, 0, 0].float()
        return torch.stack([first[:, 0] + 256 * first[:, 1], first[:, 2]], dim=1)


def numbered(n: int) -> Tensor:
    tiles = torch.zeros(n, PX, PX, 3, dtype=torch.uint8)
    tiles[:, :, :, 0] = (torch.arange(n) % 256).to(torch.uint8)[:, None, None]
    tiles[:, :, :, 1] = (torch.arange(n) // 256).to(torch.uint8)[:, None, None]
    return tiles


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error)[:20])
@pytest.mark.parametrize("room", [1, 5, 64, 300])
def test_every_tile_is_encoded_once_in_order(room: int, error: Exception) -> None:
    small = Small(room, error)
    batched = AutoBatch(small, start=128)

    found = batched(numbered(300))

    assert found[:, 0].tolist() == list(range(300))
    assert sum(n for n in small.runs if n <= room) == 300


def test_the_size_is_halved_and_remembered() -> None:
    small = Small(5, ERRORS[0])
    batched = AutoBatch(small, start=32)

    batched(numbered(9))
    assert small.runs == [9, 4, 4, 1]
    assert batched.batch_size == 4
    small.runs.clear()
    batched(numbered(9))
    assert small.runs == [4, 4, 1]


def test_a_single_tile_without_room_is_an_error_that_says_so() -> None:
    with pytest.raises(BudgetError, match="ran out with a single tile of small on cpu"):
        AutoBatch(Small(0, ERRORS[0]), start=8)(numbered(3))


def test_any_other_error_goes_through() -> None:
    small = Small(2, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        AutoBatch(small, start=8)(numbered(3))
    assert small.runs == [3]


def test_a_start_below_one_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="start got 0; allowed: at least one tile"):
        AutoBatch(Small(1, ERRORS[0]), start=0)


def vit(side: int = 64) -> Encoder:
    config = ViTConfig(image_size=side, patch_size=8, dim=64, depth=3, heads=4)
    net = VisionTransformer(config, generator=torch.Generator().manual_seed(1))
    shown = Preprocessing(input_px=side)
    card = EncoderCard(name="v", dim=64, preprocessing=shown, sha256="0" * 64)
    return NetworkEncoder(net, card=card)


def test_a_tile_needs_at_least_its_largest_tensors() -> None:
    # 65 tokens; the widest step holds fc1 (256) and its GELU (256) beside the residual (64)
    widest = 65 * (256 + 256 + 64) * 4
    assert widest < bytes_per_tile(vit()) < 6 * widest


def test_what_was_let_go_is_not_counted() -> None:
    deep = ViTConfig(image_size=64, patch_size=8, dim=64, depth=12, heads=4)
    shown = Preprocessing(input_px=64)
    card = EncoderCard(name="v", dim=64, preprocessing=shown, sha256="0" * 64)
    assert bytes_per_tile(NetworkEncoder(VisionTransformer(deep), card=card)) == bytes_per_tile(
        vit()
    )


def test_a_budget_cuts_the_run() -> None:
    encoder = vit()
    needed = bytes_per_tile(encoder)
    batched = AutoBatch(encoder, start=64, budget_bytes=5 * needed + 1)
    assert batched.batch_size == 5
    assert AutoBatch(encoder, start=2, budget_bytes=5 * needed).batch_size == 2


@pytest.mark.parametrize("budget", [1000, 0, -1])
def test_a_budget_below_one_tile_is_refused(budget: int) -> None:
    with pytest.raises(BudgetError, match=rf"One tile of v needs .* the budget is {budget}"):
        AutoBatch(vit(), budget_bytes=budget)


def test_it_has_weights_where_its_encoder_has() -> None:
    assert AutoBatch(vit()).has_weights
    assert not AutoBatch(ColourTexture(input_px=32)).has_weights


@pytest.mark.gpu
def test_memory_of_the_gpu_that_runs_out_halves_the_run() -> None:
    config = ViTConfig(image_size=64, patch_size=8, dim=64, depth=3, heads=4)
    shown = Preprocessing(input_px=64)
    card = EncoderCard(name="v", dim=64, preprocessing=shown, sha256="0" * 64)
    net = VisionTransformer(config, generator=torch.Generator().manual_seed(1))
    encoder = NetworkEncoder(net, card=card, device="cuda")
    tiles = torch.randint(0, 256, (512, 64, 64, 3), dtype=torch.uint8)
    wanted = torch.cat([encoder(part) for part in torch.split(tiles, 32)])
    # room for some 64 tiles beside what is held
    room = torch.cuda.memory_allocated() + 64 * bytes_per_tile(encoder)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.mem_get_info()[1])
    try:
        batched = AutoBatch(encoder, start=512)
        found = batched(tiles)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert batched.batch_size < 512
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
