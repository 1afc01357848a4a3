"""What one run of the benchmark is over; the folder of results belongs to it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from medconsist.errors import RefusedInputError
from medconsist.mri.bench.learned.tuning import FAMILIES, Families
from medconsist.mri.benchmark.cells import ShiftedCell, cells_of
from medconsist.mri.benchmark.entrants import ENTRANTS, Entrant
from medconsist.mri.draw_seeds import draw_seed
from medconsist.mri.simulate import generator_hash

__all__ = ["Design"]

LEAST_SCANS = 2  # of which a paired interval can be made
RESULT_VERSION = 1  # raised when figures of the same design change
SMALLEST, LARGEST = 32, 512  # below, no mask of 8x has lines beside its centre
LEAST_WITH_LESIONS = 64  # 3 or 4 sites in each of 12 heads there, none in any at 32
LESION_CELLS = ("1-D 8x", "2-D 8x")


@dataclass(frozen=True, kw_only=True)
class Design:
    """Everything that decides the figures of a run, but the machine that it runs on.

    Parameters
    ----------
    minutes
        Core-minutes of training that each network gets, all told.
    networks
        Names of `ENTRANTS`.
    size
        Rows and columns, a multiple of 32 from 32 to 512.
    scans, validation_scans
        Test scans of each cell; scans on which the weights of classical methods and the learning
        rate are chosen. At least 2 each.
    training_scans, training_slices
        Of the pool that every network is trained on.
    seed
        Series of the scans, first weights and batches.
    rates
        Learning rates that are tried.
    pilot_share
        Of the budget, for those trials; nothing is tried where there is one rate.
    small_share
        Of the budget, at half the resolution before the rest: a quarter of the work a step.
    only_cells
        Names of cells; None takes all of `cells_of`.
    lesion_cells
        Names of cells in which lesions are inserted, see `lesions`; none leaves them out. None
        takes `LESION_CELLS`, and at 32 x 32, where no head has room for a lesion, none.
    families
        Candidates of the classical methods.
    steps
        Steps of every training in place of a budget, for tests; None measures and divides.

    Raises
    ------
    RefusedInputError
        A number or name that is not allowed.

    Examples
    --------
    >>> Design(networks=("cirim",)).entrants[0].views
    ('time', 'dose')
    """

    minutes: float | int = 10.0
    networks: tuple[str, ...] = tuple(ENTRANTS)
    size: int = 128
    scans: int = 24
    validation_scans: int = 6
    training_scans: int = 120
    training_slices: int = 2
    seed: int = 0
    rates: tuple[float, ...] = (1e-3, 3e-3)
    pilot_share: float | int = 0.1
    small_share: float | int = 0.5
    only_cells: tuple[str, ...] | None = None
    lesion_cells: tuple[str, ...] | None = None
    families: Families = field(default_factory=lambda: FAMILIES)
    steps: int | None = None

    def __post_init__(self) -> None:
        self._check_names()
        self._check_numbers()
        most = max(self.scans, self.validation_scans, self.training_scans)
        draw_seed("test", most - 1, series=self.seed)  # refuses what is out of range

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        """The networks, in the order in which they are asked for."""
        return tuple(ENTRANTS[name] for name in self.networks)

    @property
    def cells(self) -> tuple[ShiftedCell, ...]:
        """The cells of simulated scans."""
        found = cells_of(self.size)
        return (
            found
            if self.only_cells is None
            else tuple(cell for cell in found if cell.name in self.only_cells)
        )

    @property
    def with_lesions(self) -> tuple[str, ...]:
        """Names of the cells in which lesions are inserted."""
        if self.lesion_cells is not None:
            return self.lesion_cells
        return LESION_CELLS if self.size >= LEAST_WITH_LESIONS else ()

    @property
    def seconds(self) -> float:
        """Of one core, that each network gets."""
        return 60 * float(self.minutes)

    def as_config(self) -> dict[str, Any]:
        """Return all of it as JSON takes it, with the generator of the scans."""
        values = asdict(self) | {"families": _families(self.families)}
        values["lesion_cells"] = list(self.with_lesions)
        entrants = {one.name: one.as_config() for one in self.entrants}
        return values | {
            "networks": entrants,
            "generator": generator_hash(),
            "result_version": RESULT_VERSION,
        }

    def _check_names(self) -> None:
        unknown = [name for name in self.networks if name not in ENTRANTS]
        if unknown or not self.networks or len(set(self.networks)) < len(self.networks):
            msg = (
                f"networks got {', '.join(self.networks) or 'none'}; allowed: each once, of "
                f"{', '.join(ENTRANTS)}."
            )
            raise RefusedInputError(msg)
        if self.size % SMALLEST or not SMALLEST <= self.size <= LARGEST:
            msg = (
                f"size got {self.size}; allowed: a multiple of {SMALLEST} from {SMALLEST} to "
                f"{LARGEST}. 128 is usual."
            )
            raise RefusedInputError(msg)
        known = [cell.name for cell in cells_of(self.size)]
        asked = (*(self.only_cells or ()), *(self.lesion_cells or ()))
        other = [name for name in asked if name not in known]
        if other:
            msg = f"cells got {', '.join(other)}; allowed: {'; '.join(known)}."
            raise RefusedInputError(msg)
        if self.lesion_cells and self.size < LEAST_WITH_LESIONS:
            msg = (
                f"lesion_cells got {', '.join(self.lesion_cells)} at a size of {self.size}; "
                f"allowed: a size of {LEAST_WITH_LESIONS} or more, since no smaller head has room "
                "for a lesion. Take a larger size, or leave lesion_cells out."
            )
            raise RefusedInputError(msg)

    def _check_numbers(self) -> None:
        if not 0 < self.minutes < math.inf:
            msg = f"minutes got {self.minutes}; allowed: a positive number. 10 is usual."
            raise RefusedInputError(msg)
        if min(self.scans, self.validation_scans) < LEAST_SCANS:
            msg = (
                f"got {self.scans} test scans and {self.validation_scans} for validation; allowed: "
                f"at least {LEAST_SCANS}, since differences need an interval."
            )
            raise RefusedInputError(msg)
        if min(self.training_scans, self.training_slices, self.steps or 1) < 1:
            msg = "training needs at least 1 scan, 1 slice and 1 step."
            raise RefusedInputError(msg)
        if not self.rates or min(self.rates) <= 0:
            msg = f"rates got {self.rates}; allowed: one or more positive numbers."
            raise RefusedInputError(msg)
        if not (0 <= self.pilot_share < 1 and 0 <= self.small_share < 1):
            msg = (
                f"got shares {self.pilot_share} and {self.small_share}; allowed: 0 or more, and "
                "below 1."
            )
            raise RefusedInputError(msg)


def _families(families: Families) -> Mapping[str, list[dict[str, Any]]]:
    return {name: [one.as_config() for one in members] for name, members in families.items()}
