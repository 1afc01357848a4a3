"""Files of CLAM and TRIDENT: names, types and attributes both ways; what reaches out is refused."""

import pickle
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medconsist.errors import (
    BudgetError,
    MedconsistError,
    MissingInputError,
    RefusedInputError,
    ShapeError,
    TruncatedFileError,
    UnsafeFileError,
)
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.clam import (
    ClamFrame,
    clam_bag,
    read_clam_features,
    read_clam_patches,
    read_clam_pt,
    write_clam,
)
from medconsist.wsi.bags.guarded_hdf5 import open_guarded
from medconsist.wsi.bags.header import EncoderRecord
from medconsist.wsi.bags.imported import ForeignSlide
from medconsist.wsi.bags.simulate import simulated_bag
from medconsist.wsi.bags.trident import (
    SNAPPED,
    TridentFrame,
    read_trident,
    trident_bag,
    write_trident,
)
from medconsist.wsi.mpp import Mpp

SLIDE = ForeignSlide(slide="slide-1", encoder=EncoderRecord(name="uni_v1"))
CLAM = ClamFrame(
    patch_size=128,
    patch_level=1,
    downsample=(4.0, 4.0),
    downsampled_level_dim=(6000, 4000),
    level_dim=(6000, 4000),
    name="slide-1",
    save_path="patches",
)
TRIDENT = TridentFrame(
    patch_size=256,
    patch_size_level0=512,
    level0_magnification=40,
    target_magnification=20,
    overlap=0,
    name="slide-1",
    savetodir="features_uni_v1",
    level0_width=26_572,
    level0_height=2_000,
    encoder="uni_v1",
)


def as_trident_writes(path: Path, coords: Any, frame: TridentFrame, *, dim: int = 4) -> None:
    """Write what TRIDENT itself writes, its one-row chunks included."""
    n = len(coords)
    features = np.arange(n * dim, dtype=np.float32).reshape(n, dim)
    values = asdict(frame)
    encoder = values.pop("encoder")
    with h5py.File(path, "w") as file:
        for name, data in (("features", features), ("coords", np.asarray(coords, np.int64))):
            shape = (1, data.shape[1])
            file.create_dataset(name, data=data, chunks=shape, maxshape=(None, *data.shape[1:]))
        file["features"].attrs.update(
            {"name": frame.name, "savetodir": frame.savetodir, "encoder": encoder}
        )
        file["coords"].attrs.update(values)


def attributes(dataset: h5py.Dataset) -> dict[str, tuple[str, Any]]:
    found = {}
    for key in dataset.attrs:
        value = dataset.attrs[key]
        kind = str(dataset.attrs.get_id(key).dtype)
        found[key] = (kind, value.tolist() if isinstance(value, np.generic | np.ndarray) else value)
    return found


def test_clam_files_have_the_names_types_and_attributes_of_clam(tmp_path: Path) -> None:
    bag = simulated_bag(tiles=300, dim=5)
    write_clam(tmp_path, bag, CLAM)

    with h5py.File(tmp_path / "patches" / "slide-1.h5") as file:
        assert list(file) == ["coords"]
        assert file["coords"].dtype == np.int64
        assert attributes(file["coords"]) == {
            "patch_size": ("int64", 128),
            "patch_level": ("int64", 1),
            "downsample": ("float64", [4.0, 4.0]),
            "downsampled_level_dim": ("int64", [6000, 4000]),
            "level_dim": ("int64", [6000, 4000]),
            "name": ("object", "slide-1"),
            "save_path": ("object", "patches"),
        }
    with h5py.File(tmp_path / "h5_files" / "slide-1.h5") as file:
        assert sorted(file) == ["coords", "features"]
        assert (file["features"].dtype, file["coords"].dtype) == (np.float32, np.int32)
        assert (file["features"].shape, file["coords"].shape) == ((300, 5), (300, 2))
        assert not file["features"].attrs.keys()
        assert not file["coords"].attrs.keys()
    raw = torch.load(tmp_path / "pt_files" / "slide-1.pt", weights_only=True)
    assert torch.equal(raw, bag.features.float())


