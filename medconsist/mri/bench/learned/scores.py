"""Every method on every scan of every cell: image quality and time, one value a scan."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from medconsist.metrics.image import image_quality
from medconsist.mri.bench.learned.cells import Cell
from medconsist.mri.bench.learned.scans import Measured, draw_scan, measured_in
from medconsist.mri.draw_seeds import Role
from medconsist.mri.forward import Measurement
from medconsist.mri.simulate import Phantom

__all__ = ["Draws", "Reconstruct", "Scores", "score"]

Reconstruct = Callable[[Measurement], Tensor]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Which scans a table is over.

    Parameters
    ----------
    role, count, series
        Scans 0 to ``count - 1`` of the role; see `draw_seeds.draw_seed`.
    phantom
        Where the anatomy comes from; by default the generated head.

    Examples
    --------
    >>> Draws(role="test", count=2).series
    0
    """

    role: Role
    count: int
    series: int = 0
    phantom: Phantom | None = None


@dataclass(frozen=True)
class Scores:
    """What methods reached in one cell, scan by scan in the same order.

    Parameters
    ----------
    values
        Method and metric (``"ssim"``, ``"psnr"``, ``"nmse"``) to one value a scan.
    seconds
        Method to the time of each reconstruction [s].

    Examples
    --------
    >>> Scores().methods
    ()
    """

    values: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def methods(self) -> tuple[str, ...]:
        """Names, in the order in which they ran."""
        return tuple(self.seconds)

    def add(self, name: str, method: Reconstruct, scan: Measured) -> None:
        """Reconstruct one scan and note its quality beside the reference, and its time."""
        start = time.perf_counter()
        image = method(scan.measurement)
        self.seconds[name].append(time.perf_counter() - start)
        for metric, value in image_quality(image.abs(), scan.reference).items():
            self.values[name, metric].append(value)


def score(
    methods: Mapping[str, Mapping[str, Reconstruct]], cells: Sequence[Cell], draws: Draws
) -> dict[str, Scores]:
    """Return the scores of each cell; all cells are of the same scans.

    Parameters
    ----------
    methods
        Name of a cell to name of a method to the method itself.
    cells, draws
        What is sampled of which scans.
    """
    found = {cell.name: Scores() for cell in cells}
    for number in range(draws.count):
        logger.info("%s scan %d of %d", draws.role, number + 1, draws.count)
        scan = draw_scan(draws.role, number, series=draws.series, phantom=draws.phantom)
        for cell, measured in zip(cells, measured_in(cells, scan), strict=True):
            for name, method in methods[cell.name].items():
                found[cell.name].add(name, method, measured)
    return found
