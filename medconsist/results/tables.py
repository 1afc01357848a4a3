"""Bench rows and targets as text for a terminal."""

from collections.abc import Sequence

from medconsist.results.bench import BenchRow, Target

__all__ = ["aligned", "rows_text", "targets_text"]


def rows_text(rows: Sequence[BenchRow]) -> str:
    """Return rows as a table: one line each, with baseline, interval, n and unit of analysis."""
    table = [("case", "metric", "value", "baseline", "95 % interval", "n")]
    for row in rows:
        bounds = "-" if row.ci_low is None else f"{row.ci_low:.4g} to {row.ci_high:.4g}"
        unit = "" if row.unit == "1" else f" {row.unit}"
        baseline = "-" if row.baseline is None else f"{row.baseline:.4g}{unit}"
        counted = f"{row.n} x {row.unit_of_analysis}"
        table.append((row.case, row.metric, f"{row.value:.4g}{unit}", baseline, bounds, counted))
    return aligned(table)


def targets_text(targets: Sequence[Target]) -> str:
    """Return targets as a table: what was wanted, what was seen."""
    table = [("target", "wanted", "seen", "met")]
    for target in targets:
        seen = target.seen if isinstance(target.seen, str) else f"{target.seen:.4g}"
        table.append((target.name, target.wanted, seen, "yes" if target.met else "NO"))
    return aligned(table)


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Return rows with their columns padded to one width."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)
