"""What is said of a slide: what lies in the file, and the class of what is wrong with it."""

import inspect
import json
from pathlib import Path

import pytest

from medconsist.cli.wsi import Doctor
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.wsi import doctor
from medconsist.wsi.doctor import Examination, Problem, examine
from medconsist.wsi.encoders.colour_texture import ColourTexture
from medconsist.wsi.look import look_at
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.settings import Embedding
from tests.wsi.small_slide import write_small_slide


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("doctor")
    return write_small_slide(folder / "biopsy.svs", mpp=1.0, faults=("blank",), seed=2)


def reasons(found: Examination) -> list[str]:
    json.dumps(found.as_json(), allow_nan=False)
    assert all(one.sentence in found.text for one in found.problems)
    return [one.reason for one in found.problems]


def test_tiles_and_flags_are_those_that_embed_sees(path: Path) -> None:
    settings = Embedding(target_mpp=1.0)
    with open_slide(path) as slide:
        look = look_at(slide, mpp=slide.facts.mpp(), tile_px=32, settings=settings)
    found = examine(path, target_mpp=1.0, tile_px=32)
    said = f"{len(look.choice.items)} of {len(look.grid)} with tissue, 32 px at 1 um/px"
    assert found.findings["tiles"] == said
    share = look.quality.shares["blank"]
    assert share
    assert f"blank: {share:.1%} of the tissue" in found.findings["flags"]
    assert (found.exit_code, reasons(found)) == (0, [])


def test_given_microns_go_before_those_of_the_slide(path: Path) -> None:
    found = examine(path, mpp=(0.25, 0.3), tile_px=64)
    assert found.findings["microns per pixel"] == "0.25 x 0.3 (given)"


def test_a_slide_without_microns_tells_all_else(tmp_path: Path) -> None:
    found = examine(write_small_slide(tmp_path / "silent.tiff", mpp=None))
    assert reasons(found) == ["no mpp"]
    assert found.exit_code == 2
    assert found.findings["microns per pixel"] == "unknown"
    assert found.findings["engine"] == "direct"
    assert "tiles" not in found.findings


def test_microns_stay_known_where_the_tiles_are_refused(path: Path) -> None:
    cases = ((0.5, 256, "unsupported"), (1.0, 10**6, "unsupported"), (1.0, 0, "failed"))
    for target_mpp, tile_px, reason in cases:
        found = examine(path, target_mpp=target_mpp, tile_px=tile_px)
        assert reasons(found) == [reason]
        assert found.findings["microns per pixel"] == "1 x 1 (aperio.MPP)"


@pytest.mark.parametrize("target_mpp", [0.0, -1.0, float("nan"), 1000.0])
def test_microns_of_tiles_that_cannot_be_are_no_finding_of_the_slide(
    target_mpp: float, path: Path
) -> None:
    with pytest.raises(RefusedInputError, match="--tile-mpp takes"):
        examine(path, target_mpp=target_mpp)


def test_the_tiles_that_are_counted_are_those_of_the_embedding_without_weights() -> None:
    assert inspect.signature(examine).parameters["tile_px"].default == ColourTexture().input_px
    assert Doctor(slide=Path("a.svs")).tile_px == ColourTexture().input_px


def test_a_missing_slide_is_an_error_and_a_folder_a_problem(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"no file none\.svs"):
        examine(tmp_path / "none.svs")
    assert reasons(examine(tmp_path)) == ["unsupported"]


def test_slides_cut_anywhere_are_a_problem_never_a_traceback(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    bad = tmp_path / "bad.svs"
    for at in (0, 1, 2, 3, 4, 7, 8, 100, len(data) // 2, len(data) - 1):
        bad.write_bytes(data[:at])
        found = examine(bad)
        assert reasons(found)[0] in ("corrupt", "unsupported")
        assert found.exit_code == 2


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("CMU-1-Small-Region.svs", None),
        ("test3-DAPI-2-387.ndpi", None),
        ("openslide_boxes.tiff", "no mpp"),
        ("openslide_small.svs", "unsupported"),  # 16 px a side: smaller than a tile
        ("openslide_boxes_0.dcm", "unsupported"),
        ("openslide_unopenable.tiff", "unsupported"),
        ("openslide_unreadable.svs", "corrupt"),
        ("PROVENANCE.md", "unsupported"),
    ],
)
def test_real_files_have_the_class_that_they_deserve(
    name: str, reason: str | None, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_TIMED_TILES", 8)
    found = examine(data_dir / "wsi" / name)
    assert reasons(found) == ([] if reason is None else [reason])
    assert found.exit_code == (0 if reason is None else 2)


@pytest.mark.data
def test_what_embed_would_note_is_noted(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_TIMED_TILES", 8)
    found = examine(data_dir / "wsi" / "test3-DAPI-2-387.ndpi")
    notes = " ".join(found.findings["notes"])
    assert "read by OpenSlide" in notes
    assert "looks fluorescence" in notes
    assert "Not assessed: fold" in notes
    assert found.findings["rho"].startswith("not measured")


def test_lists_are_one_line_each_under_one_name() -> None:
    found = Examination(Path("a.svs"), {"levels": ["0: 9 x 9", "1: 3 x 3"], "engine": "direct"})
    found.problems.append(Problem("corrupt", "it ends too soon."))
    assert found.text.splitlines() == [
        "levels  0: 9 x 9",
        "        1: 3 x 3",
        "engine  direct",
        "cannot be embedded (corrupt): it ends too soon.",
    ]
