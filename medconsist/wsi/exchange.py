"""The features of a study in the files of other programs."""

from pathlib import Path
from typing import Literal

from medconsist._atomic import make_folder
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.bag_store import BagEntry, current_bags
from medconsist.wsi.bags.clam import ClamFrame, write_clam
from medconsist.wsi.bags.trident import TridentFrame, write_trident

__all__ = ["Layout", "clam_frame", "export_study", "trident_frame"]

Layout = Literal["clam", "trident"]
_MPP_OF_1X = 10.0  # um/px; the nominal magnification that both programs speak of


def export_study(root: Path, study: str, *, out: Path, layout: Layout) -> list[Path]:
    """Write every slide of a study for another program; verified bags only.

    Of several results of one slide, the current one of its case is written.

    Parameters
    ----------
    root, study
        Where the results lie.
    out
        Folder; CLAM's three folders in it, or TRIDENT's ``<slide>.h5``.
    layout
        Whose files.

    Returns
    -------
    list of Path
        The ``.h5`` files of features.

    Raises
    ------
    MissingInputError
        The study has no features.
    RefusedInputError
        Two slides of other cases have one name, or none of a slide's results is the current one.
    CorruptResultError
        A bag is not as it was written.
    """
    entries = current_bags(root, study)
    if not entries:
        msg = f"There are no features in study {study} of {root}. Run medconsist wsi embed first."
        raise MissingInputError(msg)
    _refuse_one_name(entries)
    make_folder(out)
    return [_write(entry.open(), out, layout) for entry in entries]


def clam_frame(bag: Bag, *, save_path: str) -> ClamFrame:
    """Return CLAM's attributes for tiles that are named by their level-0 extent.

    CLAM knows whole patch sizes of one level; ours cover a fraction, so the extent is rounded to
    whole pixels of level 0 there, and the coordinates stay as they are.
    """
    grid = bag.header.grid
    size = _size(bag)
    return ClamFrame(
        patch_size=round(grid.tile_px * grid.scale_x),
        patch_level=0,
        downsample=(1.0, 1.0),
        downsampled_level_dim=size,
        level_dim=size,
        name=bag.header.slide,
        save_path=save_path,
    )


def trident_frame(bag: Bag, *, folder: str) -> TridentFrame:
    """Return TRIDENT's attributes; magnifications are the nearest whole numbers of 10 / mpp.

    Raises
    ------
    RefusedInputError
        The bag does not say its microns per pixel.
    """
    header, grid = bag.header, bag.header.grid
    if header.mpp_x is None or grid.target_mpp is None:
        msg = f"{header.slide} has no microns per pixel, which TRIDENT's magnifications need."
        raise RefusedInputError(msg)
    width, height = _size(bag)
    return TridentFrame(
        patch_size=grid.tile_px,
        patch_size_level0=round(grid.tile_px * grid.scale_x),
        level0_magnification=max(1, round(_MPP_OF_1X / header.mpp_x)),
        target_magnification=max(1, round(_MPP_OF_1X / grid.target_mpp)),
        overlap=grid.tile_px - grid.step_px,
        name=header.slide,
        savetodir=folder,
        level0_width=width,
        level0_height=height,
        encoder=header.encoder.name,
    )


def _write(bag: Bag, out: Path, layout: Layout) -> Path:
    slide = bag.header.slide
    if layout == "clam":
        write_clam(out, bag, clam_frame(bag, save_path=str(out)))
        return out / "h5_files" / f"{slide}.h5"
    path = out / f"{slide}.h5"
    write_trident(path, bag, trident_frame(bag, folder=str(out)))
    return path


def _size(bag: Bag) -> tuple[int, int]:
    """Return where the tiled region ends on level 0: the whole slide, unless it has bounds."""
    grid = bag.header.grid
    return int(grid.origin_x) + grid.width, int(grid.origin_y) + grid.height


def _refuse_one_name(entries: list[BagEntry]) -> None:
    first: dict[str | None, BagEntry] = {}
    for entry in entries:
        other = first.setdefault(entry.slide, entry)
        if other is not entry:
            msg = (
                f"{other.case}/{other.key[:8]} and {entry.case}/{entry.key[:8]} are both of a "
                f"slide named {entry.slide}; their files would overwrite each other. Export them "
                "from studies of their own."
            )
            raise RefusedInputError(msg)
