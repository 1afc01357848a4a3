"""Time and peak memory of one piece of tensor work, on a CPU or a GPU."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

__all__ = ["Cost", "Job", "costs", "peak_bytes"]

Job = Callable[[], object]

# the profiler says on stderr that it starts and stops, unless it is told not to
os.environ.setdefault("KINETO_LOG_LEVEL", "6")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one piece of work takes.

    Parameters
    ----------
    seconds
        Median of the repeats.
    peak_bytes
        Most memory that torch's allocator held at once, less what it held at the start.

    Examples
    --------
    >>> costs([lambda: torch.ones(1024).exp()], device=torch.device("cpu"), repeats=1)[0].peak_bytes
    8192
    """

    seconds: float
    peak_bytes: int


def costs(jobs: Sequence[Job], *, device: torch.device, repeats: int) -> list[Cost]:
    """Measure jobs beside each other: they take turns, so that a busy machine slows all of them.

    Each job runs once unmeasured and once for its memory, then ``repeats`` times for its time.
    """
    for job in jobs:
        job()
    peaks = [peak_bytes(job, device=device) for job in jobs]
    rounds = [[_seconds(job, device) for job in jobs] for _ in range(repeats)]
    return [
        Cost(seconds=statistics.median(times), peak_bytes=peak)
        for times, peak in zip(zip(*rounds, strict=True), peaks, strict=True)
    ]


def peak_bytes(job: Job, *, device: torch.device) -> int:
    """Return the most bytes that ``job`` held at once in torch's allocator [bytes].

    On a CPU it is the highest running sum over the profiler's record of every allocation and
    release, scratch space inside an operator included; what a library allocates by itself (BLAS
    packing) is not seen. On a GPU it is the allocator's own counter.
    """
    return _peak_cuda(job, device) if device.type == "cuda" else _peak_cpu(job)


def _peak_cpu(job: Job) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        job()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        record.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = sorted(
        (event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"
    )
    held: list[int] = list(accumulate(change for _, change in changes))
    return max(held, default=0)


def _peak_cuda(job: Job, device: torch.device) -> int:
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    job()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _seconds(job: Job, device: torch.device) -> float:
    _settle(device)
    start = time.perf_counter()
    job()
    _settle(device)
    return time.perf_counter() - start


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
