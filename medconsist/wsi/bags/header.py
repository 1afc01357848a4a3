"""What a bag says about itself: its slide, encoder and grid, so that no number is guessed later."""

from functools import cached_property
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float64, Int32
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor

import medconsist
from medconsist._ids import safe_id
from medconsist._records import Record
from medconsist.errors import NoMppError, RefusedInputError
from medconsist.results.ids import safe_key
from medconsist.tiling.grid import Edge, Grid
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.tile_grid import TileGrid, whole_pixels

__all__ = ["UNKNOWN", "BagGrid", "BagHeader", "EncoderRecord"]

UNKNOWN = "unknown"
_INT32 = 2**31 - 1
_SAME = 1e-9  # target_mpp / mpp is one division: any difference beyond its rounding is another grid

Identifier = Annotated[str, AfterValidator(safe_id)]
Sha256 = Annotated[str, AfterValidator(safe_key)]
Positive = Annotated[float, Field(gt=0)]
Triple = tuple[float, float, float]


class EncoderRecord(Record):
    """The network that made the features, with what decides its input.

    Parameters
    ----------
    name
        E.g. ``"resnet50-trunc"``.
    sha256
        Of its weights file; None for an encoder without weights, or if a foreign file does not say.
    input_px
        Width and height that it was given [px]; None is unknown.
    mean, std
        Normalisation of RGB in 0 to 1: ``(x - mean) / std``; None for none, or unknown.
    precision
        That it ran in, e.g. ``"bf16"``.

    Examples
    --------
    >>> EncoderRecord(name="resnet50-trunc", sha256="0" * 64, input_px=224).precision
    'unknown'
    """

    name: str = Field(min_length=1)
    sha256: Sha256 | None = None
    input_px: int | None = Field(default=None, ge=1)
    mean: Triple | None = None
    std: Triple | None = None
    precision: str = UNKNOWN


class BagGrid(Record):
    """Where tiles lie: level-0 ``x = origin_x + column * (step_px * scale_x)``, the same along y.

    Everything is float64 and exact; ``origin`` is in the level-0 pixels of OpenSlide, so that
    ``openslide.bounds-x`` is part of it. The coordinates come from `medconsist.tiling.grid.Grid`,
    as those of the tile reader do (with ``edge="shift"`` the last column and row move back).

    Parameters
    ----------
    tile_px, step_px
        Width of a tile, and from one tile to the next [px at target_mpp].
    target_mpp
        Of the tiles [um/px]; None is unknown.
    origin_x, origin_y
        Where the grid begins [level-0 px].
    scale_x, scale_y
        Level-0 pixels per tile pixel: ``target_mpp / mpp``, never rounded.
    width, height
        Region that is tiled [level-0 px].
    columns, rows
        Number of tiles along x and y; they must be what the region gives.
    edge
        See `medconsist.tiling.grid.Grid`.

    Examples
    --------
    >>> grid = BagGrid(tile_px=256, step_px=256, scale_x=513/256, scale_y=2.0, width=2100,
    ...                height=1100, columns=4, rows=2)
    >>> grid.exact_coords(torch.tensor([[3, 1]], dtype=torch.int32)).tolist()
    [[1539.0, 512.0]]
    """

    tile_px: int = Field(ge=1)
    step_px: int = Field(ge=1)
    target_mpp: Positive | None = None
    origin_x: float = 0.0
    origin_y: float = 0.0
    scale_x: Positive
    scale_y: Positive
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    columns: int = Field(ge=0)
    rows: int = Field(ge=0)
    edge: Edge = "drop"

    @model_validator(mode="after")
    def _counts_fit(self) -> "BagGrid":
        if self._grid.shape != (self.rows, self.columns):
            rows, columns = self._grid.shape
            msg = f"a region of {self.width} x {self.height} has {columns} columns and {rows} rows "
            msg += f"of tiles, not columns = {self.columns} and rows = {self.rows}"
            raise ValueError(msg)
        return self

    @classmethod
    def of_tile_grid(cls, grid: TileGrid) -> "BagGrid":
        """Return the record of the grid that the tiles were read on."""
        (scale_x, scale_y), (rows, columns) = grid.scale, grid.shape
        return cls(
            tile_px=grid.tile_px,
            step_px=grid.step_px,
            target_mpp=float(grid.target_mpp),
            origin_x=float(grid.origin_x),
            origin_y=float(grid.origin_y),
            scale_x=scale_x,
            scale_y=scale_y,
            width=int(grid.width),
            height=int(grid.height),
            columns=columns,
            rows=rows,
            edge=grid.edge,
        )

    def exact_coords(self, index: Int32[Tensor, "tiles 2"]) -> Float64[Tensor, "tiles 2"]:
        """Return the level-0 x, y of the top-left corners of tiles, with their fractions.

        Parameters
        ----------
        index
            Column and row of each tile.

        Raises
        ------
        RefusedInputError
            A column or row is not on this grid.
        """
        self._require_inside(index)
        if not len(index):
            return torch.empty(0, 2, dtype=torch.float64)
        columns, rows = index.numpy().astype(np.int64).T
        starts = self._grid.starts(rows * self.columns + columns)[:, ::-1]
        return torch.from_numpy(starts + np.array([self.origin_x, self.origin_y]))

    def coords(self, index: Int32[Tensor, "tiles 2"]) -> Int32[Tensor, "tiles 2"]:
        """Return `exact_coords` rounded down to whole pixels, as the tile reader does.

        Raises
        ------
        RefusedInputError
            A tile is not on this grid, or lies beyond what int32 holds.
        """
        pixels = torch.from_numpy(whole_pixels(self.exact_coords(index).numpy()))
        if len(pixels) and float(pixels.abs().max()) > _INT32:
            msg = f"A tile lies at {float(pixels.abs().max()):.0f} px; int32 ends at {_INT32}."
            raise RefusedInputError(msg)
        return pixels.to(torch.int32)

    def _require_inside(self, index: Int32[Tensor, "tiles 2"]) -> None:
        size = torch.tensor([self.columns, self.rows])
        outside = ((index < 0) | (index >= size)).any(dim=1).nonzero()
        if len(outside):
            tile = int(outside[0])
            msg = (
                f"Tile {tile} has column, row {tuple(index[tile].tolist())}; the grid has "
                f"{self.columns} columns and {self.rows} rows. Is the index (column, row)?"
            )
            raise RefusedInputError(msg)

    @cached_property
    def _grid(self) -> Grid:
        return Grid(
            size=(float(self.height), float(self.width)),
            window=(self.tile_px * self.scale_y, self.tile_px * self.scale_x),
            step=(self.step_px * self.scale_y, self.step_px * self.scale_x),
            edge=self.edge,
        )


