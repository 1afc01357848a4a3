"""``medconsist bench mil-step``: one training step over one large bag, in memory and time.

For each method a process of its own draws a bag of random features of length 1024, takes a step
over a small bag first, so that libraries have started, and then measured ones: forward and backward
pass at width 512 in float32, weights not moved. Peak memory is what the process (or, on a GPU,
torch's allocator) held at most beyond what it held before the step, the bag itself among that; time
is the least of the measured steps, on a CPU in core-seconds, which other programs disturb least.

MHIM is over ABMIL, its teacher's look at the whole bag included. INS takes its 64 instances and the
whole bag. PANTHER learns in its head alone; its mixture is of 16 components, from random ones
here. TransMIL is linear in the instances too, at a larger factor.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.results.bench import BenchReport, BenchRow, Target
from medconsist.results.resident import peak_bytes, resident_bytes, restart_peak
from medconsist.training.draws import Place
from medconsist.training.weights import StoredWeights
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.objective import DrawnForIns, InsObjective
from medconsist.wsi.mil.mhim.config import PRESETS
from medconsist.wsi.mil.mhim.objective import MhimObjective
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.choice import MODELS, make_model
from medconsist.wsi.mil.objective import DrawnBags, MilObjective
from medconsist.wsi.mil.panther import Panther

__all__ = ["METHODS", "Sizes", "run_bench"]

logger = logging.getLogger(__name__)

MHIM = {"mhim v1 (abmil)": "c16-abmil", "mhim v2 (abmil)": "v2"}
METHODS = (*MODELS, "panther", *MHIM, "ins")
LINEAR = ("abmil", *MHIM, "ins")  # what was asked for beforehand
TOLERANCE = 0.25  # of the ratio, either way: 3 to 5 for four times the instances
MEMORY, TIME = "peak memory of a step", "time of a step"
_UNITS = {MEMORY: "MiB", TIME: "s"}
_COURSE = 1000  # steps that MHIM's mask runs over, of which the first is taken
_WARM_UP = 512  # instances
_COMPONENTS = 16


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is; about 5 minutes of two cores as it stands, 6 GiB of memory.

    Parameters
    ----------
    instances
        Of the bag, rising; targets compare each with the one before.
    dim, width
        Of a feature and of an embedded instance.
    methods
        Some of `METHODS`.
    repeats
        Measured steps.
    device
        ``"cpu"`` or ``"cuda"``; None takes CUDA where it is.

    Raises
    ------
    RefusedInputError
        An unknown method, or bags that do not rise.

    Examples
    --------
    >>> Sizes(methods=("abmil",)).instances
    (25000, 100000)
    """

    instances: tuple[int, ...] = (25_000, 100_000)
    dim: int = 1024
    width: int = 512
    methods: tuple[str, ...] = METHODS
    repeats: int = 2
    device: str | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.methods) - set(METHODS))
        rising = all(a < b for a, b in pairwise(self.instances))
        if unknown or not rising or min(*self.instances, self.repeats, len(self.instances)) < 1:
            msg = (
                f"got methods {', '.join(self.methods)}, {self.repeats} repeats and bags of "
                f"{self.instances}; allowed: {', '.join(METHODS)}, 1 repeat or more, rising sizes."
            )
            raise RefusedInputError(msg)

    @property
    def place(self) -> str:
        """Kind of device."""
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """One measurement, as the process is told it."""

    method: str
    instances: int
    dim: int
    width: int
    repeats: int
    device: str
    threads: int
    seed: int


def run_bench(*, seed: int, sizes: Sizes | None = None) -> BenchReport:
    """Measure a step of every method, each in a process of its own.

    Parameters
    ----------
    seed
        Of the random features and weights.
    sizes
        None takes the defaults.

    Raises
    ------
    RefusedInputError
        A step did not come to its end.
    """
    chosen = sizes or Sizes()
    rows: list[BenchRow] = []
    targets: list[Target] = []
    for method in chosen.methods:
        logger.info("%s: bags of %s ...", method, chosen.instances)
        costs = [_measured(method, count, chosen, seed) for count in chosen.instances]
        for count, cost in zip(chosen.instances, costs, strict=True):
            case = f"{method}, {count:,} instances, {chosen.place}"
            rows += [
                _row(case, metric, unit, cost[metric], seed) for metric, unit in _UNITS.items()
            ]
        if method in LINEAR:
            pairs = zip(pairwise(chosen.instances), pairwise(costs), strict=True)
            targets += [_target(method, *pair, metric) for pair in pairs for metric in _UNITS]
    return BenchReport(
        command="medconsist bench mil-step", rows=tuple(rows), targets=tuple(targets)
    )


def _row(case: str, metric: str, unit: str, value: float, seed: int) -> BenchRow:
    return BenchRow(
        case=case, metric=metric, value=value, unit=unit, n=1, unit_of_analysis="run", seed=seed
    )


