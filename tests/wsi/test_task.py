"""The embed job: what it computes, what it writes down, and what it refuses."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import torch
from PIL import Image

from medconsist import SIMULATED_NOTE
from medconsist._digests import sha256_of_path
from medconsist.errors import (
    CorruptInputError,
    CorruptResultError,
    MissingInputError,
    NoMppError,
    NoTissueError,
    RefusedInputError,
    UnsupportedInputError,
)
from medconsist.results.cases import Outcome
from medconsist.results.schema import Place
from medconsist.results.store import ResultStore, StoredResult
from medconsist.results.trust import fewest_cases
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.bag_file import read_bag
from medconsist.wsi.bags.bag_store import bags_of, case_bag
from medconsist.wsi.encoders.colour_texture import ColourTexture
from medconsist.wsi.geojson import read_geojson
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from medconsist.wsi.settings import KIND, Embedding
from medconsist.wsi.simulate import SlideConfig, write_asymmetric_slide
from medconsist.wsi.slide import Bounds
from medconsist.wsi.task import RANDOM_NOTE, SlideJob, embed_slide
from tests.cli.small_scan import copy_of, fingerprint, left_over
from tests.wsi.small_slide import SIDE, QuarterMeans, write_small_slide

HERE = Path(__file__).parent
TILE = 64
PLAIN = Embedding()
ANY_STAIN = Embedding(stains=None)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_small_slide(tmp_path / "biopsy.svs")


def run(slide: Path, settings: Embedding = PLAIN, **more: Any) -> Outcome:
    job = SlideJob(slide=slide, out=slide.parent / "out", encoder=QuarterMeans(), settings=settings)
    return embed_slide(replace(job, **more))


def done(slide: Path, settings: Embedding = PLAIN, **more: Any) -> StoredResult:
    outcome = run(slide, settings, **more)
    assert outcome.fresh
    return outcome.stored


def bag_of(stored: StoredResult) -> Bag:
    return read_bag(stored.file("bag"))


def scores(stored: StoredResult) -> dict[str, float]:
    return {score.name: score.value for score in stored.result.trust.scores}


def test_a_slide_gives_features_overview_tissue_flags_and_outlines(slide: Path) -> None:
    stored = done(slide)

    assert set(stored.roles()) == {
        *("bag", "overview", "tissue", "regions", "feature_colours"),
        *("pen", "fold", "blur", "blank"),
    }
    result = stored.result
    store = ResultStore(slide.parent / "out", "wsi")
    assert (result.kind, result.case, result.item, result.patient) == (KIND, *(["biopsy"] * 3))
    assert store.current("biopsy") == result.key
    assert store.verify("biopsy", result.key) == []
    assert result.inputs == {"slide": sha256_of_path(slide)}
    assert [name for name in left_over(slide.parent / "out") if "/." in name] == []


def test_record_says_how_the_features_were_made(slide: Path) -> None:
    stored = done(slide)
    result, bag = stored.result, bag_of(stored)

    assert result.config == {
        **json.loads(json.dumps(PLAIN.as_config())),
        "encoder": QuarterMeans().card.as_dict(),
    }
    assert result.model is None
    assert {"hash", "open", "look", "embed"} <= set(result.times.steps_s)
    assert "Microns per pixel 0.5 x 0.5, source: aperio.MPP." in result.notes
    assert "Decoded by the engine direct." in result.notes
    assert {m.name: (m.value, m.unit_of_analysis) for m in result.metrics} == {
        "tiles": (len(bag), "slide"),
        "tissue_area": (scores(stored)["tissue_area"], "slide"),
    }
    header = bag.header
    assert (header.slide, header.case, header.patient) == ("biopsy", "biopsy", "biopsy")
    assert header.slide_sha256 == result.inputs["slide"]
    assert (header.mpp_x, header.mpp_source, header.engine) == (0.5, "aperio.MPP", "direct")
    assert (header.encoder.name, header.encoder.input_px) == ("quarters", TILE)
    assert header.notes == result.notes


def plain_features(path: Path, bag: Bag, factor: int) -> torch.Tensor:
    """Read every tile by OpenSlide at its coordinates, one after the other, and encode it."""
    encoder, rows = QuarterMeans(), []
    with openslide.OpenSlide(path) as reader:
        for x, y in bag.coords.tolist():
            side = TILE * factor
            image = reader.read_region((x, y), 0, (side, side)).convert("RGB")
            tile = np.array(image.resize((TILE, TILE), Image.Resampling.BOX))
            rows.append(encoder(torch.from_numpy(tile)[None]))
    return torch.cat(rows).to(torch.float16)


@pytest.mark.parametrize(
    ("mpp", "engine", "factor"),
    [(0.5, "direct", 1), (0.5, "openslide", 1), (0.25, "openslide", 2)],
)
def test_features_are_those_of_a_plain_loop_over_openslide_tiles(
    mpp: float, engine: Any, factor: int, tmp_path: Path
) -> None:
    slide = write_small_slide(tmp_path / "biopsy.svs", mpp=mpp, width=1024, height=1024)

    stored = done(slide, Embedding(engine=engine), batch=7, threads=2)

    bag = bag_of(stored)
    assert torch.equal(bag.features, plain_features(slide, bag, factor))
    assert torch.equal(bag.coords, bag.index * TILE * factor)


def test_scaled_decoding_of_the_direct_engine_is_near_the_plain_loop(tmp_path: Path) -> None:
    slide = write_small_slide(tmp_path / "biopsy.svs", mpp=0.25, width=1024, height=1024)
    bag = bag_of(done(slide, Embedding(engine="direct")))
    wanted = plain_features(slide, bag, 2).float()
    # Means over 1024 pixels; scaled DCT is allowed a mean difference of 1 of 255 a pixel.
    torch.testing.assert_close(bag.features.float(), wanted, rtol=0, atol=1.0)


def test_tiles_are_all_those_with_enough_tissue_row_by_row(slide: Path) -> None:
    stored = done(slide)
    mask = stored.array("tissue") & ~stored.array("pen")
    cells = mask.shape[0] * TILE // SIDE  # of the mask, along a tile
    share = mask.reshape(SIDE // TILE, cells, SIDE // TILE, cells).mean(axis=(1, 3))
    row, column = np.nonzero(share >= PLAIN.min_tissue)
    assert bag_of(stored).index.tolist() == np.stack([column, row], axis=1).tolist()


def test_a_rerun_computes_nothing_and_does_not_open_the_slide(
    slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = done(slide)
    before = fingerprint(slide.parent / "out")
    monkeypatch.setattr("medconsist.wsi.task.open_slide", lambda *_, **__: pytest.fail("opened"))
    encoder = QuarterMeans()

    again = run(slide, encoder=encoder)

    assert not again.fresh
    assert encoder.tiles_seen == 0
    assert again.stored.result == first.result
    assert fingerprint(slide.parent / "out") == before


CHANGES: dict[str, dict[str, Any]] = {
    "microns of the tiles": {"settings": Embedding(target_mpp=0.75)},
    "overlap": {"settings": Embedding(overlap_px=16)},
    "least tissue": {"settings": Embedding(min_tissue=0.5)},
    "what is left out": {"settings": Embedding(leave_out=())},
    "stain": {"settings": ANY_STAIN},
    "engine": {"settings": Embedding(engine="openslide")},
    "microns of the slide": {"mpp": 0.45},
    "side of a tile": {"encoder": QuarterMeans(input_px=32)},
    "weights": {"encoder": QuarterMeans(sha256="1" * 64)},
}


def test_everything_that_changes_the_features_changes_the_key(slide: Path) -> None:
    job = SlideJob(slide=slide, out=slide.parent, encoder=QuarterMeans(), settings=PLAIN)
    keys = {name: replace(job, **change).key for name, change in CHANGES.items()}
    assert len({job.key, *keys.values()}) == len(CHANGES) + 1
    assert replace(job, batch=3, threads=3).key == job.key
    other = write_small_slide(slide.with_name("other.svs"), seed=1)
    assert replace(job, slide=other).key != job.key
    assert replace(job, slide=copy_of(slide, slide.with_name("copy.svs"))).key == job.key


@pytest.mark.parametrize("change", ["microns of the slide", "side of a tile", "overlap"])
def test_another_setting_gets_a_key_of_its_own_and_leaves_the_first_untouched(
    change: str, slide: Path
) -> None:
    first = done(slide)
    before = fingerprint(first.folder.path)

    second = done(slide, **CHANGES[change])

    assert second.result.key != first.result.key
    assert fingerprint(first.folder.path) == before
    store = ResultStore(slide.parent / "out", "wsi")
    assert store.current("biopsy") == second.result.key
    assert not run(slide).fresh
    assert store.current("biopsy") == first.result.key


def test_same_job_gives_the_same_bytes_in_another_folder(slide: Path) -> None:
    one, two = done(slide, batch=64), done(slide, out=slide.parent / "two", batch=5, threads=1)
    assert [a.sha256 for a in one.result.arrays] == [a.sha256 for a in two.result.arrays]
    assert one.result.metrics == two.result.metrics


def test_the_encoder_that_needs_no_weights_sees_the_tiles(slide: Path) -> None:
    encoder = ColourTexture(input_px=TILE)
    bag = bag_of(done(slide, encoder=encoder))
    with open_slide(slide) as reader:
        x, y = bag.coords[3].tolist()
        tile = torch.from_numpy(reader.read_region(0, x, y, TILE, TILE).copy())
    # fp16 keeps 11 bits; a batch may differ in the last bits of float32
    torch.testing.assert_close(
        bag.features[3].float(), encoder(tile[None])[0], rtol=1e-3, atol=1e-4
    )


def test_an_asymmetric_slide_stays_in_place(tmp_path: Path) -> None:
    path = tmp_path / "letters.tiff"
    size = {"width": 1000, "height": 840, "mpp": (0.5, 0.4)}
    pixels = write_asymmetric_slide(path, SlideConfig(layout="tiff", quality=95, **size))  # type: ignore[arg-type]  # mypy reads the values of ** as one type

    stored = done(path, ANY_STAIN)

    result = stored.result
    records = {record.role: record for record in result.arrays}
    place = records["overview"].place
    assert place is not None
    picture = stored.array("overview").astype(float)
    there = on_picture(pixels, place, picture.shape[:2])
    assert correlation(picture, there) > 0.99  # of means of 16 x 20 pixels, after JPEG
    for moved in (there[::-1], there[:, ::-1], np.roll(there, 1, 0), np.roll(there, 1, 1)):
        assert correlation(picture, moved) < 0.98  # the picture can tell
    for role in ("tissue", "pen", "blank"):
        assert (records[role].place, records[role].shape) == (place, picture.shape[:2])
    spacing = records["overview"].spacing_mm
    assert spacing == pytest.approx((place.scale[0] * 4e-4, place.scale[1] * 5e-4, None))
    colours = records["feature_colours"].place
    assert colours is not None
    assert colours.scale == pytest.approx((TILE * 0.5 / 0.4, TILE))
    bag = bag_of(stored)
    rows, columns = stored.array("feature_colours").shape[:2]
    drawn = np.full((rows, columns), fill_value=False)
    drawn[bag.index[:, 1], bag.index[:, 0]] = True
    assert ((stored.array("feature_colours") < 255).any(-1) <= drawn).all()
    exact = bag.exact_coords().numpy()[:, ::-1]
    wanted = np.array(colours.offset) + np.array(colours.scale) * bag.index.numpy()[:, ::-1]
    np.testing.assert_allclose(exact, wanted, rtol=1e-12)


def on_picture(pixels: np.ndarray, place: Place, shape: tuple[int, ...]) -> np.ndarray:
    """Return the mean of level 0 within every pixel of a placed picture."""
    edges = [
        np.clip(np.rint(offset + scale * np.arange(n)).astype(int), 0, length)
        for offset, scale, n, length in zip(
            place.offset, place.scale, shape, pixels.shape[:2], strict=True
        )
    ]
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(float), edges[0], 0), edges[1], 1)
    counts = np.outer(*(np.diff([*e, n]) for e, n in zip(edges, pixels.shape[:2], strict=True)))
    return np.asarray(sums / counts[..., None])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_outlines_of_the_tissue_lie_on_level_0(slide: Path) -> None:
    stored = done(slide)
    regions = read_geojson(stored.file("regions"), origin="slide")
    area = sum(region.geometry.area for region in regions)
    place = stored.record("tissue").place
    assert place is not None
    # An outline goes along the borders of the pixels of the mask.
    assert area == pytest.approx(stored.array("tissue").sum() * np.prod(place.scale), rel=0.05)
    assert scores(stored)["tissue_area"] == pytest.approx(
        stored.array("tissue").sum() * np.prod(place.scale) * 0.25e-6
    )


def test_tiles_under_the_pen_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    config = {"width": 1024, "height": 1024, "mpp": 1.0, "faults": ("pen-blue",)}
    slide = write_small_slide(tmp_path / "marked.svs", **config)
    at_1 = Embedding(target_mpp=1.0, min_tissue=0.6)
    kept, everything = done(slide, at_1), done(slide, replace(at_1, leave_out=()))
    assert kept.array("pen").any()
    assert scores(kept)["pen_share"] > 0
    inked = np.kron(kept.array("pen"), np.ones((8, 8), dtype=bool))
    worst = {
        name: max(inked[y : y + TILE, x : x + TILE].mean() for x, y in bag_of(one).coords.tolist())
        for name, one in (("kept", kept), ("everything", everything))
    }
    assert worst["kept"] <= 1 - at_1.min_tissue < worst["everything"]
    assert len(bag_of(kept)) < len(bag_of(everything))


def test_another_stain_is_flagged_or_refused(tmp_path: Path) -> None:
    slide = write_small_slide(tmp_path / "dark.svs", stain="fluorescence")
    flagged = done(slide)
    assert any("the stain looks fluorescence" in note for note in flagged.result.notes)
    assert any("Not assessed: pen" in note for note in flagged.result.notes)
    assert not any("looks" in note for note in done(slide, ANY_STAIN).result.notes)
    with pytest.raises(UnsupportedInputError, match="made for he") as caught:
        run(slide, Embedding(other_stain="refuse"), out=tmp_path / "refused")
    assert caught.value.reason == "unsupported"
    assert left_over(tmp_path / "refused") == []


def test_a_slide_without_tissue_is_named_so_and_leaves_nothing(tmp_path: Path) -> None:
    slide = write_small_slide(tmp_path / "glass.svs", tissue=0)
    with pytest.raises(NoTissueError, match="no tissue was found") as caught:
        run(slide)
    assert (caught.value.reason, caught.value.exit_code) == ("no tissue", 2)
    assert caught.value.picture.startswith(b"\x89PNG")
    assert left_over(tmp_path / "out") == []


def test_tissue_that_fills_no_tile_is_named_so(slide: Path) -> None:
    with pytest.raises(NoTissueError, match="the fullest holds") as caught:
        run(slide, Embedding(min_tissue=1.0), encoder=QuarterMeans(input_px=740))
    assert caught.value.picture.startswith(b"\x89PNG")


def test_features_of_random_weights_say_so(slide: Path) -> None:
    encoder = QuarterMeans()
    encoder.card = replace(encoder.card, name="quarters-random")
    assert RANDOM_NOTE in done(slide, encoder=encoder).result.notes
    assert RANDOM_NOTE not in done(slide).result.notes


def test_a_slide_smaller_than_one_tile_is_refused(slide: Path) -> None:
    with pytest.raises(UnsupportedInputError, match="has 768 x 768 px, and a tile 2000 x 2000"):
        run(slide, encoder=QuarterMeans(input_px=2000))
    assert left_over(slide.parent / "out") == []


def test_unknown_microns_are_asked_for(tmp_path: Path) -> None:
    slide = write_small_slide(tmp_path / "silent.tiff", mpp=None)
    with pytest.raises(NoMppError, match=r"silent\.tiff: .*Give the value by --mpp") as caught:
        run(slide)
    assert caught.value.reason == "no mpp"
    assert left_over(tmp_path / "out") == []
    stored = done(slide, mpp=(0.5, 0.4))
    assert "Microns per pixel 0.5 x 0.4, source: given." in stored.result.notes
    assert stored.result.config["mpp"] == [0.5, 0.4]
    header = bag_of(stored).header
    assert (header.mpp_x, header.mpp_y, header.mpp_source) == (0.5, 0.4, "given")


def test_given_microns_go_before_those_of_the_slide(slide: Path) -> None:
    bag = bag_of(done(slide, mpp=0.25))
    assert torch.equal(bag.coords, bag.index * 2 * TILE)


def test_tiles_finer_than_the_slide_are_refused_unless_asked_for(slide: Path) -> None:
    with pytest.raises(UnsupportedInputError, match="finer than the slide"):
        run(slide, Embedding(target_mpp=0.25))
    assert left_over(slide.parent / "out") == []
    bag = bag_of(done(slide, Embedding(target_mpp=0.25, upsampling=True)))
    assert torch.equal(bag.coords, bag.index * TILE // 2)


def test_a_missing_slide_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"none\.svs does not exist"):
        run(tmp_path / "none.svs")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RefusedInputError, match="is a folder"):
        run(tmp_path / "folder")
    assert left_over(tmp_path / "out") == []


def test_the_folder_beside_a_mirax_file_is_part_of_the_input(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"index")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"tiles")

    def job() -> SlideJob:
        path = tmp_path / "a.mrxs"
        return SlideJob(slide=path, out=tmp_path, encoder=QuarterMeans(), settings=PLAIN)

    first = job()
    assert set(first.inputs) == {"slide", "slide_data"}
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"other")
    assert job().key != first.key


def test_a_stored_tile_that_cannot_be_decoded_ends_without_a_result(tmp_path: Path) -> None:
    slide = write_small_slide(tmp_path / "torn.svs", width=2048, height=2048)
    with openslide.OpenSlide(slide) as reader:
        assert reader.level_count == 2  # the overview is read from the other level
    damage_tile(slide, number=27)
    with pytest.raises(CorruptInputError, match=r"torn\.svs") as caught:
        run(slide)
    assert caught.value.reason == "corrupt"
    assert ResultStore(tmp_path / "out", "wsi").cases() == []


def damage_tile(slide: Path, *, number: int) -> None:
    """Overwrite a stored tile of level 0 from its middle on."""
    import tifffile

    with tifffile.TiffFile(slide) as file:
        page = file.pages[0]
        offset, size = page.dataoffsets[number], page.databytecounts[number]
    with slide.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\0" * size)


def test_a_damaged_result_is_named_before_anything_is_computed(slide: Path) -> None:
    stored = done(slide)
    bag = stored.file("bag")
    bag.chmod(0o644)
    bag.write_bytes(bag.read_bytes()[:-1] + b"?")
    encoder = QuarterMeans()
    with pytest.raises(CorruptResultError, match=r"bag\.safetensors"):
        run(slide, encoder=encoder)
    assert encoder.tiles_seen == 0


def test_a_simulated_slide_is_called_so(slide: Path) -> None:
    assert SIMULATED_NOTE in done(slide).result.notes


@pytest.mark.data
def test_a_real_slide_is_not_called_simulated(data_dir: Path, tmp_path: Path) -> None:
    real = next((data_dir / "wsi").rglob("CMU-1-Small-Region.svs"))
    stored = done(real, out=tmp_path / "out", encoder=QuarterMeans(input_px=224))
    assert SIMULATED_NOTE not in stored.result.notes
    assert "Stain: he" in " ".join(stored.result.notes)


def test_a_case_belongs_to_one_patient(slide: Path) -> None:
    done(slide, patient="p-1")
    before = fingerprint(slide.parent / "out")
    with pytest.raises(RefusedInputError, match="belongs to patient p-1, got --patient p-2"):
        run(slide, patient="p-2")
    with pytest.raises(RefusedInputError, match="belongs to patient p-1, got --patient p-2"):
        run(slide, Embedding(overlap_px=8), patient="p-2")
    assert fingerprint(slide.parent / "out") == before
    assert run(slide).stored.result.patient == "p-1"
    assert done(slide, Embedding(overlap_px=8)).result.patient == "p-1"


def test_slides_of_one_name_are_not_mixed_in_one_case(slide: Path) -> None:
    done(slide)
    (slide.parent / "b").mkdir()
    other = write_small_slide(slide.parent / "b" / slide.name, seed=1)
    with pytest.raises(RefusedInputError, match="holds results of another slide"):
        run(other, out=slide.parent / "out")
    assert done(other, out=slide.parent / "out", case="biopsy-2").result.item == "biopsy"


def test_several_slides_are_of_one_case(slide: Path) -> None:
    other = write_small_slide(slide.with_name("second.svs"), seed=1)
    done(slide, case="case-1", patient="p-1")
    done(other, case="case-1")
    entries = bags_of(slide.parent / "out", "wsi")
    assert [(e.patient, e.case, e.slide) for e in entries] == [
        ("p-1", "case-1", "biopsy"),
        ("p-1", "case-1", "second"),
    ]
    assert len(case_bag(entries)) == sum(len(entry.open()) for entry in entries)


def test_two_slides_of_one_name_in_one_case_are_refused(slide: Path) -> None:
    done(slide, case="case-1")
    (slide.parent / "b").mkdir()
    other = write_small_slide(slide.parent / "b" / slide.name, seed=1)
    before = fingerprint(slide.parent / "out")
    with pytest.raises(RefusedInputError, match="another slide named biopsy"):
        run(other, out=slide.parent / "out", case="case-1")
    assert fingerprint(slide.parent / "out") == before


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"case": "../x"}, "case id '../x' is not a safe name"),
        ({"item": "a b"}, "item id 'a b' is not a safe name"),
        ({"study": ""}, "study id '' is not a safe name"),
        ({"patient": "/"}, "patient id '/' is not a safe name"),
        ({"item": None, "name": "my slide.svs"}, "--case NAME, or rename the file"),
    ],
    ids=str,
)
def test_names_that_are_no_ids_are_refused(names: dict[str, Any], says: str, slide: Path) -> None:
    with pytest.raises(RefusedInputError, match=says):
        run(slide.with_name(names.pop("name", slide.name)), **names)


def test_history_judges_a_slide_against_those_of_equal_settings(slide: Path) -> None:
    first = done(slide)
    store = ResultStore(slide.parent / "out", "wsi")
    (line,) = store.history.read().lines
    needed = fewest_cases(0.05, "high_is_bad")
    for number in range(needed):
        other = first.result.model_copy(update={"case": f"case-{number}"})
        store.remember(other, group=line.group)

    alike = done(slide, encoder=QuarterMeans(input_px=32))
    unlike = done(slide, Embedding(overlap_px=8))

    def states(stored: StoredResult) -> set[str]:
        return {s.state for s in stored.result.trust.scores if s.name == "blur_share"}

    assert states(first) == states(unlike) == {"no_history"}
    assert states(alike) == {"within"}


class Bounded(OpenSlideSlide):
    """A slide of which the scanner filled a part; no file that can be written here has bounds."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.facts = replace(self.facts, bounds=Bounds(x=96, y=160, width=800, height=700))