class BagHeader(Record):
    """All that belongs to the features of one slide.

    Parameters
    ----------
    slide
        Name of the slide, opaque.
    slide_sha256
        Of its file; None if a foreign file does not say.
    patient, case
        Opaque ids; None if there is none.
    encoder, grid
        See their classes.
    mpp_x, mpp_y
        Microns per level-0 pixel; both or neither.
    mpp_source
        Who says so: ``"given"``, the name of a property, ``"trident (snapped)"``; ``"unknown"`` if
        and only if there is no value.
    bounds_x, bounds_y
        ``openslide.bounds-*`` of the slide [level-0 px]. Coordinates include them; an exporter
        that wants them without subtracts them.
    engine
        That read the tiles, e.g. ``"direct"`` or ``"openslide"``.
    code_version
        Of medconsist.
    notes
        What was inferred or assumed, as sentences.

    Examples
    --------
    >>> grid = BagGrid(tile_px=256, step_px=256, scale_x=2.0, scale_y=2.0, width=512, height=512,
    ...                columns=1, rows=1)
    >>> BagHeader(slide="a", encoder=EncoderRecord(name="mean"), grid=grid).mpp_source
    'unknown'
    """

    slide: Identifier
    slide_sha256: Sha256 | None = None
    patient: Identifier | None = None
    case: Identifier | None = None
    encoder: EncoderRecord
    grid: BagGrid
    mpp_x: Positive | None = None
    mpp_y: Positive | None = None
    mpp_source: str = UNKNOWN
    bounds_x: int = 0
    bounds_y: int = 0
    engine: str = UNKNOWN
    code_version: str = Field(default_factory=lambda: medconsist.__version__)
    notes: tuple[str, ...] = ()

    @property
    def tile_grid(self) -> TileGrid:
        """The grid of the tiles on their slide.

        Raises
        ------
        NoMppError
            The microns per pixel of the slide or of its tiles are unknown.
        """
        grid = self.grid
        if self.mpp_x is None or self.mpp_y is None or grid.target_mpp is None:
            msg = (
                f"The bag of {self.slide} does not say the microns per pixel of its slide and "
                "tiles, so that nothing can be drawn on it. Embed the slide again."
            )
            raise NoMppError(msg)
        return TileGrid(
            width=grid.width,
            height=grid.height,
            mpp=Mpp(self.mpp_x, self.mpp_y, self.mpp_source),
            target_mpp=grid.target_mpp,
            tile_px=grid.tile_px,
            overlap_px=grid.tile_px - grid.step_px,
            origin_x=grid.origin_x,
            origin_y=grid.origin_y,
            edge=grid.edge,
        )

    @model_validator(mode="after")
    def _mpp_is_whole(self) -> "BagHeader":
        known = {self.mpp_x is not None, self.mpp_y is not None, self.mpp_source != UNKNOWN}
        if len(known) != 1:
            msg = f"mpp_x {self.mpp_x}, mpp_y {self.mpp_y} and mpp_source {self.mpp_source!r} must "
            msg += "be known together or not at all"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _scale_fits(self) -> "BagHeader":
        target = self.grid.target_mpp
        for mpp, scale in ((self.mpp_x, self.grid.scale_x), (self.mpp_y, self.grid.scale_y)):
            if mpp and target and abs(scale * mpp / target - 1) > _SAME:
                msg = f"the scale {scale!r} is not target_mpp / mpp = {target / mpp!r}"
                raise ValueError(msg)
        return self
