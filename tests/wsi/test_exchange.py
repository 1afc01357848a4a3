"""Features of a study in the files of CLAM and TRIDENT, read back by the readers of both."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medconsist.errors import CorruptResultError, MissingInputError, RefusedInputError
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.bag_store import bags_of
from medconsist.wsi.bags.clam import read_clam_features, read_clam_patches
from medconsist.wsi.bags.trident import read_trident
from medconsist.wsi.exchange import clam_frame, export_study, trident_frame
from medconsist.wsi.jobs import embed_all, slide_jobs
from medconsist.wsi.settings import Embedding
from tests.cli.small_scan import left_over
from tests.wsi.small_slide import SIDE, QuarterMeans, write_small_slide


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("exchange")
    paths = [
        write_small_slide(folder / "a.svs", mpp=0.2498, width=1024, height=1024),
        write_small_slide(folder / "b.svs", seed=1),
    ]
    embed(paths, folder / "out")
    return folder / "out"


def embed(paths: list[Path], out: Path, **more: Any) -> None:
    common = {"out": out, "encoder": QuarterMeans(), "settings": Embedding(overlap_px=16)} | more
    assert embed_all(slide_jobs(paths, **common)).refused == ()


def bags(root: Path) -> dict[str, Bag]:
    return {str(entry.slide): entry.open() for entry in bags_of(root, "wsi")}


def test_clam_gets_the_features_and_the_coordinates_of_every_slide(
    root: Path, tmp_path: Path
) -> None:
    written = export_study(root, "wsi", out=tmp_path, layout="clam")
    assert [path.name for path in written] == ["a.h5", "b.h5"]
    for name, bag in bags(root).items():
        found = read_clam_features(tmp_path / "h5_files" / f"{name}.h5")
        assert torch.equal(found.features, bag.features.float())
        np.testing.assert_array_equal(found.coords, bag.coords.numpy())
        pt = torch.load(tmp_path / "pt_files" / f"{name}.pt", weights_only=True)
        assert torch.equal(pt.float(), bag.features.float())
    patches = read_clam_patches(tmp_path / "patches" / "a.h5")
    # 64 px of 0.5 um are 128.1 px of 0.2498 um
    assert (patches.frame.patch_size, patches.frame.patch_level) == (128, 0)
    assert patches.frame.level_dim == (1024, 1024)


def test_trident_gets_the_features_and_what_it_knows_of_the_grid(
    root: Path, tmp_path: Path
) -> None:
    export_study(root, "wsi", out=tmp_path, layout="trident")
    for name, bag in bags(root).items():
        found = read_trident(tmp_path / f"{name}.h5")
        assert torch.equal(found.features.float(), bag.features.float())
        np.testing.assert_array_equal(found.coords, bag.coords.numpy())
        assert (found.frame.overlap, found.frame.patch_size) == (16, 64)
        assert found.frame.encoder == "quarters"
    frame = read_trident(tmp_path / "a.h5").frame
    assert (frame.level0_magnification, frame.target_magnification) == (40, 20)
    assert frame.patch_size_level0 == 128


def test_frames_say_where_the_region_ends(root: Path) -> None:
    bag = bags(root)["b"]
    assert clam_frame(bag, save_path="x").level_dim == (SIDE, SIDE)
    frame = trident_frame(bag, folder="x")
    assert (frame.level0_width, frame.level0_height) == (SIDE, SIDE)


def test_a_study_without_features_is_refused_and_makes_no_folder(
    root: Path, tmp_path: Path
) -> None:
    with pytest.raises(MissingInputError, match="There are no features in study none"):
        export_study(root, "none", out=tmp_path / "out", layout="clam")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", ["clam", "trident"])
def test_of_several_results_of_a_slide_the_current_one_is_written(
    layout: Any, tmp_path: Path
) -> None:
    slide = write_small_slide(tmp_path / "a.svs")
    embed([slide], tmp_path / "out")
    few = len(export_bag(tmp_path, layout).coords)
    embed([slide], tmp_path / "out", settings=Embedding(overlap_px=48))
    assert len(export_bag(tmp_path, layout).coords) > few
    embed([slide], tmp_path / "out")  # done before; it is the current one again
    assert len(export_bag(tmp_path, layout).coords) == few


def export_bag(folder: Path, layout: Any) -> Any:
    (path,) = export_study(folder / "out", "wsi", out=folder / "files", layout=layout)
    return read_clam_features(path) if layout == "clam" else read_trident(path)


@pytest.mark.parametrize("layout", ["clam", "trident"])
def test_slides_of_one_name_in_two_cases_are_refused(layout: Any, tmp_path: Path) -> None:
    slide = write_small_slide(tmp_path / "a.svs")
    embed([slide], tmp_path / "out")
    embed([slide], tmp_path / "out", case="another")
    with pytest.raises(RefusedInputError, match="are both of a slide named a"):
        export_study(tmp_path / "out", "wsi", out=tmp_path / "files", layout=layout)
    assert not (tmp_path / "files").exists()


def test_a_changed_bag_is_not_exported(tmp_path: Path) -> None:
    embed([write_small_slide(tmp_path / "a.svs")], tmp_path / "out")
    (entry,) = bags_of(tmp_path / "out", "wsi")
    entry.path.chmod(0o644)
    entry.path.write_bytes(entry.path.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptResultError, match="not as it was written"):
        export_study(tmp_path / "out", "wsi", out=tmp_path / "files", layout="clam")
    assert left_over(tmp_path / "files") == []
