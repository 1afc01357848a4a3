"""``medconsist bench ts``: a training step of COMET beside its plain form, in time and memory.

Plain is `PlainComet`: two passes through padded convolutions for each level, every similarity held.
All forms take the same weights, windows and masks, dropout off, and take turns in one process;
time is the least of their repeats in core-seconds, which other programs disturb least. The long
step runs in a process of its own, whose peak of resident memory is read, libraries included.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch
from torch import Generator, Tensor

from medconsist.networks.dilated import DilatedConfig
from medconsist.results.bench import BenchReport, BenchRow, Target
from medconsist.results.environment import has_bfloat16
from medconsist.results.resident import peak_bytes
from medconsist.timeseries.bench.plain import PlainComet
from medconsist.timeseries.comet.config import FIXED, REFERENCE
from medconsist.timeseries.comet.model import Comet
from medconsist.timeseries.masks import draw_mask
from medconsist.timeseries.pretext import DrawnWindows

__all__ = ["Sizes", "run_bench"]

logger = logging.getLogger(__name__)

PLAIN, FAST, HALF = "plain", "fast, float32", "fast, bfloat16"
WANTED = {FAST: 2.2, HALF: 3.0}  # times as fast as the plain form
SAME_LOSS = {FAST: 1e-4, HALF: 1e-2}  # relative
MOST_GIB = 4
NO_HALF = "not applicable: this CPU has neither avx512_bf16 nor AMX"
TIME = "time of a step"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is; about 2 minutes of one core as it stands.

    Parameters
    ----------
    batch, time, channels
        Of the windows: number, samples, channels.
    long
        Samples of the windows of the step whose memory is measured.
    repeats
        Timed steps of each form.
    hidden, dim, depth
        Of the encoder.

    Examples
    --------
    >>> Sizes(repeats=1).long
    2500
    """

    batch: int = 32
    time: int = 256
    channels: int = 16
    long: int = 2500
    repeats: int = 5
    hidden: int = 64
    dim: int = 320
    depth: int = 10

    def encoder(self, *, recompute: bool = False, dropout: float | int = 0) -> DilatedConfig:
        """Return the encoder's sizes."""
        return DilatedConfig(
            channels=self.channels,
            hidden=self.hidden,
            dim=self.dim,
            depth=self.depth,
            dropout=dropout,
            recompute=recompute,
        )


def run_bench(*, seed: int, sizes: Sizes | None = None) -> BenchReport:
    """Time a step of every form, then measure the memory of one over long windows.

    Parameters
    ----------
    seed
        Of weights, windows and masks.
    sizes
        None takes the defaults.
    """
    chosen = sizes or Sizes()
    steps = _steps(chosen, seed)
    logger.info("steps over %d windows of %d samples ...", chosen.batch, chosen.time)
    losses = {name: step() for name, step in steps.items()}
    seconds = _raced(steps, chosen.repeats)
    case = f"{chosen.batch} windows, {chosen.time} samples, {chosen.channels} channels"
    rows = [
        _row(f"{name}, {case}", TIME, seconds[name], "s", n=chosen.repeats, seed=seed, plain=plain)
        for name, plain in ((FAST, seconds[PLAIN]), (HALF, seconds[PLAIN]))
    ]
    targets = [_fast_enough(name, seconds[PLAIN] / seconds[name]) for name in WANTED]
    targets += [_same_loss(name, losses[name], losses[PLAIN]) for name in WANTED]
    logger.info("memory of a step over windows of %d samples ...", chosen.long)
    peak = _peak_of_long(chosen, seed) / 2**30
    long = f"{chosen.batch} windows, {chosen.long} samples, {chosen.channels} channels, float32"
    rows.append(_row(long, "peak memory of a training process", peak, "GiB", n=1, seed=seed))
    targets.append(
        Target(name=f"memory, {long}", wanted=f"<= {MOST_GIB} GiB", seen=peak, met=peak <= MOST_GIB)
    )
    return BenchReport(command="medconsist bench ts", rows=tuple(rows), targets=tuple(targets))