def _target(
    method: str, counts: tuple[int, int], costs: tuple[dict[str, float], ...], metric: str
) -> Target:
    times = counts[1] / counts[0]
    least, most = (1 - TOLERANCE) * times, (1 + TOLERANCE) * times
    seen = costs[1][metric] / costs[0][metric]
    return Target(
        name=f"{method}: {metric}, {counts[1]:,} over {counts[0]:,} instances",
        wanted=f"{least:g} to {most:g}",
        seen=seen,
        met=least <= seen <= most,
    )


def _measured(method: str, instances: int, sizes: Sizes, seed: int) -> dict[str, float]:
    asked = _Asked(
        method=method,
        instances=instances,
        dim=sizes.dim,
        width=sizes.width,
        repeats=sizes.repeats,
        device=sizes.place,
        threads=torch.get_num_threads(),
        seed=seed,
    )
    command = [sys.executable, "-m", __name__, json.dumps(asdict(asked))]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603  ours
    if done.returncode:
        msg = (
            f"a step of {method} over {instances:,} instances on {sizes.place} ended with code "
            f"{done.returncode} (-9: killed, most likely for memory; else see above). Ask for "
            "fewer instances or another device."
        )
        raise RefusedInputError(msg)
    cost: dict[str, float] = json.loads(done.stdout)
    return cost


def _stepper(asked: _Asked, instances: int) -> Callable[[], None]:
    """Return a step over a positive bag of so many instances, drawn and at its place already."""
    objective = _objective(asked, instances)
    generator = Generator().manual_seed(asked.seed)
    network = objective.build(generator).train().to(asked.device)
    # an epoch has the large bag and a small one of the other class, which INS must have
    drawn = (objective.draw_at(generator, Place(step=step)) for step in range(2))
    batch = _moved(next(one for one in drawn if one.labels[0] == 1), asked.device)

    def step() -> None:
        network.zero_grad()
        torch.autograd.backward(objective.losses(network, batch)["loss"])

    return step


def _objective(asked: _Asked, instances: int) -> MilObjective:
    generator = Generator().manual_seed(asked.seed)
    bags = [torch.randn(n, asked.dim, generator=generator) for n in (instances, _WARM_UP)]
    infos = [BagInfo(case=f"c{n}", patient=f"p{n}", label=1 - n) for n in range(2)]
    cohort = Cohort.of(InMemoryBags(bags), infos)
    size = MilSize(dim=asked.dim, width=asked.width)
    if asked.method == "ins":
        return InsObjective(size, cohort, config=InsConfig(least_positive=0.1))
    if asked.method == "panther":
        prototypes = torch.randn(_COMPONENTS, asked.dim, generator=generator)
        return MilObjective(lambda g: Panther(size, prototypes, generator=g), cohort)
    if asked.method not in MHIM:
        return MilObjective(lambda g: make_model(asked.method, size, generator=g), cohort)
    state = make_model("abmil", size, generator=generator).state_dict()
    baseline = StoredWeights(state=state, architecture={}, about={}, sha256="")
    config = PRESETS[MHIM[asked.method]].over(_COURSE)
    return MhimObjective(lambda g: make_model("abmil", size, generator=g), baseline, config, cohort)


def _moved(batch: DrawnBags, device: str) -> DrawnBags:
    moved = replace(batch, bags=batch.bags.to(device), labels=batch.labels.to(device))
    if isinstance(moved, DrawnForIns):
        views = moved.instances
        tensors = {name: getattr(views, name).to(device) for name in ("weak", "strong", "number")}
        moved = replace(moved, instances=replace(views, **tensors))
    return moved


def _cost(step: Callable[[], None], asked: _Asked) -> dict[str, float]:
    clock = time.process_time if asked.device == "cpu" else time.perf_counter
    before = _reset(asked.device)
    times = []
    for _ in range(asked.repeats):
        start = clock()
        step()
        if asked.device != "cpu":
            torch.cuda.synchronize()
        times.append(clock() - start)
    return {MEMORY: (_peak(asked.device) - before) / 2**20, TIME: min(times)}


def _reset(device: str) -> int:
    """Let the peak begin anew and return what is held now [bytes]."""
    if device != "cpu":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    restart_peak()
    return resident_bytes()


def _peak(device: str) -> int:
    return peak_bytes() if device == "cpu" else torch.cuda.max_memory_allocated()


def main() -> None:
    """Take the steps that the argument asks for and print their cost."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("asked")
    asked = _Asked(**json.loads(parser.parse_args().asked))
    torch.set_num_threads(asked.threads)
    _stepper(asked, _WARM_UP)()
    sys.stdout.write(json.dumps(_cost(_stepper(asked, asked.instances), asked)))


if __name__ == "__main__":
    main()
