"""Implants: what changes and what does not, where the truth lies, and that maps come back there."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from jaxtyping import UInt8
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.tiling.affine import Affine
from medconsist.wsi.bench.implanted_copies import CLASSES, Copy, TissuePart, halves_of, write_copy
from medconsist.wsi.bench.implants import Sizes, area_of, mean_inside, run_bench
from medconsist.wsi.encoders.colour_texture import ColourTexture
from medconsist.wsi.geojson import read_geojson
from medconsist.wsi.heatmap import HeatMap
from medconsist.wsi.jobs import embed_all, slide_jobs
from medconsist.wsi.mil.card import SpaceRecord
from medconsist.wsi.mil.implant import (
    FAMILIES,
    Implant,
    Place,
    Shape,
    draw_implants,
    implanted,
    truth_mask,
)
from medconsist.wsi.mil.methods import MethodChoice
from medconsist.wsi.mil.objective import Sampling
from medconsist.wsi.mil.predict_study import predict_all, study_jobs
from medconsist.wsi.mil.sources import Classes, cohort_of, study_bags
from medconsist.wsi.mil.training_run import MilTraining, Provenance
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.settings import Embedding
from medconsist.wsi.simulate import SlideConfig, simulate_pixels
from medconsist.wsi.tissue.polygons import pixel_polygons

PLACE = Place(y=120, x=200, semi=(50, 30), angle=0.6)
SLIDE = Path("wsi", "CMU-1-Small-Region.svs")


@pytest.fixture(scope="module")
def picture() -> UInt8[np.ndarray, "rows columns 3"]:
    config = SlideConfig(width=512, height=384, tissue=1.0)
    return simulate_pixels(config, 0, 0, 384, 512)


def implant(family: str | None = None, **changes: Any) -> Implant:
    made = Implant(place=PLACE, donor=(280, 400), turn=5, family=family, seed=3)
    return replace(made, **changes)


@pytest.mark.parametrize("family", [None, *FAMILIES])
def test_outside_of_the_mask_every_bit_is_the_same(
    picture: UInt8[np.ndarray, "rows columns 3"], family: str | None
) -> None:
    done = implanted(picture, [implant(family)], mpp=0.5)
    outside = np.ones(picture.shape[:2], np.bool_)
    outside[PLACE.box] = PLACE.weights() == 0
    assert 0 < (~outside).sum() < outside.sum()
    np.testing.assert_array_equal(done[outside], picture[outside])
    inside = truth_mask([implant()], (384, 512))
    assert (done[inside] != picture[inside]).any(axis=1).mean() > 0.9


def test_a_sham_is_the_turned_donor_and_a_lesion_is_darker_in_every_channel(
    picture: UInt8[np.ndarray, "rows columns 3"],
) -> None:
    sham = implanted(picture, [implant()], mpp=0.5)
    donor = picture[280 - 50 : 280 + 51, 400 - 50 : 400 + 51]
    whole = PLACE.weights() == 1
    turned = np.rot90(donor[:, ::-1], 1)
    np.testing.assert_array_equal(sham[PLACE.box][whole], turned[whole])
    for family in FAMILIES:
        lesion = implanted(picture, [implant(family)], mpp=0.5)
        assert (lesion <= sham).all()
        assert lesion[PLACE.box][whole].mean() < sham[PLACE.box][whole].mean() - 10


def test_a_donor_is_read_as_it_was_before_any_implant(
    picture: UInt8[np.ndarray, "rows columns 3"],
) -> None:
    lesion = implant("large-cell")
    sham = Implant(place=Place(y=280, x=400, semi=(40, 40)), donor=(PLACE.y, PLACE.x))
    both = implanted(picture, [lesion, sham], mpp=0.5)
    alone = implanted(picture, [sham], mpp=0.5)
    np.testing.assert_array_equal(both[sham.place.box], alone[sham.place.box])


def test_sham_and_lesion_are_drawn_alike_whatever_goes_there() -> None:
    tissue = np.ones((500, 700), np.bool_)
    drawn = [
        draw_implants(
            tissue, families, shape=Shape(semi=(20, 40)), generator=Generator().manual_seed(1)
        )
        for families in (("small-cell", None), (None, None), (None, "large-cell"))
    ]
    blank = [[replace(one, family=None) for one in some] for some in drawn]
    assert blank[0] == blank[1] == blank[2]
    np.testing.assert_array_equal(
        truth_mask(drawn[0], (500, 700)), truth_mask(drawn[2], (500, 700))
    )


def test_same_generator_same_bits(picture: UInt8[np.ndarray, "rows columns 3"]) -> None:
    tissue = np.ones(picture.shape[:2], np.bool_)
    twice = []
    for _ in range(2):
        generator = Generator().manual_seed(9)
        some = draw_implants(
            tissue, ("large-cell", None), shape=Shape(semi=(20, 30)), generator=generator
        )
        twice.append(implanted(picture, some, mpp=0.5))
    np.testing.assert_array_equal(twice[0], twice[1])


def test_places_overlap_neither_each_other_nor_a_donor_and_lie_on_tissue() -> None:
    tissue = np.zeros((600, 600), np.bool_)
    tissue[100:500, 50:560] = True
    some = draw_implants(
        tissue,
        ("small-cell", None, None),
        shape=Shape(semi=(25, 40)),
        generator=Generator().manual_seed(2),
    )
    for one in some:
        disc = shapely.Point(one.donor[1] + 0.5, one.donor[0] + 0.5).buffer(one.place.reach)
        others = [other.place.polygon() for other in some if other is not one]
        assert not any(one.place.polygon().intersects(other) for other in others)
        assert not any(disc.intersects(other.place.polygon()) for other in some)
        weights = one.place.weights()
        assert (weights * tissue[one.place.box]).sum() / weights.sum() >= 0.9


def test_outline_and_mask_are_the_same_place() -> None:
    mask = truth_mask([implant()], (384, 512))
    (drawn,) = pixel_polygons(mask)
    outline = PLACE.polygon()
    # a pixel is inside or not: along the border both differ by up to half a pixel
    assert outline.symmetric_difference(drawn).area < 0.5 * outline.length
    assert outline.centroid.distance(shapely.Point(200.5, 120.5)) < 1e-9


def test_mean_inside_reads_a_map_at_the_place_of_the_implant() -> None:
    values = np.zeros((384, 512), np.float32)
    values[PLACE.box] = np.where(PLACE.weights() >= 0.5, 3.0, 0.0)
    affine = Affine(offset=(0.0, 0.0), scale=(1.0, 1.0))
    assert mean_inside(HeatMap(values, affine), PLACE) == 3.0
    moved = HeatMap(values.T.copy(), affine)
    assert mean_inside(moved, PLACE) < 3.0


def test_an_area_needs_tiles_of_both_places() -> None:
    first = np.array([True, True, False, False])
    assert area_of(np.array([3.0, 2.0, 1.0, 9.0]), first, ~first) == 0.5
    assert area_of(np.array([3.0, 2.0, 1.0, 9.0]), first, np.zeros(4, np.bool_)) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"donor": (10, 400)}, "takes the rows -40 to 61"),
        ({"family": "glandular"}, "There is no family 'glandular'"),
        ({"turn": 8}, "turn got 8; allowed: 0 to 7"),
    ],
)
def test_what_cannot_be_implanted_is_said(
    picture: UInt8[np.ndarray, "rows columns 3"], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(RefusedInputError, match=words):
        implanted(picture, [implant(**changes)], mpp=0.5)


def test_no_room_and_sizes_out_of_range_are_refused() -> None:
    tissue = np.zeros((300, 300), np.bool_)
    with pytest.raises(RefusedInputError, match="no more place for an implant"):
        draw_implants(tissue, (None,), shape=Shape(semi=(20, 30)), generator=Generator())
    with pytest.raises(RefusedInputError, match="half axes"):
        Place(y=0, x=0, semi=(3, 9))
    with pytest.raises(RefusedInputError, match="2 families or more"):
        Sizes(families=("small-cell",))


@dataclass(frozen=True)
class Small:
    """A corner of the real slide, copies of it, and where they lie."""

    folder: Path
    part: TissuePart
    copies: tuple[Copy, ...]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small only wait for each other's threads, on a busy machine for minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, data_dir: Path, one_thread: None) -> Small:
    del one_thread
    folder: Path = tmp_path_factory.mktemp("implant")
    part = halves_of(data_dir / SLIDE)["lower"].part(slice(700, 1400), slice(600, 1500))
    planned: list[str | None] = ["large-cell", "epithelioid", None, None] * 3 + ["small-cell"]
    copies = []
    for number, family in enumerate(planned):
        implants = draw_implants(
            part.tissue,
            (family, None),
            shape=Shape(semi=(80, 100), tissue=0.7),
            generator=Generator().manual_seed(number),
        )
        copies.append(write_copy(part, folder / f"copy-{number:02d}.svs", implants))
    jobs = slide_jobs(
        [one.path for one in copies],
        out=folder / "out",
        encoder=ColourTexture(input_px=40),
        settings=Embedding(),
        threads=1,
    )
    assert embed_all(jobs).refused == ()
    return Small(folder, part, tuple(copies))


@pytest.mark.data
def test_a_written_copy_says_where_its_pixels_lie(small: Small) -> None:
    copy = small.copies[-1]
    with open_slide(copy.path) as slide:
        assert slide.facts.mpp().x == pytest.approx(0.499)
        pixels = slide.read_region(0, 0, 0, *slide.facts.size)
    wanted = implanted(small.part.picture, copy.implants, mpp=small.part.mpp)
    assert np.abs(pixels.astype(int) - wanted).mean() < 4  # JPEG at quality 90


@pytest.mark.data
def test_geojson_of_a_prediction_lies_over_the_lesion(small: Small) -> None:
    *learnt, asked = small.copies
    assert asked.family not in {one.family for one in learnt}
    source = study_bags(small.folder / "out", "wsi")
    parts = ([one.row for one in learnt[:8]], [one.row for one in learnt[8:]])
    train, validation = (cohort_of(source, rows, Classes(CLASSES)) for rows in parts)
    predictor = MilTraining(
        out=small.folder / "model",
        choice=MethodChoice(name="abmil", width=32, dropout=0.0),
        train=train,
        validation=validation,
        provenance=Provenance(
            space=SpaceRecord.of(source.opened(0).bags[0].header, source.dim), study="copies"
        ),
        epochs=120,
        lr=5e-3,
        patience=None,
        evaluations=1,
        sampling=Sampling(bags=4),
        progress=False,
    ).run()
    jobs = study_jobs(small.folder / "out", "wsi", predictor=predictor, cases=[asked.case])
    (outcome,) = predict_all(jobs).outcomes
    regions = read_geojson(outcome.stored.file("regions"), origin="slide")

    lesion, sham = (one.place.polygon() for one in asked.implants)
    tiles = [one for one in regions if one.kind == "tile"]
    shown = "instance_probability"
    inside, other = (
        [t.measurements[shown] for t in tiles if place.covers(t.geometry.centroid)]
        for place in (lesion, sham)
    )
    assert np.mean(inside) > np.mean(other) + 0.2
    outlines = shapely.union_all([one.geometry for one in regions if one.kind == "annotation"])
    covered = outlines.intersection(lesion).area / lesion.area
    rows, columns = small.part.tissue.shape
    wrong = {
        "transposed": shapely.transform(lesion, lambda xy: xy[:, ::-1]),
        "mirrored": shapely.transform(lesion, lambda xy: (columns, 0) + xy * (-1, 1)),
        "upside down": shapely.transform(lesion, lambda xy: (0, rows) + xy * (1, -1)),
        "at half scale": shapely.transform(lesion, lambda xy: xy / 2),
    }
    found = {n: outlines.intersection(shape).area / shape.area for n, shape in wrong.items()}
    assert covered > 0.5, (covered, found)
    assert covered > max(found.values()) + 0.3, (covered, found)


@pytest.mark.slow
@pytest.mark.data
def test_bench_made_tiny_asks_every_family_in_both_halves(data_dir: Path, one_thread: None) -> None:
    del one_thread
    sizes = Sizes(
        lesions=2,
        shams=4,
        families=("large-cell", "small-cell"),
        methods=("abmil",),
        epochs=1,
        workers=1,
    )
    report = run_bench(data=data_dir, sizes=sizes)
    assert [target.name for target in report.targets] == [
        "maps above shams, abmil, instance_probability"
    ]
    assert report.rows[0].n == 8
    assert {row.n for row in report.rows if "by model" in row.metric} == {4}
    assert any(row.case == "haematoxylin of the tile, nothing trained" for row in report.rows)
