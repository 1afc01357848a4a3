"""``medconsist bench cirim-speed``: CIRIM beside what its arithmetic cannot do without.

The bare work of a reconstruction is its convolutions, of arrays that are padded already, and one
Fourier transform of all coils there and back for each step, with nothing between them. It takes
turns with the whole reconstruction in one process. Times are the least of their repeats, on the
clock and in core-seconds, which other programs disturb least. Figures are those of `PlainCirim`.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Generator, Tensor
from torch.nn import functional

from medconsist.metrics.image import ssim
from medconsist.mri.bench.plain import PlainCirim
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.draws import undersample
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import load_model
from medconsist.mri.sampling_masks import Gaussian2D
from medconsist.mri.scan_pool import PoolConfig, ScanPool
from medconsist.results.bench import BenchReport, BenchRow, BenchTable, Target
from medconsist.results.environment import has_bfloat16
from medconsist.results.resident import peak_bytes
from medconsist.training.settings import Precision

__all__ = ["Sizes", "run_bench"]

logger = logging.getLogger(__name__)

PRECISIONS: Mapping[Precision, torch.dtype] = {"32": torch.float32, "bf16": torch.bfloat16}
NAMES: Mapping[Precision, str] = {"32": "float32", "bf16": "bfloat16 convolutions"}
WANTED: Mapping[Precision, float] = {"32": 1.25, "bf16": 1.5}  # times the bare work
SAME = 1e-4  # of the largest magnitude
SAME_SSIM = 0.002
NO_HALF = "not applicable: this CPU has neither avx512_bf16 nor AMX"
CLOCK, CORES = "time of a slice", "core-seconds of a slice"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is; about 1 minute of two cores as it stands.

    Parameters
    ----------
    coils, side
        Of the slice, which is square.
    cascades, steps, features
        Of the network.
    repeats
        Timed reconstructions of each form.
    threads
        Of the processor.
    batch
        Slices at once on a GPU.

    Examples
    --------
    >>> Sizes(repeats=1).side
    256
    """

    coils: int = 8
    side: int = 256
    cascades: int = 5
    steps: int = 8
    features: int = 64
    repeats: int = 5
    threads: int = 2
    batch: int = 8

    @property
    def network(self) -> CirimConfig:
        """The architecture."""
        return CirimConfig(cascades=self.cascades, steps=self.steps, features=self.features)


@dataclass(frozen=True)
class Seconds:
    """Least time of one piece of work.

    Parameters
    ----------
    clock, cores
        On the clock, and of all cores together [s].
    """

    clock: float = float("inf")
    cores: float = float("inf")


def run_bench(*, seed: int, sizes: Sizes | None = None) -> BenchReport:
    """Time the network beside its bare work, and compare its images.

    Parameters
    ----------
    seed
        Of weights, the random slice and the simulated scan.
    sizes
        None takes the defaults.
    """
    chosen = sizes or Sizes()
    before = torch.get_num_threads()
    torch.set_num_threads(chosen.threads)
    try:
        table = _on_cpu(chosen, seed)
        if torch.cuda.is_available():
            table = table.joined(_on_gpu(chosen, seed))
        return BenchReport(
            command="medconsist bench cirim-speed", rows=table.rows, targets=table.targets
        )
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def _on_cpu(sizes: Sizes, seed: int) -> BenchTable:
    network, scan = _network(sizes, seed), _random_slice(sizes, seed)
    plain = PlainCirim(network)
    work: dict[str, Callable[[], object]] = {"plain": lambda: plain(*scan[:3])}
    for precision, dtype in PRECISIONS.items():
        work[precision] = partial(network.reconstruct, *scan, precision=precision)
        work[f"bare {precision}"] = _bare_work(network, scan, dtype)
    logger.info("%d reconstructions of each form ...", sizes.repeats)
    seconds = _raced(work, sizes.repeats)
    table = BenchTable(targets=(_equal(network.reconstruct(*scan), plain(*scan[:3])[-1]),))
    for precision in PRECISIONS:
        table = table.joined(_timed(sizes, precision, seconds, seed))
    logger.info("memory of a process ...")
    return table.joined(_memory(sizes, seed)).joined(_ssim_change(sizes, seed))


def _network(sizes: Sizes, seed: int) -> Cirim:
    """Return untrained weights that keep a random image finite, the recurrent ones not small."""
    network = Cirim(sizes.network, generator=Generator().manual_seed(seed))
    for name, parameter in network.named_parameters():
        if name.endswith("recurrent"):
            torch.nn.init.uniform_(
                parameter, -0.5, 0.5, generator=Generator().manual_seed(seed + len(name))
            )
        elif name.endswith("input.weight"):
            parameter.data *= 8  # of the published start, with which hidden states all but vanish
    return network.eval().requires_grad_(requires_grad=False)


