"""Rows and targets of the benchmark: quality, who is first, what a network takes."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median

from medconsist.metrics.report import Estimate, paired_difference
from medconsist.mri.bench.learned.rows import Compared, Where, mean_rows, paired_rows
from medconsist.mri.bench.learned.scores import Scores
from medconsist.mri.benchmark.cells import MAIN
from medconsist.mri.benchmark.dose import PAIRS as FORMS
from medconsist.mri.benchmark.entrants import ENTRANTS, View, parameters_of
from medconsist.mri.benchmark.evaluation import Judged
from medconsist.mri.benchmark.training import Outcome
from medconsist.results.bench import BenchRow, BenchTable, Target

__all__ = ["FIXED_BEFOREHAND", "cost_table", "diverged_table", "quality_table", "scope_table"]
__all__ += ["slice_seconds"]

FIXED_BEFOREHAND = ("cirim", "varnet", "1-D 8x")
CLASSICAL = ("zerofilled", "cgsense", "cs")
DECIDES = "ssim"
_OF_VIEW: Mapping[View, tuple[str, str]] = {
    "time": ("cirim", "equal training time"),
    "parameters": ("cirim-265k", "equal parameters and training time"),
}
_TOLERANCE = 0.1  # of the budget


def quality_table(judged: Judged, where: Where) -> BenchTable:
    """Return means, paired differences to CIRIM, and in each cell who is first.

    Parameters
    ----------
    judged
        Every cell.
    where
        Anatomy, unit, seed; the cell is filled in.
    """
    done = BenchTable()
    for cell, scores in judged.scores.items():
        settings = {name: best.said for name, best in judged.tuned[cell].items()}
        here = where.inside(cell, settings)
        done = done.joined(mean_rows(scores, here))
        done = done.joined(paired_rows(scores, here, compared=_compared()))
        for view in _OF_VIEW:
            done = done.joined(_first(scores, here, view))
    return done


def _compared() -> Compared:
    pairs = [(ours, other) for ours, _ in _OF_VIEW.values() for other in _rivals(ours)]
    pairs += [pair for pair in FORMS if pair not in pairs]
    return Compared(
        contrasts=pairs, fixed=FIXED_BEFOREHAND, targets=(("cirim", "varnet"), ("cirim", "cs"))
    )


def _rivals(ours: str) -> tuple[str, ...]:
    """Return who stands beside ours in its view, the classical methods among them."""
    view = next(view for view, (name, _) in _OF_VIEW.items() if name == ours)
    others = [name for name, one in ENTRANTS.items() if view in one.views and name != ours]
    return (*others, *CLASSICAL[1:])


def _first(scores: Scores, where: Where, view: View) -> BenchTable:
    """Return whether CIRIM has the highest mean SSIM, and how far the best of the others is.

    At equal training time the others are all that ran in the cell, since all had the same time:
    forms of CIRIM and of VarNet with another data consistency too. The interval does not know that
    the best one was picked among them on the same scans.
    """
    ours, words = _OF_VIEW[view]
    among = scores.methods if view == "time" else _rivals(ours)
    names = [name for name in among if name in scores.methods and name != ours]
    is_here = ours in scores.methods and (view == "time" or where.cell in MAIN)
    if not names or not is_here:
        return BenchTable()
    others = {name: fmean(scores.values[name, DECIDES]) for name in names}
    here, best = scores.values[ours, DECIDES], max(others, key=others.__getitem__)
    there = scores.values[best, DECIDES]
    is_first = fmean(here) >= others[best]
    pair = (here, there) if is_first else (there, here)
    lead = _bounds(paired_difference(*pair, unit=where.unit, generator=where.generator))
    seen = (
        f"{ours} first, {fmean(here):.4f}; ahead of {best} by {lead}"
        if is_first
        else f"{best} first, {others[best]:.4f}; {ours} behind by {lead}"
    )
    name = where.case(f"{ours} first in {DECIDES} at {words}")
    wanted = f"no mean {DECIDES} above that of {ours}"
    return BenchTable((), (Target(name=name, wanted=wanted, seen=seen, met=is_first),))


def _bounds(estimate: Estimate) -> str:
    if estimate.ci_low is None:
        return f"{estimate.mean:.4f}"
    return f"{estimate.mean:.4f} ({estimate.ci_low:.4f} to {estimate.ci_high:.4f})"


def slice_seconds(judged: Judged) -> dict[str, list[float]]:
    """Return the seconds of a core that each method took for a slice, over the main cells."""
    cells = [name for name in judged.scores if name in MAIN] or list(judged.scores)[:1]
    found: dict[str, list[float]] = {}
    for cell in cells:
        for name, seconds in judged.scores[cell].seconds.items():
            found.setdefault(name, []).extend(seconds)
    return found


def cost_table(
    trained: Sequence[Outcome],
    judged: Judged,
    memory: Mapping[str, Mapping[str, float]],
    *,
    where: Where,
    budget: float | int | None,
) -> BenchTable:
    """Return parameters, seconds and memory of every method, and whether the budget was kept.

    Parameters
    ----------
    trained
        Outcomes of the trainings.
    judged
        For the seconds of a slice.
    memory
        Network to ``"inference"`` and ``"step"`` [bytes].
    where
        Anatomy and seed.
    budget
        Core-seconds of each training; None asks for none.
    """
    rows = []
    for name, seconds in slice_seconds(judged).items():
        value = BenchRow(
            case=f"{where.anatomy}, {name}",
            metric="time of one slice on one core, median",
            value=median(seconds),
            unit="s",
            n=len(seconds),
            unit_of_analysis="reconstruction",
            seed=where.seed,
        )
        rows.append(value)
    done = [one for one in trained if one.facts is not None]
    for one in done:
        rows += _network_rows(one, memory.get(one.name, {}), where)
    table = BenchTable(tuple(rows))
    return table if budget is None or not done else table.joined(_budget(done, where, budget))


def _network_rows(one: Outcome, memory: Mapping[str, float], where: Where) -> list[BenchRow]:
    facts = one.facts or {}
    values = {
        ("parameters", "1"): float(parameters_of(ENTRANTS[one.name].network)),
        ("training, time of one core", "s"): facts["seconds"],
        ("training, steps", "1"): facts["steps"],
        ("training, learning rate chosen on validation slices", "1"): facts["lr"],
        ("training, SSIM on validation slices", "1"): facts["validation_ssim"],
    }
    for metric, amount in memory.items():
        values[f"peak memory of {metric}", "B"] = amount
    return [
        BenchRow(
            case=f"{where.anatomy}, {one.name}",
            metric=metric,
            value=value,
            unit=unit,
            n=1,
            unit_of_analysis="training" if metric.startswith("training") else "network",
            seed=where.seed,
        )
        for (metric, unit), value in values.items()
    ]


def _budget(done: Sequence[Outcome], where: Where, budget: float | int) -> BenchTable:
    """Ask that whole trainings kept to their time; those that a kill cut are left out, named."""
    whole = {
        one.name: one.facts["seconds"] for one in done if one.facts and not one.facts["resumed"]
    }
    cut = [one.name for one in done if one.name not in whole]
    spread = [abs(seconds / budget - 1) for seconds in whole.values()]
    said = f"; resumed, not counted: {', '.join(cut)}" if cut else ""
    seen = "none was whole" if not whole else f"{fmean(whole.values()):.0f} s on the mean, at most "
    seen += f"{max(spread):.1%} off{said}" if whole else said
    target = Target(
        name=f"{where.anatomy}, equal training time",
        wanted=f"{budget:.0f} s of one core each, within {_TOLERANCE:.0%}",
        seen=seen,
        met=bool(whole) and max(spread) <= _TOLERANCE,
    )
    return BenchTable((), (target,))


def scope_table(trained: Sequence[Outcome], where: Where) -> BenchTable:
    """Return a target that one training a network misses, so that the table says what it lacks.

    The difference of two networks is that of two trainings: other first weights and another order
    of the slices would give other ones, and an interval over scans knows nothing of that.
    """
    target = Target(
        name=f"{where.anatomy}, intervals hold for other trainings of these networks",
        wanted="several trainings of each",
        seen=f"1 training of each of {len(trained)}: intervals are over scans alone",
        met=False,
    )
    return BenchTable((), (target,))


def diverged_table(judged: Judged, where: Where) -> BenchTable:
    """Return a missed target for each network without finite weights or images: it has no rows."""
    targets = [
        Target(
            name=f"{where.anatomy}, {name} has finite weights and images",
            wanted="a training and images without NaN",
            seen=reason,
            met=False,
        )
        for name, reason in judged.broken.items()
    ]
    return BenchTable((), tuple(targets))