def _steps(sizes: Sizes, seed: int) -> dict[str, Callable[[], float]]:
    """Return a step of each form, which gives its loss and drops its gradient."""
    config = replace(REFERENCE, views="shared")
    fast = Comet(sizes.encoder(), config, generator=Generator().manual_seed(seed))
    plain = PlainComet(fast.encoder, config.weights[2:])
    batch = _windows(sizes, sizes.time, seed)
    generator = batch.generator()
    shape = {"batch": sizes.batch, "time": sizes.time, "hidden": sizes.hidden}
    first, second = (draw_mask("continuous", **shape, generator=generator) for _ in range(2))
    return {
        PLAIN: partial(_step, plain, lambda: plain(batch, (first, second))),
        FAST: partial(_step, fast, lambda: fast(batch)["loss"]),
        HALF: partial(_step, fast, lambda: fast(batch)["loss"], half=True),
    }


def _step(network: torch.nn.Module, loss_of: Callable[[], Tensor], *, half: bool = False) -> float:
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = loss_of()
    torch.autograd.backward(loss)
    return loss.item()


def _windows(sizes: Sizes, samples: int, seed: int) -> DrawnWindows:
    """Return noise of patients with 8 windows in 2 trials each."""
    shape = (sizes.batch, samples, sizes.channels)
    signals = torch.randn(shape, generator=Generator().manual_seed(seed))
    number = torch.arange(sizes.batch)
    return DrawnWindows(signals, number // 8, number // 4, number % 4 * samples, seed=seed)


def _raced(steps: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Return the least core-seconds of each step, all taking turns."""
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(repeats):
        for name, step in steps.items():
            start = time.process_time()
            step()
            least[name] = min(least[name], time.process_time() - start)
    return least


def _row(
    case: str,
    metric: str,
    value: float,
    unit: str,
    *,
    n: int,
    seed: int,
    plain: float | None = None,
) -> BenchRow:
    return BenchRow(
        case=case,
        metric=metric,
        value=value,
        unit=unit,
        baseline=plain,
        ratio=None if plain is None else value / plain,
        n=n,
        unit_of_analysis="run",
        seed=seed,
    )


def _fast_enough(name: str, times: float) -> Target:
    wanted = f">= {WANTED[name]:g} times the speed of plain"
    if name == HALF and not has_bfloat16():
        return Target(name=f"speed, {name}", wanted=wanted, seen=NO_HALF, met=True)
    return Target(name=f"speed, {name}", wanted=wanted, seen=times, met=times >= WANTED[name])


def _same_loss(name: str, loss: float, plain: float) -> Target:
    seen, most = abs(loss - plain) / abs(plain), SAME_LOSS[name]
    wanted = f"within {most:g} of plain"
    return Target(name=f"loss, {name}", wanted=wanted, seen=seen, met=seen <= most)


def _peak_of_long(sizes: Sizes, seed: int) -> int:
    asked = json.dumps({"sizes": asdict(sizes), "seed": seed, "threads": torch.get_num_threads()})
    command = [sys.executable, "-m", __name__, asked]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  ours
    return int(json.loads(done.stdout))


def main() -> None:
    """Take a training step of mended COMET over long windows and print the peak memory [bytes]."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("asked")
    asked = json.loads(parser.parse_args().asked)
    torch.set_num_threads(asked["threads"])
    sizes, seed = Sizes(**asked["sizes"]), asked["seed"]
    encoder = sizes.encoder(recompute=True, dropout=0.1)
    model = Comet(encoder, FIXED, generator=Generator().manual_seed(seed))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    batch = _windows(sizes, sizes.long, seed)
    _step(model, lambda: model(batch)["loss"])
    optimiser.step()
    sys.stdout.write(json.dumps(peak_bytes()))


if __name__ == "__main__":
    main()
