"""Where a picture lies on its slide, and files of outlines, as a result stores them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from medconsist.errors import RefusedInputError
from medconsist.results.schema import Place, ResultFields
from medconsist.results.store import ResultStore

MakeFields = Callable[..., ResultFields]
PLACE = Place(of="slide", unit="level-0 px", offset=(10.0, 20.0), scale=(32.0, 16.04))


def write_outlines(path: Path) -> None:
    path.write_text("{}")


def test_a_picture_keeps_its_place_through_the_store(
    tmp_path: Path, make_fields: MakeFields
) -> None:
    store, fields = ResultStore(tmp_path, "s"), make_fields()
    picture = np.zeros((2, 3, 3), np.uint8)
    with store.draft("c", fields.key) as draft:
        draft.add_array("overview", picture, axes=("height", "width", "rgb"), place=PLACE)
        draft.finish(fields)
    assert store.read("c", fields.key).record("overview").place == PLACE


def test_outlines_are_stored_as_geojson(tmp_path: Path, make_fields: MakeFields) -> None:
    store, fields = ResultStore(tmp_path, "s"), make_fields()
    with store.draft("c", fields.key) as draft:
        draft.add_file(
            "regions",
            "regions.geojson",
            write_outlines,
            axes=("regions",),
            shape=(1,),
            dtype="geojson",
        )
        draft.finish(fields)
    stored = store.read("c", fields.key)
    assert stored.record("regions").kind == "geojson"
    assert stored.file("regions").read_text() == "{}"


@pytest.mark.parametrize(
    "wrong", [{"scale": (1.0, 0.0)}, {"scale": (1.0,)}, {"offset": ()}, {"of": ""}]
)
def test_a_place_that_maps_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"scale|offset|of"):
        Place(**PLACE.model_dump() | wrong)


def test_a_place_of_more_axes_than_the_array_is_refused(
    tmp_path: Path, make_fields: MakeFields
) -> None:
    store, fields = ResultStore(tmp_path, "s"), make_fields()
    with store.draft("c", fields.key) as draft:
        with pytest.raises(RefusedInputError, match="its place has 2 axes, it has 1"):
            draft.add_array("line", np.zeros(3), axes=("width",), place=PLACE)
        draft.discard()
