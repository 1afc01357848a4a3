"""Colour and texture: each number is what the docstring says, and moves with what it measures."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2hed
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.wsi.encoders.colour_texture import (
    ColourTexture,
    ColourTextureSettings,
    optical_density,
    stains,
)

PX = 64
BLOCKS = {"moments": 18, "correlations": 6, "histograms": 30, "patterns": 60, "gradients": 32}


def block(features: Tensor, name: str) -> Tensor:
    start = 0
    for known, size in BLOCKS.items():
        if known == name:
            return features[:, start : start + size]
        start += size
    raise KeyError(name)


def random_tiles(generator: torch.Generator, n: int = 3) -> Tensor:
    coarse = torch.rand(n, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (PX, PX), mode="bilinear") * 220
    noise = 30 * torch.rand(n, 3, PX, PX, generator=generator)
    return (smooth + noise).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def features(tiles: Tensor) -> Tensor:
    return ColourTexture(input_px=PX)(tiles)


def test_the_blocks_add_up_to_the_dimension() -> None:
    assert sum(BLOCKS.values()) == ColourTexture().dim == 146


def test_stains_are_those_of_scikit_image(generator: torch.Generator) -> None:
    tiles = random_tiles(generator)
    found = stains(optical_density(tiles)).permute(0, 2, 3, 1).numpy()
    # scikit-image divides by the density of 1e-6, has no unit vectors, and cuts below 0
    vectors = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    wanted = rgb2hed(tiles.clamp_min(1).numpy()) * 6 * np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(np.maximum(found, 0), wanted, atol=1e-5)


def test_moments_are_those_of_numpy(generator: torch.Generator) -> None:
    tiles = random_tiles(generator)
    density = -np.log10(np.maximum(tiles.numpy(), 1) / 255)
    found = block(features(tiles), "moments").numpy()
    np.testing.assert_allclose(found[:, 0:3], density.mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(found[:, 6:9], density.std((1, 2)), atol=1e-5)
    third = ((density - density.mean((1, 2), keepdims=True)) ** 3).mean((1, 2))
    np.testing.assert_allclose(found[:, 12:15], np.cbrt(third), atol=1e-4)


def test_correlations_are_those_of_numpy(generator: torch.Generator) -> None:
    tiles = random_tiles(generator)
    density = -np.log10(np.maximum(tiles.numpy(), 1) / 255)
    found = block(features(tiles), "correlations").numpy()
    for row, tile in zip(found, density, strict=True):
        wanted = np.corrcoef(tile.reshape(-1, 3).T)
        np.testing.assert_allclose(row[:3], wanted[[0, 0, 1], [1, 2, 2]], atol=1e-4)


def test_patterns_are_those_of_naive_loops(generator: torch.Generator) -> None:
    tiles = random_tiles(generator, n=1)
    levels = (optical_density(tiles)[0].mean(0) * 100).round().int().numpy()
    steps = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    for number, radius in enumerate((1, 2, 4)):
        counts = np.zeros(10)
        for row in range(radius, PX - radius):
            for column in range(radius, PX - radius):
                bits = [
                    levels[row + radius * a, column + radius * b] >= levels[row, column]
                    for a, b in steps
                ]
                changes = sum(a != b for a, b in zip(bits, bits[1:] + bits[:1], strict=True))
                counts[sum(bits) if changes <= 2 else 9] += 1
        found = block(features(tiles), "patterns")[0, 20 * number : 20 * number + 10]
        # a density that lies on the edge of two levels may round otherwise: a few of 3,844 pixels
        np.testing.assert_allclose(found.numpy(), counts / counts.sum(), atol=2e-3)


def test_histograms_and_patterns_are_shares(generator: torch.Generator) -> None:
    found = features(random_tiles(generator))
    for name in ("histograms", "patterns"):
        shares = block(found, name).reshape(len(found), -1, 10)
        assert (shares >= 0).all()
        torch.testing.assert_close(shares.sum(-1), torch.ones(shares.shape[:2]))


@pytest.mark.parametrize("turned", ["rot90", "mirrored", "upside down"])
def test_turning_a_tile_changes_nothing(turned: str, generator: torch.Generator) -> None:
    tiles = random_tiles(generator)
    moved = {
        "rot90": tiles.rot90(1, (1, 2)),
        "mirrored": tiles.flip(2),
        "upside down": tiles.flip(1),
    }[turned]
    # sums in another order
    torch.testing.assert_close(features(moved), features(tiles), rtol=1e-4, atol=1e-5)


def test_a_flat_tile_has_colour_and_no_texture() -> None:
    tiles = torch.full((1, PX, PX, 3), 180, dtype=torch.uint8)
    found = features(tiles)
    assert block(found, "correlations").abs().max() == 0
    assert block(found, "gradients").abs().max() < 1e-6
    assert block(found, "patterns").reshape(-1, 10)[:, 8].tolist() == [1.0] * 6


def test_finer_stripes_have_their_gradient_at_a_finer_scale() -> None:
    stripes = []
    for period in (4, 32):
        line = (torch.arange(PX) // (period // 2) % 2 * 100 + 100).to(torch.uint8)
        stripes.append(line[None, :, None].expand(PX, PX, 3))
    means = block(features(torch.stack(stripes)), "gradients").reshape(2, 4, 8)[:, :, 0]
    fine, coarse = means / means.max(dim=1, keepdim=True).values
    assert fine.argmax() == 0
    assert coarse.argmax() == 3
    # all gradients of stripes point the same way
    agreed = block(features(torch.stack(stripes)), "gradients").reshape(2, 4, 8)[0, 0, 6]
    assert agreed == pytest.approx(1, abs=1e-3)


def test_more_haematoxylin_is_seen() -> None:
    vector = np.array([0.65, 0.70, 0.29]) / np.linalg.norm([0.65, 0.70, 0.29])
    tiles = []
    for amount in (0.2, 0.6):
        colour = torch.tensor(255 * 10 ** (-amount * vector)).round().to(torch.uint8)
        tiles.append(colour.expand(PX, PX, 3))
    found = block(features(torch.stack(tiles)), "moments")
    # colours are whole numbers: half a level of 255 at a density of .4
    np.testing.assert_allclose(found[:, 3], [0.2, 0.6], atol=5e-3)
    np.testing.assert_allclose(found[:, 4], [0, 0], atol=5e-3)


def test_settings_decide_dimension_and_hash() -> None:
    other = ColourTextureSettings(bins=8, radii=(1,), scales=(1, 2))
    encoder = ColourTexture(input_px=16, settings=other)
    assert encoder.dim == 24 + 24 + 20 + 16
    assert encoder(torch.zeros(1, 16, 16, 3, dtype=torch.uint8)).shape == (1, encoder.dim)
    assert encoder.sha256 != ColourTexture().sha256
    assert ColourTexture().sha256 == ColourTexture(input_px=512).sha256


@pytest.mark.parametrize("values", [{"bins": 0}, {"radii": ()}, {"scales": ()}, {"radii": (0,)}])
def test_impossible_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(RefusedInputError, match="at least one of each"):
        ColourTextureSettings(**values)  # type: ignore[arg-type]


def test_tiles_that_are_too_small_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="input_px got 23; allowed: at least 24"):
        ColourTexture(input_px=23)
