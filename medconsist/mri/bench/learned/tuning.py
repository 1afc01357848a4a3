"""The weights of the classical methods: the best of a grid per cell, on validation scans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medconsist.mri.bench.learned.cells import Cell
from medconsist.mri.bench.learned.scores import Draws, Scores, score
from medconsist.mri.methods import CgSense, CompressedSensing

__all__ = ["DECIDES", "FAMILIES", "Families", "Tuned", "best_of", "candidates_of", "tuned_methods"]

DECIDES = "ssim"
Weighted = CgSense | CompressedSensing
Families = Mapping[str, Sequence[Weighted]]

FAMILIES: Families = {
    "cgsense": tuple(CgSense(lambda_=weight) for weight in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)),
    "cs": tuple(
        CompressedSensing(lambda_=weight) for weight in (0.001, 0.002, 0.004, 0.007, 0.012, 0.02)
    ),
}


@dataclass(frozen=True)
class Tuned:
    """The best method of a family in one cell.

    Parameters
    ----------
    method
        With the weight that gave the highest mean SSIM.
    at_edge
        Whether that is the first or last of the grid: a better one may lie outside.

    Examples
    --------
    >>> Tuned(CgSense(lambda_=0.01)).said
    'lambda 0.01'
    """

    method: Weighted
    at_edge: bool = False

    @property
    def said(self) -> str:
        """The weight, as a row says it."""
        weight = f"lambda {self.method.lambda_:g}"
        return f"{weight}, edge of the grid" if self.at_edge else weight


def tuned_methods(
    families: Families, cells: Sequence[Cell], draws: Draws
) -> dict[str, dict[str, Tuned]]:
    """Return cell to family to its best member: the highest mean SSIM over the draws.

    Parameters
    ----------
    families
        Name to the candidates, in order of their weights.
    cells, draws
        What it is tuned on; never test scans.
    """
    candidates = candidates_of(families)
    scores = score({cell.name: candidates for cell in cells}, cells, draws)
    return {cell: best_of(families, reached) for cell, reached in scores.items()}


def candidates_of(families: Families) -> dict[str, Weighted]:
    """Return every member under the name of its family and its place."""
    return {
        f"{name} {index}": method
        for name, members in families.items()
        for index, method in enumerate(members)
    }


def best_of(families: Families, reached: Scores) -> dict[str, Tuned]:
    """Return family to its best member, from the scores of `candidates_of`."""
    found = {}
    for name, members in families.items():
        sums = [sum(reached.values[f"{name} {i}", DECIDES]) for i in range(len(members))]
        best = max(range(len(members)), key=sums.__getitem__)
        found[name] = Tuned(members[best], best in (0, len(members) - 1))
    return found
