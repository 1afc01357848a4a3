"""The files of CLAM for one slide, in its folders ``patches``, ``h5_files`` and ``pt_files``.

Layout as in github.com/mahmoodlab/CLAM, commit 53e2409 (data in, data out; no code was copied).
Coordinates are level-0 x, y of OpenSlide, ``openslide.bounds-*`` included. CLAM knows no microns
per pixel. We write contiguous arrays where CLAM writes chunks of one or of 32 rows.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from medconsist._atomic import atomic_replace, make_folder
from medconsist.errors import RefusedInputError
from medconsist.results.safetensors_file import require_regular
from medconsist.training.foreign_weights import read_torch_file
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.guarded_hdf5 import (
    BUDGET_BYTES,
    Attribute,
    Attributes,
    Dataset,
    open_guarded,
    require_budget,
    write_datasets,
)
from medconsist.wsi.bags.imported import (
    ForeignSlide,
    Placement,
    imported_bag,
    require_same_extent,
)

__all__ = [
    "ClamFeatures",
    "ClamFrame",
    "ClamPatches",
    "clam_bag",
    "read_clam_features",
    "read_clam_patches",
    "read_clam_pt",
    "write_clam",
]


@dataclass(frozen=True, kw_only=True)
class ClamFrame:
    """The attributes of ``coords`` in ``patches/<slide>.h5``, by their names there.

    Parameters
    ----------
    patch_size
        Width of a tile [px of ``patch_level``].
    patch_level
        Pyramid level that it was read from.
    downsample
        Of that level along x and y.
    downsampled_level_dim, level_dim
        Width and height of that level.
    name, save_path
        Of the slide, and the folder that CLAM wrote to.

    Examples
    --------
    >>> ClamFrame(patch_size=256, patch_level=1, downsample=(4.0, 4.0), level_dim=(900, 700),
    ...     downsampled_level_dim=(900, 700), name="a", save_path="patches").level0_px
    1024.0
    """

    patch_size: int
    patch_level: int
    downsample: tuple[float, float]
    downsampled_level_dim: tuple[int, int]
    level_dim: tuple[int, int]
    name: str
    save_path: str

    @property
    def level0_px(self) -> float:
        """Width of a tile [level-0 px]."""
        return self.patch_size * self.downsample[0]


@dataclass(frozen=True, eq=False)
class ClamPatches:
    """What ``patches/<slide>.h5`` holds: level-0 x, y of the tiles, and the attributes.

    Examples
    --------
    >>> ClamPatches.__dataclass_params__.frozen
    True
    """

    coords: Int64[np.ndarray, "tiles 2"]
    frame: ClamFrame


@dataclass(frozen=True, eq=False)
class ClamFeatures:
    """What ``h5_files/<slide>.h5`` holds: features and level-0 x, y of the same tiles.

    Examples
    --------
    >>> ClamFeatures.__dataclass_params__.frozen
    True
    """

    features: Float32[Tensor, "tiles features"]
    coords: Int64[np.ndarray, "places 2"]


def read_clam_patches(path: Path) -> ClamPatches:
    """Read ``patches/<slide>.h5``.

    Raises
    ------
    MissingInputError, UnsafeFileError, TruncatedFileError, BudgetError
        See `open_guarded`.
    RefusedInputError
        Another layout; names the array or attribute.
    """
    with open_guarded(path) as file:
        coords = file.places("coords")
        attributes = file.attributes("coords")
    return ClamPatches(coords, _frame(attributes))


def read_clam_features(path: Path, *, budget_bytes: int = BUDGET_BYTES) -> ClamFeatures:
    """Read ``h5_files/<slide>.h5``.

    Raises
    ------
    MissingInputError, UnsafeFileError, TruncatedFileError, BudgetError
        See `open_guarded`.
    RefusedInputError
        Another layout; names the array.
    """
    with open_guarded(path, budget_bytes=budget_bytes) as file:
        features = file.array("features", kinds="f").astype(np.float32)
        coords = file.places("coords")
    return ClamFeatures(torch.from_numpy(features), coords)


def read_clam_pt(
    path: Path, *, budget_bytes: int = BUDGET_BYTES
) -> Float[Tensor, "tiles features"]:
    """Read ``pt_files/<slide>.pt`` without running what it may hold.

    Raises
    ------
    MissingInputError
        There is no such file.
    UnsafeFileError, TruncatedFileError
        See `read_torch_file`.
    BudgetError
        It is larger than the budget.
    RefusedInputError
        It is no file of torch, or holds other than one matrix of floats.
    """
    require_regular(path, what="features", allowed="a .pt file of CLAM")
    require_budget(path.name, path.stat().st_size, budget_bytes)
    return _matrix(path, read_torch_file(path), budget_bytes)


def clam_bag(features: ClamFeatures, slide: ForeignSlide, *, patches: ClamPatches) -> Bag:
    """Return the bag of a slide that CLAM embedded.

    Raises
    ------
    RefusedInputError
        The two files are not of the same tiles.
    ShapeError
        Not one place for each feature.
    """
    if not np.array_equal(features.coords, patches.coords):
        msg = (
            f"{slide.slide}: the coordinates of patches and h5_files differ; they are of two "
            "tilings. Give the files of one run."
        )
        raise RefusedInputError(msg)
    frame = patches.frame
    extent = round(frame.level0_px)
    note = (
        f"CLAM read tiles of {frame.patch_size} px at level {frame.patch_level} (downsample "
        f"{frame.downsample[0]!r}): {frame.level0_px!r} level-0 px, held as {extent}."
    )
    placement = Placement(
        tile_px=extent,
        step_px=extent,
        engine="clam",
        mpp=slide.mpp,
        notes=(note, "Coordinates are whole level-0 pixels, bounds included."),
    )
    return imported_bag(features.features, features.coords, slide=slide, placement=placement)


def write_clam(folder: Path, bag: Bag, frame: ClamFrame) -> None:
    """Write the three files of CLAM for one slide; each is there whole or not at all.

    Parameters
    ----------
    folder
        Gets ``patches``, ``h5_files`` and ``pt_files``.
    bag
        Features become float32; coordinates the whole pixels of ``Bag.coords``.
    frame
        Attributes; patch size times downsample must be the width of the tiles, to the pixel.

    Raises
    ------
    RefusedInputError
        The frame is of other tiles.
    StorageError
        The disk is full or not writable.
    """
    require_same_extent(bag, frame.level0_px, layout="CLAM")
    coords, features = bag.coords.numpy(), bag.features.float()
    for name in ("patches", "h5_files", "pt_files"):
        make_folder(folder / name)
    slide = bag.header.slide
    attributes: dict[str, Attribute] = asdict(frame)
    patches = Dataset(coords.astype(np.int64), attributes)
    write_datasets(folder / "patches" / f"{slide}.h5", {"coords": patches})
    both = {"features": Dataset(features.numpy()), "coords": Dataset(coords)}
    write_datasets(folder / "h5_files" / f"{slide}.h5", both)
    with atomic_replace(folder / "pt_files" / f"{slide}.pt") as temporary:
        torch.save(features, temporary)


def _frame(found: Attributes) -> ClamFrame:
    return ClamFrame(
        patch_size=found.whole("patch_size"),
        patch_level=found.whole("patch_level"),
        downsample=found.pair("downsample"),
        downsampled_level_dim=found.whole_pair("downsampled_level_dim"),
        level_dim=found.whole_pair("level_dim"),
        name=found.text("name"),
        save_path=found.text("save_path"),
    )


def _matrix(path: Path, value: object, budget_bytes: int) -> Tensor:
    sound = isinstance(value, Tensor) and value.layout == torch.strided and value.ndim == 2
    if not isinstance(value, Tensor) or not sound or not value.is_floating_point():
        msg = f"{path} holds a {type(value).__name__}; allowed: one matrix of floats, (N, D)."
        raise RefusedInputError(msg)
    # Strides of 0 can claim far more than the file holds.
    require_budget(path.name, value.numel() * value.itemsize, budget_bytes)
    return value.detach().clone(memory_format=torch.contiguous_format)
