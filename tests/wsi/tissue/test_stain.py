"""Stain kinds, and what a model was not made for."""

import numpy as np
import pytest

from medconsist.errors import RefusedInputError, UnsupportedInputError
from medconsist.wsi.tissue.stain import check_stain, stain_kind
from tests.wsi.tissue.drawn import GLASS, glass, with_box

BOX = (20, 30, 100, 130)
EOSIN, HAEMATOXYLIN, DAB = (0.02, 0.3, 0.12), (0.25, 0.28, 0.12), (0.12, 0.26, 0.33)


def stained(density: tuple[float, float, float]) -> np.ndarray:
    colour = np.array(GLASS) * 10.0 ** -np.array(density)
    red, green, blue = (int(value) for value in colour)
    return with_box(glass(), BOX, (red, green, blue))


@pytest.mark.parametrize(
    ("density", "kind"), [(EOSIN, "he"), (DAB, "ihc"), (HAEMATOXYLIN, "unknown")]
)
def test_one_dye_on_glass(density: tuple[float, float, float], kind: str) -> None:
    evidence = stain_kind(stained(density))
    assert evidence.kind == kind
    assert evidence.n_pixels == 80 * 100
    assert "of 8000 stained pixels" in evidence.reason


def test_brown_beside_pink_is_immunohistochemistry() -> None:
    picture = stained(EOSIN)
    picture[20:40, 30:130] = stained(DAB)[50, 50]
    assert stain_kind(picture).kind == "ihc"


def test_few_stained_pixels_stay_unknown() -> None:
    evidence = stain_kind(with_box(glass(), (10, 10, 19, 21)))
    assert (evidence.kind, evidence.n_pixels) == ("unknown", 99)
    assert evidence.reason == "only 99 stained pixels"


@pytest.mark.parametrize("value", [0, 90, 243, 255])
def test_grey_is_of_no_kind(value: int) -> None:
    assert stain_kind(np.full((40, 40, 3), value, np.uint8)).kind == "unknown"


def test_light_in_the_dark_is_fluorescence() -> None:
    assert stain_kind(with_box(np.zeros((80, 80, 3), np.uint8), (0, 0, 20, 20))).kind == (
        "fluorescence"
    )


def test_white_fill_is_no_evidence() -> None:
    picture = stained(EOSIN)
    wide = np.pad(picture, ((500, 0), (0, 500), (0, 0)), constant_values=255)
    assert stain_kind(wide) == stain_kind(picture)


def test_another_stain_is_refused_or_flagged() -> None:
    evidence = stain_kind(stained(DAB))
    with pytest.raises(UnsupportedInputError, match=r"looks ihc .*the model was made for he"):
        check_stain(evidence, made_for=("he",))
    (flag,) = check_stain(evidence, made_for=("he",), policy="flag")
    assert flag.startswith("the stain looks ihc")
    assert check_stain(evidence, made_for=("he", "ihc")) == ()


def test_an_unknown_stain_is_flagged_never_refused() -> None:
    (flag,) = check_stain(stain_kind(glass()), made_for=("he",))
    assert "unknown" in flag


def test_made_for_must_name_kinds() -> None:
    with pytest.raises(RefusedInputError, match=r"made_for must name some of .*got \('pas',\)"):
        check_stain(stain_kind(glass()), made_for=("pas",))
