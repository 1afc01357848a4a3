"""Where the scans of the benchmark come from: the simulator here, or files of the user."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medconsist.mri.bench.learned.scans import DrawnScan, SliceKind, draw_scan
from medconsist.mri.benchmark.cells import TRAINED_ON, ShiftedCell
from medconsist.mri.benchmark.design import Design
from medconsist.mri.draw_seeds import Role
from medconsist.mri.scan_pool import PoolConfig, ScanPool, load_pool

__all__ = ["SimulatedScans", "Source"]

VALIDATION_SLICES = 8  # that the learning rate is chosen on


class Source(ABC):
    """Scans by role and number, of training, validation and test that never meet."""

    @property
    @abstractmethod
    def anatomy(self) -> str:
        """What rows say first of the scans."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """Unit of analysis."""

    @property
    @abstractmethod
    def cells(self) -> tuple[ShiftedCell, ...]:
        """The cells that these scans can fill."""

    @abstractmethod
    def count(self, role: Role, kind: SliceKind) -> int:
        """Return how many scans of a kind there are."""

    @abstractmethod
    def scan(self, role: Role, number: int, kind: SliceKind) -> DrawnScan:
        """Return one scan, fully sampled; the same in every process."""

    @abstractmethod
    def pool(self, role: Role, folder: Path) -> ScanPool:
        """Return the slices that networks are trained on, or that the learning rate is chosen on.

        Made once and kept in ``folder``.
        """

    @abstractmethod
    def as_config(self) -> Mapping[str, Any]:
        """Return what decides the scans, beside the design."""


@dataclass(frozen=True)
class SimulatedScans(Source):
    """Scans of this simulator: nobody's.

    Parameters
    ----------
    design
        Sizes, seed and cells.

    Examples
    --------
    >>> SimulatedScans(Design(scans=3)).count("test", SliceKind())
    3
    """

    design: Design

    @property
    def anatomy(self) -> str:
        """Simulated."""
        return "simulated"

    @property
    def unit(self) -> str:
        """A scan of one slice."""
        return "simulated scan"

    @property
    def cells(self) -> tuple[ShiftedCell, ...]:
        """All of the design."""
        return self.design.cells

    def count(self, role: Role, kind: SliceKind) -> int:  # noqa: ARG002  as many of every kind
        """Return the number of the design."""
        return self.design.validation_scans if role == "validation" else self.design.scans

    def scan(self, role: Role, number: int, kind: SliceKind) -> DrawnScan:
        """Simulate one slice; scans of one number are of one anatomy, whatever their kind."""
        return draw_scan(role, number, series=self.design.seed, kind=kind)

    def pool(self, role: Role, folder: Path) -> ScanPool:
        """Simulate T1w slices of 8 coils, SNR 20 to 60, with and without lesions."""
        design, training = self.design, role == "training"
        config = PoolConfig(
            scans=design.training_scans if training else VALIDATION_SLICES,
            slices=design.training_slices if training else 1,
            size=design.size,
            contrasts=(TRAINED_ON,),
            role=role,
            seed=design.seed,
        )
        return load_pool(config, folder)

    def as_config(self) -> Mapping[str, Any]:
        """Say that they are simulated."""
        return {"source": "simulation"}
