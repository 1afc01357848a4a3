"""What may be asked of an embedding, and what is refused."""

import json
from dataclasses import fields
from typing import Any

import pytest

from medconsist.errors import RefusedInputError
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.settings import KIND, Embedding


def test_every_setting_is_in_the_config_as_plain_json() -> None:
    config = Embedding().as_config()
    assert set(config) == {"task", *(field.name for field in fields(Embedding))}
    assert config["task"] == KIND
    assert json.loads(json.dumps(config))["stains"] == ["he"]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_the_least_tissue_is_a_share_above_zero(share: float) -> None:
    with pytest.raises(RefusedInputError, match="min_tissue must lie above 0"):
        Embedding(min_tissue=share)


@pytest.mark.parametrize("mpp", [0.0, -1.0, 100.0, float("nan"), float("inf")])
def test_implausible_microns_of_the_tiles_are_refused(mpp: float) -> None:
    with pytest.raises(RefusedInputError, match=r"--tile-mpp takes 0\.05 to 20"):
        Embedding(target_mpp=mpp)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"leave_out": ("pne",)}, "leave_out .*pne"),
        ({"stains": ("h&e",)}, "stains .*h&e"),
        ({"stains": ()}, "stains"),
        ({"overlap_px": -1}, "overlap_px"),
    ],
    ids=str,
)
def test_unknown_words_and_lengths_are_refused_at_once(given: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedInputError, match=says):
        Embedding(**given)


@pytest.mark.parametrize(("slide", "tile"), [(0.5, 0.5), (0.5045, 0.5), (0.25, 0.5), (0.5, 8.0)])
def test_tiles_that_are_no_finer_than_the_slide_are_taken(slide: float, tile: float) -> None:
    Embedding(target_mpp=tile).refuse_upsampling(Mpp(slide, slide, "given"))


@pytest.mark.parametrize("mpp", [Mpp(1.0, 1.0, "given"), Mpp(0.5, 0.6, "given")])
def test_finer_tiles_are_refused_along_either_axis_unless_asked_for(mpp: Mpp) -> None:
    with pytest.raises(RefusedInputError, match=f"--tile-mpp {max(mpp.x, mpp.y):g}"):
        Embedding().refuse_upsampling(mpp)
    Embedding(upsampling=True).refuse_upsampling(mpp)
