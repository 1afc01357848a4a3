"""The drawing: the same in every rectangle, with the shares, colours and faults asked for."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.wsi.simulate import SlideConfig, simulate_pixels, slide_truth
from medconsist.wsi.simulated.config import FAULTS, SCANNERS
from medconsist.wsi.simulated.faults import INK
from medconsist.wsi.simulated.stain import Palette
from medconsist.wsi.simulated.texture import StainMaps
from medconsist.wsi.stain_vectors import RUIFROK

Stain = Literal["he", "ihc", "fluorescence"]
CONFIG = SlideConfig(width=1100, height=700, tumour=0.4, seed=5)


def whole(config: SlideConfig) -> np.ndarray:
    return simulate_pixels(config, 0, 0, config.height, config.width)


def at_pixels(config: SlideConfig, mask: np.ndarray) -> np.ndarray:
    blown_up = np.kron(mask, np.ones((config.downsample, config.downsample), bool))
    return blown_up[: config.height, : config.width]


@pytest.mark.parametrize("stain", ["he", "ihc", "fluorescence"])
def test_a_rectangle_equals_that_part_of_the_slide(stain: Stain) -> None:
    config = replace(CONFIG, stain=stain, faults=("blur", "fold", "pen-green"))
    part = simulate_pixels(config, 480, 300, 120, 777)
    assert np.array_equal(part, whole(config)[480:600, 300:1077])


def test_no_seam_shows_between_blocks() -> None:
    pixels = whole(replace(CONFIG, scanner="c", faults=("blur",))).astype(float)
    steps = np.abs(np.diff(pixels, axis=1)).mean(axis=(0, 2))
    assert steps[511] < 1.5 * np.median(steps[400:620])


def test_a_rectangle_outside_the_slide_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="inside 0 to 700 and 0 to 1100"):
        simulate_pixels(CONFIG, 690, 0, 20, 20)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
def test_shares_of_tissue_and_tumour_are_met(share: float) -> None:
    truth = slide_truth(replace(CONFIG, tissue=0.5, tumour=share, downsample=8))
    # Thresholds are quantiles over 192 x 192 probes.
    assert truth.tissue.mean() == pytest.approx(0.5, abs=0.02)
    assert truth.tumour.sum() / truth.tissue.sum() == pytest.approx(share, abs=0.03)
    assert not (truth.tumour & ~truth.tissue).any()


def test_no_tissue_gives_an_empty_slide() -> None:
    config = replace(CONFIG, tissue=0.0)
    assert not slide_truth(config).tissue.any()
    assert whole(config).std(axis=(0, 1)).max() < 3


@pytest.mark.parametrize("stain", ["he", "ihc", "fluorescence"])
def test_tissue_lies_where_the_truth_says(stain: Stain) -> None:
    config = replace(CONFIG, stain=stain, downsample=4)
    away = np.abs(whole(config).astype(int) - Palette(config).background).max(axis=2)
    inside = at_pixels(config, slide_truth(config).tissue)
    assert (away[inside] > 12).mean() > 0.75
    assert (away[~inside] > 12).mean() < 0.03


def test_nuclei_are_drawn_to_scale() -> None:
    fine, coarse = (whole(replace(CONFIG, mpp=mpp, tissue=1.0)) for mpp in (0.25, 1.0))
    grey = [pixels.mean(axis=2) for pixels in (fine, coarse)]
    steps = [np.abs(np.diff(plane, axis=1)).mean() for plane in grey]
    assert steps[1] > 1.5 * steps[0]


@pytest.mark.parametrize("name", ["haematoxylin", "eosin", "dab"])
def test_light_follows_beer_lambert_with_the_published_vectors(name: str) -> None:
    config = SlideConfig(stain="ihc" if name == "dab" else "he")
    palette = Palette(config)
    empty, some = np.zeros((1, 2), np.float32), np.array([[0.2, 0.4]], np.float32)
    maps = StainMaps(
        haematoxylin=some if name == "haematoxylin" else empty,
        counter=some if name == "eosin" else empty,
        dab=some if name == "dab" else empty,
    )
    lamp, mixing = palette.background, np.array(palette._scanner.crosstalk)
    light = np.linalg.solve(mixing, palette.colours(maps)[:, 0] / lamp[:, None])
    density = -np.log10(light)
    # Twice the stain, twice the density; float32 behind a matrix of condition about 2.
    assert np.allclose(density[:, 1], 2 * density[:, 0], atol=1e-4)
    vector = np.array(RUIFROK[name])
    cosine = density[:, 1] @ vector / np.linalg.norm(density[:, 1]) / np.linalg.norm(vector)
    assert cosine == pytest.approx(1, abs=1e-4)


def test_stains_differ_in_the_light_of_background_and_tumour() -> None:
    means = {}
    stains: tuple[Stain, ...] = ("he", "ihc", "fluorescence")
    for stain in stains:
        config = replace(CONFIG, stain=stain)
        means[stain] = whole(config)[at_pixels(config, slide_truth(config).tumour)].mean(axis=0)
    assert means["fluorescence"].max() < 100 < means["he"].min()
    assert means["he"][2] > means["he"][1] + 20
    assert means["ihc"][0] > means["ihc"][2] + 10


def test_scanners_differ_in_colour() -> None:
    means = [whole(replace(CONFIG, scanner=scanner)).mean(axis=(0, 1)) for scanner in SCANNERS]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(means[first] - means[second]).max() > 4


def test_texture_tells_tumour_better_than_mean_colour() -> None:
    colour, texture, tumour, slide = [], [], [], []
    for seed in range(8):
        config = SlideConfig(width=1024, height=1024, tumour=0.4, seed=seed)
        pixels, truth = whole(config), slide_truth(config)
        for y in range(0, 1024, 128):
            for x in range(0, 1024, 128):
                cells = np.s_[y // 32 : y // 32 + 4, x // 32 : x // 32 + 4]
                share = truth.tumour[cells].mean()
                if truth.tissue[cells].mean() < 0.9 or 0.05 < share < 0.9:
                    continue
                tile = pixels[y : y + 128, x : x + 128].astype(float)
                grey = tile.mean(axis=2)
                steps = [np.abs(grey[:, d:] - grey[:, :-d]).mean() for d in (1, 2, 4, 8, 16)]
                spread = np.quantile(tile.reshape(-1, 3), (0.05, 0.25, 0.5, 0.75), axis=0)
                colour.append(tile.mean(axis=(0, 1)))
                texture.append(np.concatenate([colour[-1], steps, spread.ravel()]))
                tumour.append(share > 0.5)
                slide.append(seed)
    known = np.array(slide) < 4
    by_colour, by_texture = (
        _auc(np.array(features), np.array(tumour), known) for features in (colour, texture)
    )
    assert 0.6 < by_colour < 0.93
    assert by_texture > by_colour + 0.03


def _auc(features: np.ndarray, truth: np.ndarray, known: np.ndarray) -> float:
    """Ridge regression on the known slides, area under the curve on the others."""
    scaled = (features - features[known].mean(0)) / features[known].std(0)
    design = np.column_stack([scaled, np.ones(len(scaled))])
    gram = design[known].T @ design[known] + np.eye(design.shape[1])
    weights = np.linalg.solve(gram, design[known].T @ (2.0 * truth[known] - 1))
    scores = design[~known] @ weights
    above, below = scores[truth[~known]], scores[~truth[~known]]
    return float((above[:, None] > below[None]).mean())


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_its_region_and_no_other(name: str) -> None:
    config = replace(CONFIG, faults=(name,), downsample=4)
    truth = slide_truth(config)
    region = at_pixels(config, truth.faults[name])
    clean, faulty = whole(replace(config, faults=())).astype(int), whole(config).astype(int)
    changed = np.abs(clean - faulty).max(axis=2) > 25
    assert region.any()
    assert changed[region].mean() > 0.3
    # Soft borders, and blur that reaches over the edge of tissue.
    assert changed[~region].mean() < 0.02


def test_each_fault_looks_like_itself() -> None:
    clean = whole(CONFIG).astype(float)
    seen, regions = {}, {}
    for name in FAULTS:
        config = replace(CONFIG, faults=(name,), downsample=4)
        seen[name] = whole(config).astype(float)
        regions[name] = at_pixels(config, slide_truth(config).faults[name])
    for name in INK:
        assert seen[name][regions[name]].mean() < 0.7 * clean[regions[name]].mean()
    assert seen["pen-blue"][regions["pen-blue"]].mean(axis=0).argmax() == 2
    assert seen["pen-green"][regions["pen-green"]].mean(axis=0).argmax() == 1
    assert np.ptp(seen["pen-black"][regions["pen-black"]].mean(axis=0)) < 15
    assert (seen["blank"][regions["blank"]] == 255).all()
    assert seen["fold"][regions["fold"]].mean() < clean[regions["fold"]].mean() - 20
    sharp, soft = (
        np.abs(np.diff(pixels.mean(axis=2), axis=1))[regions["blur"][:, 1:]].mean()
        for pixels in (clean, seen["blur"])
    )
    assert soft < 0.6 * sharp
