"""One style for a view: off by default without a trace, and shared by all tiles where it is on."""

from dataclasses import replace

import pytest
import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.wsi.simclr.view_style import StyleDraw, draw_style
from tests.wsi.simclr.toy import config, objective, random_tiles


def test_no_style_draws_no_random_number() -> None:
    generator = Generator().manual_seed(0)
    before = generator.get_state()
    assert draw_style(8, 0, generator) is None
    assert torch.equal(generator.get_state(), before)
    assert objective().draw(Generator(), 0).styles == (None, None)


def test_styles_are_drawn_for_each_view_within_their_range() -> None:
    generator = Generator().manual_seed(0)
    drawn = [draw_style(8, 0.1, generator) for _ in range(200)]
    assert {one.reference for one in drawn if one} == set(range(8))
    assert all(one is not None and 0 <= one.share <= 0.1 for one in drawn)
    first, second = objective(style=0.1).draw(Generator().manual_seed(1), 0).styles
    assert first != second


def test_with_style_the_other_draws_of_a_batch_stay_the_same() -> None:
    plain, styled = (
        objective(style=share).draw(Generator().manual_seed(4), 0) for share in (0, 0.1)
    )
    assert torch.equal(plain.drawn.tile, styled.drawn.tile)
    assert torch.equal(plain.second.box, styled.second.box)


def test_all_tiles_of_a_view_share_their_mean_colour() -> None:
    contrast = torch.linspace(0.2, 0.4, 6)[:, None, None, None]
    tiles = (60 + random_tiles(6) * contrast).byte()  # far from black and white
    styled = StyleDraw(reference=2, share=0.02).apply(tiles)
    means = styled.float().mean((1, 2))
    # means of whole grey levels
    assert float((means - means[2]).abs().max()) < 0.1
    assert float((tiles.float().mean((1, 2)) - means[2]).abs().max()) > 10
    assert torch.equal(styled[2], tiles[2])


def test_the_loss_sees_the_styled_tiles() -> None:
    task = objective(style=0.5)
    network = task.build(Generator().manual_seed(0))
    batch = task.draw(Generator().manual_seed(1), 0)
    with_style = task.losses(network, batch)["loss"].detach()
    without = task.losses(network, replace(batch, styles=(None, None)))["loss"].detach()
    assert not torch.equal(with_style, without)


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"style got 1.5; allowed: a share in \[0, 1\]"):
        config(style=1.5)
