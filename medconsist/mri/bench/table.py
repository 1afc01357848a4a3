"""Rows and targets of one part of a bench."""

from dataclasses import dataclass

from medconsist.results.bench import BenchRow, Target

__all__ = ["BenchTable"]


@dataclass(frozen=True)
class BenchTable:
    """Measured rows, and the targets that were set for some of them beforehand.

    Examples
    --------
    >>> BenchTable().joined(BenchTable()).rows
    ()
    """

    rows: tuple[BenchRow, ...] = ()
    targets: tuple[Target, ...] = ()

    def joined(self, other: "BenchTable") -> "BenchTable":
        """Return both, in order."""
        return BenchTable(self.rows + other.rows, self.targets + other.targets)