def test_clam_round_trip_keeps_features_places_and_frame(tmp_path: Path) -> None:
    bag = simulated_bag(tiles=300, dim=5)
    write_clam(tmp_path, bag, CLAM)

    features = read_clam_features(tmp_path / "h5_files" / "slide-1.h5")
    patches = read_clam_patches(tmp_path / "patches" / "slide-1.h5")
    again = clam_bag(features, SLIDE, patches=patches)

    assert patches.frame == CLAM
    assert torch.equal(read_clam_pt(tmp_path / "pt_files" / "slide-1.pt"), bag.features.float())
    assert torch.equal(again.features, bag.features)
    assert torch.equal(again.coords, bag.coords)
    assert again.exact_coords().tolist() == again.coords.double().tolist()
    assert again.header.mpp_source == "unknown"
    assert again.header.grid.target_mpp is None
    assert "level 1" in again.header.notes[0]


def test_trident_file_has_the_names_types_and_attributes_of_trident(tmp_path: Path) -> None:
    path = tmp_path / "slide-1.h5"
    write_trident(path, simulated_bag(tiles=30, dim=5), TRIDENT)
    as_trident_writes(tmp_path / "theirs.h5", np.zeros((30, 2)), TRIDENT)
    with h5py.File(path) as ours, h5py.File(tmp_path / "theirs.h5") as theirs:
        for name in ("features", "coords"):
            assert attributes(ours[name]) == attributes(theirs[name])
            assert ours[name].dtype == theirs[name].dtype


def test_trident_round_trip_keeps_features_places_and_frame(tmp_path: Path) -> None:
    bag, path = simulated_bag(tiles=130, dim=5), tmp_path / "slide-1.h5"
    write_trident(path, bag, TRIDENT)
    found = read_trident(path)
    again = trident_bag(found, SLIDE)
    assert found.frame == TRIDENT
    assert torch.equal(again.features, bag.features)
    assert torch.equal(again.coords, bag.coords)


def test_snapped_microns_are_never_taken_for_exact(tmp_path: Path) -> None:
    path = tmp_path / "slide-1.h5"
    as_trident_writes(path, [[0, 0], [512, 0]], TRIDENT)
    header = trident_bag(read_trident(path), SLIDE).header
    assert (header.mpp_x, header.mpp_source) == (0.25, SNAPPED)
    assert "the scale is not exact" in header.notes[0]
    given = replace(SLIDE, mpp=Mpp(0.2498, 0.2498, "given"))
    header = trident_bag(read_trident(path), given).header
    assert (header.mpp_x, header.mpp_source, header.grid.scale_x) == (0.2498, "given", 1.0)
    assert "the scale is not exact" in header.notes[0]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    overlap=st.integers(0, 255),
    places=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 60)), min_size=1, unique=True),
)
def test_overlapping_tiles_keep_their_places_and_their_step(
    overlap: int, places: list[tuple[int, int]], tmp_path: Path
) -> None:
    frame = replace(TRIDENT, overlap=overlap)
    path = tmp_path / "slide-1.h5"
    coords = np.array(places) * frame.step_level0
    as_trident_writes(path, coords, frame)
    bag = trident_bag(read_trident(path), SLIDE)
    assert bag.coords.tolist() == coords.tolist()
    assert (bag.header.grid.step_px, bag.header.grid.tile_px) == (512 - 2 * overlap, 512)
    assert bag.index.tolist() == (np.array(places) - np.min(places, axis=0)).tolist()


def test_tiles_on_no_common_grid_keep_their_places_and_say_so(tmp_path: Path) -> None:
    path = tmp_path / "slide-1.h5"
    coords = [[100, 30], [612, 30], [625, 545]]
    as_trident_writes(path, coords, TRIDENT)
    bag = trident_bag(read_trident(path), SLIDE)
    assert bag.coords.tolist() == coords
    assert "no grid of step 512" in bag.header.notes[-1]


