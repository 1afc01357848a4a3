"""Views: nothing at strength 0, one draw a tile, the same again from the same generator."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.wsi.simclr.colour import colour_jitter, greyscale, stain_jitter
from medconsist.wsi.simclr.geometry import crop_and_resize, gaussian_blur, symmetry_of_square
from medconsist.wsi.simclr.views import ViewDraw, Views
from tests.wsi.simclr.toy import random_tiles

STRONG = Views(pixels=32, hue=0.1, grey_share=0.3, blur_share=0.7)
# positions of the grid are float32: an eighth of a grey level of 255
EXACT = 5e-4


def images(n_tiles: int = 6, side: int = 32) -> Tensor:
    return random_tiles(n_tiles, side).permute(0, 3, 1, 2) / 255.0


def neutral(n_tiles: int) -> ViewDraw:
    return STRONG.plain().draw(n_tiles, Generator())


def test_a_plain_view_is_the_tile_normalised() -> None:
    tiles = random_tiles(3)
    view = Views(pixels=32).plain()(tiles, Generator())
    mean, std = (torch.tensor(v) for v in (Views().mean, Views().std))
    wanted = ((tiles / 255.0 - mean) / std).permute(0, 3, 1, 2)
    assert torch.allclose(view, wanted, atol=EXACT / min(Views().std))


def test_every_part_leaves_its_input_at_a_neutral_draw() -> None:
    """Also the parts that `plain` skips."""
    given, draw = images(), neutral(6)
    for found in (
        crop_and_resize(given, draw.box, 32),
        symmetry_of_square(given, draw.symmetry),
        stain_jitter(given, draw.gain, draw.shift),
        colour_jitter(given, draw.change),
        greyscale(given, draw.grey),
        gaussian_blur(given, draw.sigma, largest=2.0),
    ):
        assert torch.allclose(found, given, atol=EXACT)


def test_a_view_depends_on_its_own_draw_and_not_on_its_batch() -> None:
    tiles, generator = random_tiles(8), Generator().manual_seed(3)
    draw = STRONG.draw(8, generator)
    together = STRONG.apply(tiles, draw)
    order = torch.tensor([5, 2])
    some = STRONG.apply(tiles[order], draw.at(order))
    # kernels of another batch size may add in another order
    assert torch.allclose(some, together[order], atol=1e-4)


def test_two_rows_of_one_draw_differ() -> None:
    tiles = random_tiles(1).expand(4, -1, -1, -1)
    views = STRONG(tiles, Generator().manual_seed(0))
    assert torch.pdist(views.flatten(1)).min() > 1


def test_the_same_generator_gives_the_same_views_and_another_gives_others() -> None:
    tiles = random_tiles(4)
    first, again, other = (STRONG(tiles, Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.1)


def test_views_carry_no_gradient_and_no_value_beyond_a_pixels() -> None:
    views = replace(STRONG, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), brightness=1.0, stain=1.0)
    found = views(random_tiles(64), Generator().manual_seed(5))
    assert not found.requires_grad
    assert found.dtype == torch.float32
    assert found.shape == (64, 3, 32, 32)
    assert float(found.min()) >= -1e-5  # a kernel sums to 1 up to rounding
    assert float(found.max()) <= 1 + 1e-5


def test_draws_stay_in_their_ranges_and_reach_near_their_ends() -> None:
    views = Views(pixels=8, crop_area=(0.3, 0.9), hue=0.1, blur=2.0)
    draw = views.draw(20_000, Generator().manual_seed(0))
    top, left, tall, wide = draw.box.unbind(-1)
    area, aspect = tall * wide, (wide / tall).log().abs()
    assert 0.3 - 1e-5 <= float(area.min()) < 0.31
    assert 0.89 < float(area.max()) <= 0.9 + 1e-5
    assert 0.28 < float(aspect.max()) <= math.log(4 / 3) + 1e-5
    assert float(torch.stack([top, left]).min()) >= 0
    assert float(torch.stack([top + tall, left + wide]).max()) <= 1 + 1e-6
    assert torch.equal(torch.bincount(draw.symmetry, minlength=8) > 2000, torch.ones(8).bool())
    for values, strength in ((draw.gain - 1, 0.2), (draw.shift, 0.02), (draw.change[:, 3], 0.1)):
        assert 0.98 * strength < float(values.abs().max()) <= strength + 1e-6
        assert float((values == 0).double().mean()) == pytest.approx(0.2, abs=0.02)
    assert float(draw.grey.double().mean()) == pytest.approx(0.1, abs=0.01)
    assert 1.9 < float(draw.sigma.max()) <= 2
    assert float((draw.sigma == 0).double().mean()) == pytest.approx(0.5, abs=0.02)


def test_the_default_turns_no_hue() -> None:
    """A turned hue makes H&E look like another stain."""
    assert torch.equal(Views().draw(50, Generator()).change[:, 3], torch.zeros(50))


@pytest.mark.parametrize("symmetry", range(8))
def test_the_eight_symmetries_are_those_of_numpy(symmetry: int) -> None:
    given = images(2)
    wanted = given.numpy()
    for bit, axis in ((1, -2), (2, -1)):
        wanted = np.flip(wanted, axis) if symmetry & bit else wanted
    wanted = wanted.swapaxes(-1, -2) if symmetry & 4 else wanted
    found = symmetry_of_square(given, torch.tensor([symmetry, 0]))
    assert np.array_equal(found[0].numpy(), wanted[0])
    assert torch.equal(found[1], given[1])


def test_a_crop_on_whole_pixels_is_a_slice() -> None:
    given = images(1, side=32)
    box = torch.tensor([[4 / 32, 8 / 32, 16 / 32, 16 / 32]])
    assert torch.allclose(crop_and_resize(given, box, 16), given[..., 4:20, 8:24], atol=EXACT)


def test_a_blur_is_that_of_scipy_and_keeps_its_neighbour() -> None:
    from scipy.ndimage import gaussian_filter

    given = images(2)
    found = gaussian_blur(given, torch.tensor([1.5, 0.0]), largest=2.0)
    # radius 6 as ours; scipy calls this edge mirror
    wanted = gaussian_filter(given[0].numpy(), (0, 1.5, 1.5), mode="mirror", truncate=4.0)
    assert np.allclose(found[0].numpy(), wanted, atol=1e-5)
    assert torch.equal(found[1], given[1])


def test_stain_jitter_is_a_loop_over_pixels() -> None:
    given = images(1, side=4)
    gain, shift = torch.tensor([[1.2, 0.8, 1.1]]), torch.tensor([[0.02, -0.01, 0.0]])
    rows = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    wanted = np.empty((3, 4, 4))
    for row in range(4):
        for column in range(4):
            density = -np.log((255 * given[0, :, row, column].double().numpy() + 1) / 256)
            amount = np.linalg.solve(rows.T, density) * gain[0].numpy() + shift[0].numpy()
            wanted[:, row, column] = (256 * np.exp(-(rows.T @ amount)) - 1) / 255
    found = stain_jitter(given, gain, shift)[0].numpy()
    assert np.allclose(found, wanted.clip(0, 1), atol=1e-5)


def test_more_haematoxylin_makes_a_nucleus_darker_and_glass_stays() -> None:
    nucleus, glass = torch.tensor([80, 60, 130.0]) / 255, torch.ones(3)
    given = torch.stack([nucleus, glass])[:, :, None, None]
    found = stain_jitter(given, torch.tensor([[1.3, 1, 1], [1.3, 1, 1]]), torch.zeros(2, 3))
    assert bool((found[0] < given[0]).all())
    assert torch.allclose(found[1], given[1], atol=1e-6)


def test_colour_changes_do_what_their_names_say() -> None:
    given = 0.3 + 0.3 * images(4)
    change = torch.tensor([[0.5, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0.5]])
    darker, flat, grey, turned = colour_jitter(given, change)
    luma = torch.einsum("c,nchw->nhw", torch.tensor([0.299, 0.587, 0.114]), given)
    assert torch.allclose(darker, given[0] / 2, atol=1e-5)
    assert torch.allclose(flat, luma[1].mean().expand(3, 32, 32), atol=1e-5)
    assert torch.allclose(grey, luma[2].expand(3, 32, 32), atol=1e-5)
    # half a turn mirrors each colour at its grey
    assert torch.allclose((turned + given[3]) / 2, luma[3].expand(3, 32, 32), atol=2e-3)


def test_grey_tiles_are_grey_and_the_others_are_left() -> None:
    given = images(2)
    found = greyscale(given, torch.tensor([True, False]))
    assert torch.equal(found[0, 0], found[0, 2])
    assert torch.equal(found[1], given[1])


def test_a_view_far_smaller_than_its_tile_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="more than a factor of two would alias"):
        Views(pixels=15)(random_tiles(1), Generator())


def test_a_blur_wider_than_the_view_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="reaches 90 pixels, and the view has 32 x 32"):
        Views(pixels=32, blur=30)(random_tiles(1), Generator())


@pytest.mark.parametrize(
    "wrong",
    [
        {"pixels": 0},
        {"crop_area": (0.0, 1.0)},
        {"crop_area": (0.9, 0.5)},
        {"crop_aspect": 0.5},
        {"stain": -0.1},
        {"stain": math.nan},
        {"hue": 0.6},
        {"blur": math.inf},
        {"grey_share": 1.5},
        {"std": (0.2, 0.0, 0.2)},
        {"mean": (math.nan, 0.0, 0.0)},
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused_with_its_name(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(RefusedInputError, match=name.split("_")[0]):
        Views(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_draw_can_be_taken_apart_by_rows() -> None:
    draw = STRONG.draw(5, Generator())
    part = draw.at(slice(1, 3))
    for field in fields(part):
        assert torch.equal(getattr(part, field.name), getattr(draw, field.name)[1:3])
