import numpy as np
import pytest

from medconsist.viewing.overlay import Scale, colour_table
from medconsist.viewing.trust_maps import MAP_STYLES, draw_map, style_of

GREY = np.full((1, 3), 100, dtype=np.uint8)


def test_a_map_is_drawn_only_where_it_reaches_the_chosen_value() -> None:
    values = np.array([[1.0, 3.0, np.nan]])
    shown = draw_map(GREY, values, Scale(0.0, 6.0), opacity=1.0, show_from=3.0)
    assert shown[0, 0].tolist() == shown[0, 2].tolist() == [100, 100, 100]
    assert (shown[0, 1] == colour_table()[128]).all()


def test_a_negative_residual_is_as_loud_as_a_positive_one() -> None:
    values = np.array([[-4.0, 4.0, 0.0]])
    shown = draw_map(GREY, values, Scale(0.0, 6.0), opacity=0.5, show_from=0.0)
    assert (shown[0, 0] == shown[0, 1]).all()


def test_a_map_in_the_unit_of_the_image_spans_a_fixed_share_of_white() -> None:
    assert MAP_STYLES["not_determined"].scale(white=50.0) == Scale(0.0, 10.0)


def test_a_map_in_sigma_has_the_same_scale_in_every_case() -> None:
    style = MAP_STYLES["matched_filter"]
    assert style.scale(white=1e-5) == style.scale(white=1e5) == Scale(0.0, 6.0)


def test_the_map_of_what_is_not_determined_is_never_called_invention() -> None:
    meaning = MAP_STYLES["not_determined"].meaning
    assert "does not mean invented" in meaning


def test_no_map_says_what_its_slider_can_change() -> None:
    assert not any("3 sigma or more" in style.meaning for style in MAP_STYLES.values())
    assert "No colour: no coil sees this place" in MAP_STYLES["refutable_contrast"].meaning


@pytest.mark.parametrize("role", [*MAP_STYLES, "seed_spread"])
def test_every_map_has_a_title_and_a_sentence(role: str) -> None:
    style = style_of(role)
    assert style.title[0].isupper()
    assert style.meaning.endswith(".")