def test_a_slide_without_tiles_is_read_as_an_empty_bag(tmp_path: Path) -> None:
    path = tmp_path / "slide-1.h5"
    with h5py.File(path, "w") as file:
        file["features"], file["coords"] = np.zeros((0, 4), np.float32), np.zeros((0, 2), np.int64)
        values = asdict(TRIDENT)
        file["features"].attrs["encoder"] = values.pop("encoder")
        file["coords"].attrs.update(values)
    bag = trident_bag(read_trident(path), SLIDE)
    assert bag.features.shape == (0, 4)


@pytest.mark.parametrize("tiles", [1, 2, 255, 300])
def test_no_one_row_chunk_is_ever_written(tiles: int, tmp_path: Path) -> None:
    bag = simulated_bag(tiles=tiles, dim=5)
    write_clam(tmp_path, bag, CLAM)
    write_trident(tmp_path / "trident.h5", bag, TRIDENT)
    chunks = []
    for path in tmp_path.rglob("*.h5"):
        with h5py.File(path) as file:
            chunks += [file[name].chunks for name in file]
    assert chunks == [None] * 5


def test_tiles_of_another_size_are_not_exported(tmp_path: Path) -> None:
    bag = simulated_bag(tiles=3, dim=4)
    with pytest.raises(RefusedInputError, match="CLAM attributes say 1024"):
        write_clam(tmp_path, bag, replace(CLAM, patch_size=256))
    with pytest.raises(RefusedInputError, match="TRIDENT attributes say 515"):
        write_trident(tmp_path / "a.h5", bag, replace(TRIDENT, patch_size_level0=515))
    assert not list(tmp_path.rglob("*.h5"))


def refused(path: Path, error: type[MedconsistError], said: str) -> None:
    with pytest.raises(error, match=said):
        read_trident(path)


def test_links_and_external_storage_are_refused(tmp_path: Path) -> None:
    path, secret = tmp_path / "a.h5", tmp_path / "secret.bin"
    secret.write_bytes(bytes(64))
    for link in (h5py.ExternalLink("secret.h5", "/x"), h5py.SoftLink("/features")):
        as_trident_writes(path, [[0, 0]], TRIDENT)
        with h5py.File(path, "a") as file:
            del file["coords"]
            file["coords"] = link
        refused(path, UnsafeFileError, "Link 'coords'; links can name other files")
    as_trident_writes(path, [[0, 0]], TRIDENT)
    with h5py.File(path, "a") as file:
        del file["coords"]
        outside = [(str(secret), 0, 64)]
        file.create_dataset("coords", shape=(4, 2), dtype=np.int64, external=outside)
    refused(path, UnsafeFileError, "external storage")
    with h5py.File(path, "a") as file:
        del file["coords"]
        layout = h5py.VirtualLayout(shape=(1, 4), dtype=np.float32)
        layout[...] = h5py.VirtualSource(str(secret), "x", shape=(1, 4))
        file.create_virtual_dataset("coords", layout)
    refused(path, UnsafeFileError, "virtual dataset")


def test_a_claim_beyond_the_budget_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    as_trident_writes(path, [[0, 0]], TRIDENT)
    with h5py.File(path, "a") as file:
        del file["features"]
        file.create_dataset("features", shape=(10**7, 1024), dtype="f4", chunks=(256, 1024))
    refused(path, BudgetError, r"claims 39062\.5 MiB")


def test_a_chunk_that_inflates_beyond_its_claim_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    for kind in ({"compression": "gzip"}, {"compression": "gzip", "fletcher32": True}):
        as_trident_writes(path, [[0, 0]], TRIDENT)
        with h5py.File(path, "a") as file:
            del file["features"]
            sound = file.create_dataset("features", shape=(1, 4), dtype="f4", **kind)
            sound[...] = 1.0
            sound.attrs["encoder"] = "x"
        assert read_trident(path).features.tolist() == [[1.0] * 4]
        with h5py.File(path, "a") as file:
            file["features"].id.write_direct_chunk((0, 0), zlib.compress(bytes(100_000)))
        refused(path, UnsafeFileError, "inflates beyond the 20 bytes that a chunk claims")


