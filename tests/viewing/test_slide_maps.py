"""Colours of a model's maps: the legend holds, nothing is left out, unknown stays the slide."""

import numpy as np
import pytest

from medconsist.viewing.overlay import colour_table
from medconsist.viewing.slide_maps import (
    SLIDE_MAPS,
    draw_slide_map,
    legend,
    side_by_side,
    slide_map,
)
from medconsist.wsi.mil.maps import MEANINGS

PINK = np.full((3, 4, 3), (220, 150, 190), dtype=np.uint8)


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def drawn(role: str, values: np.ndarray, *, opacity: float = 1.0) -> np.ndarray:
    below = np.full((*values.shape, 3), 200, np.uint8)
    return draw_slide_map(below, values, slide_map(role), opacity=opacity)


def test_every_map_of_a_prediction_has_its_words() -> None:
    assert set(SLIDE_MAPS) == set(MEANINGS)
    assert all(style.caution.endswith(".") for style in SLIDE_MAPS.values())


def test_the_ends_of_the_legend_are_the_ends_of_the_colours() -> None:
    table = colour_table()
    probability = drawn("instance_probability", row(0, 0.5, 1))[0]
    assert [pixel.tolist() for pixel in probability] == [table[n].tolist() for n in (0, 128, 255)]
    assert legend(SLIDE_MAPS["instance_probability"], row(0.2)).high == "1"


def test_an_even_share_of_attention_has_the_middle_colour_and_factors_are_steps() -> None:
    table = colour_table()
    pixels = drawn("attention", row(0, 0.125, 1, 8, 300))[0]
    expected = [table[n].tolist() for n in (0, 0, 128, 255, 255)]
    assert [pixel.tolist() for pixel in pixels] == expected
    said = legend(SLIDE_MAPS["attention"], row(1))
    assert (said.low, said.middle, said.high) == ("0.125 or less", "1", "8 or more")


def test_unknown_cells_show_the_slide_and_no_low_value_is_hidden() -> None:
    values = np.array([[np.nan, 0, 0.5, 1]] * 3, dtype=np.float32)
    picture = draw_slide_map(PINK, values, SLIDE_MAPS["instance_probability"], opacity=0.5)
    assert (picture[:, 0] == PINK[:, 0]).all()
    assert (picture[:, 1:] != PINK[:, 1:]).any(-1).all()


@pytest.mark.parametrize(
    ("most", "top"), [(0.0032, 0.005), (0.19, 0.2), (1.01, 2.0), (7.0, 10.0), (0.0, 1.0)]
)
def test_a_scale_of_this_slide_ends_at_a_round_number_that_nothing_exceeds(
    most: float, top: float
) -> None:
    values = row(np.nan, 0, most)
    assert SLIDE_MAPS["novelty"].top(values) == pytest.approx(top)
    assert legend(SLIDE_MAPS["novelty"], values).high == f"{top:g}"


def test_a_slide_where_nothing_is_known_is_left_as_it_is() -> None:
    nothing = np.full((3, 4), np.nan, dtype=np.float32)
    for style in SLIDE_MAPS.values():
        assert (draw_slide_map(PINK, nothing, style, opacity=1.0) == PINK).all()


def test_a_map_that_nothing_is_written_for_says_so() -> None:
    style = slide_map("some_score")
    assert style.title == "Some score"
    assert "No explanation is written" in style.caution


def test_the_title_names_the_class_that_the_numbers_are_about() -> None:
    assert slide_map("instance_probability").titled("tumour") == "Tile probability: tumour"
    assert slide_map("attention").titled("tumour") == "Attention"


def test_tiles_stand_in_their_order_with_gaps_between() -> None:
    tiles = np.stack([np.full((2, 2, 3), shade, dtype=np.uint8) for shade in (10, 20, 30)])
    picture = side_by_side(tiles)
    assert picture.shape == (2, 3 * 2 + 2 * 4, 3)
    assert picture[0, [0, 6, 12], 0].tolist() == [10, 20, 30]
    assert (picture[:, 2:6] == 255).all()