def _random_slice(sizes: Sizes, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return samples, mask, maps and noise level of a random object; its values do not matter."""
    generator, side = Generator().manual_seed(seed), sizes.side
    shape = (1, 1, sizes.coils, side, side)
    maps = torch.randn(shape, dtype=torch.complex64, generator=generator)
    maps = maps / torch.linalg.vector_norm(maps, dim=2, keepdim=True)
    mask = torch.rand(1, side, side, generator=generator) < 1 / 4
    samples = torch.randn(shape[1:], dtype=torch.complex64, generator=generator)
    return samples * mask[:, None], mask, maps, torch.tensor([0.01])


def _bare_work(network: Cirim, scan: tuple[Tensor, ...], dtype: torch.dtype) -> Callable[[], None]:
    """Return the convolutions and transforms of one reconstruction, without their purpose."""
    count, features = len(network.cascades) * network.config.steps, network.config.features
    coils, side = scan[0], scan[0].shape[-1]

    def values(channels: int, size: int) -> Tensor:
        drawn = torch.rand(1, channels, size, size, dtype=torch.float32)
        return drawn.to(dtype, memory_format=torch.channels_last)

    framed, inner = values(features, side + 4), values(features, side)
    layers = [
        (values(4, side + 4), "conv1", 1),
        (inner, "unit1.input", 1),
        (framed, "conv2", 2),
        (inner, "unit2.input", 1),
        (values(features, side + 2), "out", 1),
    ]
    block = network.cascades[0]
    convolutions = [
        partial(
            functional.conv2d,
            given,
            block.get_parameter(f"{name}.weight").to(dtype),
            None if name == "out" else block.get_parameter(f"{name}.bias").to(dtype),
            dilation=dilation,
        )
        for given, name, dilation in layers
    ]

    def work() -> None:
        for _ in range(count):
            for convolution in convolutions:
                convolution()
            torch.fft.ifft2(torch.fft.fft2(coils))

    return work


def _raced(work: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Seconds]:
    """Return the least times of each, all taking turns after one turn that does not count."""
    least = dict.fromkeys(work, Seconds())
    for repeat in range(repeats + 1):
        for name, do in work.items():
            clock, cores = time.perf_counter(), time.process_time()
            do()
            seen = Seconds(time.perf_counter() - clock, time.process_time() - cores)
            if repeat:
                best = least[name]
                least[name] = Seconds(min(best.clock, seen.clock), min(best.cores, seen.cores))
    return least


def _timed(
    sizes: Sizes, precision: Precision, seconds: Mapping[str, Seconds], seed: int
) -> BenchTable:
    case = f"{NAMES[precision]}, {_case(sizes)}, {sizes.threads} threads"
    whole, bare, plain = seconds[precision], seconds[f"bare {precision}"], seconds["plain"]
    pairs = {CLOCK: (whole.clock, bare.clock), CORES: (whole.cores, bare.cores)}
    rows = [
        _row(f"{case}, beside bare convolutions and transforms", metric, pair, seed, sizes.repeats)
        for metric, pair in pairs.items()
    ]
    rows.append(
        _row(f"{case}, beside plain", CLOCK, (whole.clock, plain.clock), seed, sizes.repeats)
    )
    targets = [
        _near_bare(f"{metric}, {NAMES[precision]}", precision, value / base)
        for metric, (value, base) in pairs.items()
    ]
    return BenchTable(tuple(rows), tuple(targets))


def _near_bare(name: str, precision: Precision, ratio: float) -> Target:
    most = WANTED[precision]
    wanted = f"<= {most:g} times bare convolutions and transforms"
    if precision == "bf16" and not has_bfloat16():
        return Target(name=name, wanted=wanted, seen=NO_HALF, met=True)
    return Target(name=name, wanted=wanted, seen=ratio, met=ratio <= most)


def _equal(found: Tensor, plain: Tensor) -> Target:
    seen = float((found - plain).abs().max() / plain.abs().max())
    wanted = f"within {SAME:g} of plain, of its largest magnitude"
    return Target(name="images, float32", wanted=wanted, seen=seen, met=seen <= SAME)


def _ssim_change(sizes: Sizes, seed: int) -> BenchTable:
    """Compare both precisions of the shipped network on a simulated scan."""
    pool = PoolConfig(scans=1, slices=1, size=sizes.side, coils=sizes.coils, role="test", seed=seed)
    center = (max(4, sizes.side // 12),) * 2
    draw = Gaussian2D(acceleration=4.0, center=center)
    mask = draw((sizes.side, sizes.side), Generator().manual_seed(seed))[None]
    seen = undersample(ScanPool.simulate(pool), mask)
    scan = Measurement(seen.samples, seen.mask, seen.maps, float(seen.sigma))
    model = load_model("cirim")
    values = {
        precision: ssim(
            LearnedMethod(model, scale=1.0, precision=precision)(scan).abs(), seen.reference
        )
        for precision in PRECISIONS
    }
    change = abs(values["bf16"] - values["32"])
    row = BenchRow(
        case=f"shipped cirim, bfloat16 beside float32, simulated, {sizes.side} x {sizes.side}, R 4",
        metric="ssim",
        value=values["bf16"],
        unit="1",
        baseline=values["32"],
        ratio=values["bf16"] / values["32"],
        n=1,
        unit_of_analysis="slice",
        seed=seed,
    )
    wanted = f"<= {SAME_SSIM:g}"
    target = Target(
        name="change of SSIM by bfloat16", wanted=wanted, seen=change, met=change <= SAME_SSIM
    )
    return BenchTable((row,), (target,))


def _memory(sizes: Sizes, seed: int) -> BenchTable:
    pair = (_peak(sizes, seed, form="fast"), _peak(sizes, seed, form="plain"))
    case = f"float32, {_case(sizes)}, beside plain"
    row = _row(case, "peak memory of a process", pair, seed, 1, unit="GiB")
    return BenchTable((row,))


def _peak(sizes: Sizes, seed: int, *, form: str) -> float:
    """Return the peak of a process that reconstructs once, libraries included [GiB]."""
    asked = json.dumps({"sizes": asdict(sizes), "seed": seed, "form": form})
    command = [sys.executable, "-m", __name__, asked]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  ours
    return int(json.loads(done.stdout)) / 2**30


@torch.no_grad()
def _on_gpu(sizes: Sizes, seed: int) -> BenchTable:
    """Return slices a second of a GPU in each precision, compiled and not."""
    device = torch.cuda.get_device_name(0)
    network = _network(sizes, seed).cuda()
    scan = [torch.cat([part] * sizes.batch).cuda() for part in _random_slice(sizes, seed)]
    rows = []
    for precision in PRECISIONS:
        for mode in (None, "default", "reduce-overhead"):
            work = partial(network.reconstruct, *scan, precision=precision, compiled=mode)
            rate = sizes.batch / _synchronised_seconds(work, sizes.repeats)
            how = "not compiled" if mode is None else f"compiled ({mode})"
            rows.append(
                BenchRow(
                    case=f"{device}, {NAMES[precision]}, {how}, {_case(sizes)}",
                    metric="slices a second",
                    value=rate,
                    unit="1/s",
                    n=sizes.repeats,
                    unit_of_analysis="run",
                    seed=seed,
                )
            )
    return BenchTable(tuple(rows))


def _synchronised_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the least time on the clock, after two runs in which a compiler may work."""
    least = float("inf")
    for repeat in range(repeats + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if repeat > 1:
            least = min(least, time.perf_counter() - start)
    return least


def _case(sizes: Sizes) -> str:
    network = f"{sizes.cascades} x {sizes.steps}, F = {sizes.features}"
    return f"{sizes.coils} x {sizes.side} x {sizes.side}, {network}"


def _row(
    case: str,
    metric: str,
    pair: tuple[float, float],
    seed: int,
    n: int,
    unit: str = "s",
) -> BenchRow:
    value, baseline = pair
    return BenchRow(
        case=case,
        metric=metric,
        value=value,
        unit=unit,
        baseline=baseline,
        ratio=value / baseline,
        n=n,
        unit_of_analysis="run",
        seed=seed,
    )


def main() -> None:
    """Reconstruct a slice once and print the peak memory [bytes]."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("asked")
    asked = json.loads(parser.parse_args().asked)
    sizes, seed = Sizes(**asked["sizes"]), asked["seed"]
    torch.set_num_threads(sizes.threads)
    network, scan = _network(sizes, seed), _random_slice(sizes, seed)
    with torch.no_grad():
        if asked["form"] == "plain":
            PlainCirim(network)(*scan[:3])
        else:
            network.reconstruct(*scan)
    sys.stdout.write(json.dumps(peak_bytes()))


if __name__ == "__main__":
    main()