def test_other_compression_than_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    as_trident_writes(path, [[0, 0]], TRIDENT)
    with h5py.File(path, "a") as file:
        del file["features"]
        file.create_dataset("features", shape=(1, 4), dtype="f4", compression="lzf")
    refused(path, UnsafeFileError, r"compressed with the filters \[32000\]; allowed: gzip")


@pytest.mark.parametrize("dtype", [">f4", ">f2", "<f8"])
def test_numbers_of_other_machines_are_read(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    as_trident_writes(path, [[0, 0]], TRIDENT)
    with h5py.File(path, "a") as file:
        del file["features"]
        file["features"] = np.array([[1, 2]], dtype)
        file["features"].attrs["encoder"] = "x"
    assert read_trident(path).features.tolist() == [[1.0, 2.0]]
    with h5py.File(path, "a") as file:
        del file["features"]
        file["features"] = np.ones((1, 2), np.longdouble)
    refused(path, RefusedInputError, "allowed: two axes, kinds 'f' of at most 64 bits")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"patch_size": 0}, "Tiles of 0 level-0 px"),
        ({"patch_size": -256}, "Tiles of -1024 level-0 px"),
        ({"downsample": (float("nan"), 4.0)}, r"'downsample' is \(nan, 4.0\); allowed"),
        ({"downsample": (float("inf"), 4.0)}, r"'downsample' is \(inf, 4.0\); allowed"),
        ({"downsample": (1e15, 4.0)}, r"Tiles of 1\.28e\+17 level-0 px"),
        ({"patch_size": 1e300}, "'patch_size' is 1e[+]300; allowed"),
    ],
)
def test_attributes_that_no_tile_can_have_are_refused(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    write_clam(tmp_path, simulated_bag(tiles=3, dim=2), CLAM)
    path = tmp_path / "patches" / "slide-1.h5"
    with h5py.File(path, "a") as file:
        file["coords"].attrs.update(change)
    features = read_clam_features(tmp_path / "h5_files" / "slide-1.h5")
    with pytest.raises(RefusedInputError, match=said):
        clam_bag(features, SLIDE, patches=read_clam_patches(path))


@pytest.mark.parametrize(
    ("coords", "said"),
    [
        ([[0, 0, 0]], r"coords has the shape \(1, 3\); allowed: \(N, 2\)"),
        ([[-(2**63), 0]], "tiles lie from -9223372036854775808 to 0 px"),
        ([[-(2**31) + 1, 0], [2**31 - 1, 0]], "places and distances"),
    ],
)
def test_places_that_no_slide_has_are_refused(
    coords: list[list[int]], said: str, tmp_path: Path
) -> None:
    as_trident_writes(tmp_path / "a.h5", coords, TRIDENT)
    with pytest.raises(RefusedInputError, match=said):
        trident_bag(read_trident(tmp_path / "a.h5"), SLIDE)


def test_a_slide_of_no_safe_name_is_refused(tmp_path: Path) -> None:
    as_trident_writes(tmp_path / "a.h5", [[0, 0]], TRIDENT)
    with pytest.raises(RefusedInputError, match="'slide' is not allowed"):
        trident_bag(read_trident(tmp_path / "a.h5"), replace(SLIDE, slide="a b"))


def test_other_layouts_are_refused_with_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    as_trident_writes(path, [[0, 0]], TRIDENT)
    with pytest.raises(RefusedInputError, match="no attribute 'patch_level'"):
        read_clam_patches(path)
    for change, said in (
        ({"overlap": 0.5}, "'overlap' is 0.5; allowed: a whole number"),
        ({"overlap": "no"}, "'overlap' is 'no'; allowed: a number"),
        ({"name": 3}, "'name' is 3; allowed: a text"),
    ):
        as_trident_writes(path, [[0, 0]], TRIDENT)
        with h5py.File(path, "a") as file:
            file["coords"].attrs.update(change)
        refused(path, RefusedInputError, said)
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros((2, 3, 4), np.float32)
    refused(path, RefusedInputError, r"features holds float32 of shape \(2, 3, 4\)")
    with h5py.File(path, "w") as file:
        file["feats"] = np.zeros(3)
    refused(path, RefusedInputError, r"no array 'features'; it holds \['feats'\]")
    with pytest.raises(MissingInputError, match="does not exist"):
        read_trident(tmp_path / "none.h5")


def test_no_cut_of_an_hdf5_file_is_accepted(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.h5", tmp_path / "cut.h5"
    write_trident(path, simulated_bag(tiles=9, dim=5), TRIDENT)
    whole = path.read_bytes()
    for size in range(0, len(whole), len(whole) // 40):
        cut.write_bytes(whole[:size])
        refused(cut, TruncatedFileError, "truncated, damaged or no HDF5")


def test_two_tilings_are_not_joined(tmp_path: Path) -> None:
    write_clam(tmp_path / "one", simulated_bag(tiles=9, dim=5), CLAM)
    write_clam(tmp_path / "two", simulated_bag(tiles=8, dim=5), CLAM)
    features = read_clam_features(tmp_path / "one" / "h5_files" / "slide-1.h5")
    patches = read_clam_patches(tmp_path / "two" / "patches" / "slide-1.h5")
    with pytest.raises(RefusedInputError, match="are of two tilings"):
        clam_bag(features, SLIDE, patches=patches)


def test_features_and_places_of_different_number_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    as_trident_writes(path, [[0, 0], [512, 0]], TRIDENT)
    with h5py.File(path, "a") as file:
        file["coords"].resize((1, 2))
    with pytest.raises(ShapeError, match="2 features and 1 places"):
        trident_bag(read_trident(path), SLIDE)


class Evil:
    def __reduce__(self) -> Any:
        return print, ("ran",)


def test_a_pt_file_that_holds_more_than_one_matrix_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(Evil(), path)
    with pytest.raises(UnsafeFileError, match="more than tensors"):
        read_clam_pt(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UnsafeFileError, match="more than tensors"):
        read_clam_pt(path)
    for value in ({"a": torch.ones(1)}, torch.ones(3), torch.ones(2, 2).long()):
        torch.save(value, path)
        with pytest.raises(RefusedInputError, match="one matrix of floats"):
            read_clam_pt(path)
    torch.save(torch.ones(1, 1).expand(10**6, 10**6), path)
    with pytest.raises(BudgetError, match=r"claims 3\.8147e\+06 MiB"):
        read_clam_pt(path)


def test_no_cut_of_a_pt_file_is_accepted(tmp_path: Path) -> None:
    path, cut = tmp_path / "a.pt", tmp_path / "cut.pt"
    torch.save(torch.ones(9, 5), path)
    whole = path.read_bytes()
    for size in range(0, len(whole), len(whole) // 30):
        cut.write_bytes(whole[:size])
        with pytest.raises((UnsafeFileError, TruncatedFileError), match="torch"):
            read_clam_pt(cut)


def test_foreign_features_that_fp16_cannot_hold_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    as_trident_writes(path, [[0, 0], [512, 0]], TRIDENT, dim=70_000)
    with pytest.raises(RefusedInputError, match="beyond 65504"):
        trident_bag(read_trident(path), SLIDE)


def test_the_axes_of_a_bag_are_not_mixed_up(tmp_path: Path) -> None:
    """An asymmetric set of places comes back through both layouts as it was."""
    bag: Bag = simulated_bag(tiles=130, dim=3)
    assert int(bag.coords[:, 0].max()) != int(bag.coords[:, 1].max())
    write_clam(tmp_path, bag, CLAM)
    write_trident(tmp_path / "t.h5", bag, TRIDENT)
    for path in (tmp_path / "h5_files" / "slide-1.h5", tmp_path / "t.h5"):
        with open_guarded(path) as file:
            assert file.array("coords", kinds="i").tolist() == bag.coords.tolist()