def test_coordinates_of_a_slide_with_bounds_are_those_of_level_0(
    slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medconsist.wsi.task.open_slide", lambda path, **_: Bounded(path))
    stored = done(slide)
    bag = bag_of(stored)
    assert (bag.header.bounds_x, bag.header.bounds_y) == (96, 160)
    assert torch.equal(bag.coords, bag.index * TILE + torch.tensor([96, 160]))
    assert bag.coords.max(0).values.tolist() <= [96 + 800 - TILE, 160 + 700 - TILE]
    assert torch.equal(bag.features, plain_features(slide, bag, 1))
    place = stored.record("feature_colours").place
    assert place is not None
    assert place.offset == (160.0, 96.0)


def test_the_result_cannot_be_written_over_a_file(slide: Path) -> None:
    (slide.parent / "out").write_text("mine")
    with pytest.raises(OSError, match="Could not write"):
        run(slide)
    assert (slide.parent / "out").read_text() == "mine"


def by_path(script: str, *words: object) -> "subprocess.CompletedProcess[str]":
    """Run a script of this folder as a process of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, str(HERE / script), *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=env
    )


KILLS = 5


def test_kill_nine_at_random_times_loses_a_block_and_gives_the_same_bag(
    slide: Path, tmp_path: Path
) -> None:
    ended = by_path("embed_kill_loop.py", slide, tmp_path, KILLS, 20221111)

    assert ended.returncode == 0, ended.stderr
    counts = json.loads(ended.stdout)
    assert counts["landed"] == 2 * KILLS
    assert counts["went_on"] >= KILLS  # every run began behind the blocks of the last
    assert counts["in_writing"] >= KILLS - 1
    assert counts["torn"] == counts["went_back"] == counts["left_over"] == 0
    assert counts["same_arrays"]
    assert counts["tiles_of_the_last_run"] < 16  # what does not fill a block is not stored
    assert counts["history"] == 1


@pytest.mark.parametrize(
    ("limit", "named"),
    [(1000, r"features\.part"), (3000, r"overview\.zarr"), (8000, "[0-9a-f]{64}")],
    ids=["block", "array", "record"],
)
def test_a_full_disk_ends_in_one_sentence_and_the_next_run_makes_it_good(
    limit: int, named: str, slide: Path
) -> None:
    out = slide.parent / "out"

    ended = by_path("embed_small_disk.py", slide, out, limit)

    assert ended.returncode == 1
    assert re.search(f"{named}: File too large.*then run again", ended.stderr)
    assert ended.stderr.count("\n") == 1
    assert ResultStore(out, "wsi").cases() == []
    assert [name for name in left_over(out) if "/.bag-" not in name] == []
    calm = done(slide, out=slide.parent / "calm")
    assert done(slide).record("bag").sha256 == calm.record("bag").sha256
    assert [name for name in left_over(out) if "/." in name] == []


def test_two_writers_at_once_leave_one_whole_result(slide: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run, slide) for _ in range(2)]
        errors = [one.exception() for one in runs]

    refused = [error for error in errors if error is not None]
    assert len(refused) < 2
    for error in refused:
        assert isinstance(error, RefusedInputError)
        assert "Another process writes this bag" in str(error)
    store = ResultStore(slide.parent / "out", "wsi")
    (key,) = store.keys("biopsy")
    assert store.current("biopsy") == key
    assert store.verify("biopsy", key) == []
    assert len(store.history.read().lines) == 1
    assert [name for name in left_over(slide.parent / "out") if "/." in name] == []
