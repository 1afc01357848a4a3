"""The cells of the table: how the samples of a scan are chosen."""

from dataclasses import dataclass

from medconsist.mri.sampling_masks import Gaussian1D, Gaussian2D, MaskKind

__all__ = ["CELLS", "UNSEEN_CELLS", "Cell"]

CENTER_LINES = 8  # of 16 at 8x: as many as are left to be drawn


@dataclass(frozen=True)
class Cell:
    """One cell: a name, and what draws the mask of each scan.

    Parameters
    ----------
    name
        As the rows say it.
    kind
        Plane and generator to mask.

    Examples
    --------
    >>> [cell.name for cell in CELLS]
    ['1-D 4x', '1-D 8x', '2-D 4x', '2-D 8x']
    """

    name: str
    kind: MaskKind


CELLS = (
    Cell("1-D 4x", Gaussian1D(acceleration=4, center_lines=CENTER_LINES)),
    Cell("1-D 8x", Gaussian1D(acceleration=8, center_lines=CENTER_LINES)),
    Cell("2-D 4x", Gaussian2D(acceleration=4)),
    Cell("2-D 8x", Gaussian2D(acceleration=8)),
)
UNSEEN_CELLS = (CELLS[0], CELLS[3])
