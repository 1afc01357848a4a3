"""``medconsist bench consistency``: the shared bricks beside plain torch, in one run.

Contrast beside the similarity matrix written out, the teacher beside torch's `AveragedModel`,
prototypes beside a loop over samples. The data are random numbers: this measures time and memory,
no method. About half a minute on 2 cores; with a GPU its rows are added.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from medconsist.consistency.contrast import info_nce
from medconsist.consistency.prototypes import Prototypes
from medconsist.consistency.teacher import Teacher
from medconsist.errors import RefusedInputError
from medconsist.results.bench import BenchReport, BenchRow, Target
from medconsist.training.cost import Job, costs, peak_bytes

__all__ = ["Sizes", "run_bench"]

logger = logging.getLogger(__name__)

TAU = 0.1
MOMENTUM = 0.99
N_CLASSES = 10
SAME_LOSS = 1e-5  # relative; sums of 4096 float32 terms in another order
LINEAR = 2.1  # twice the chunk, twice the memory; 5 % for allocations that do not grow


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is.

    Parameters
    ----------
    batches
        Samples in a batch, and width of the network that the teacher follows.
    features
        Length of one embedding.
    chunk
        Rows of the similarity matrix that the chunked contrast holds at once; also twice as many.
    repeats
        Timed runs; the median is reported.

    Examples
    --------
    >>> Sizes(repeats=3).batches
    (256, 4096)
    """

    batches: tuple[int, ...] = (256, 4096)
    features: int = 128
    chunk: int = 128
    repeats: int = 5

    def __post_init__(self) -> None:
        if max(self.batches) <= 2 * self.chunk:
            msg = (
                f"the largest batch of {max(self.batches)} must exceed two chunks of {self.chunk}, "
                "else memory cannot grow with the chunk; take smaller chunks."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True)
class _Contest:
    """The plain form of one brick, and ours by case; all run in turns."""

    plain: Job
    ours: dict[str, Job]


def run_bench(*, seed: int, sizes: Sizes | None = None) -> BenchReport:
    """Measure every brick on the CPU, and on the first GPU where there is one.

    Parameters
    ----------
    seed
        Of the random embeddings.
    sizes
        By default batches of 256 and 4096.
    """
    chosen = sizes or Sizes()
    devices = [torch.device("cpu")]
    if torch.cuda.is_available():
        devices.append(torch.device("cuda", 0))
    rows: list[BenchRow] = []
    targets: list[Target] = []
    for device in devices:
        for batch in chosen.batches:
            embeddings = _Embeddings.draw(batch, chosen.features, seed=seed, device=device)
            for contest in _contests(embeddings, chosen):
                rows.extend(_raced(contest, device, chosen.repeats, seed))
            targets.append(_same_loss(embeddings, chosen))
        grown, target = _memory_by_chunk(embeddings, chosen, seed)
        rows += grown
        targets.append(target)
    return BenchReport(
        command="medconsist bench consistency", rows=tuple(rows), targets=tuple(targets)
    )


@dataclass(frozen=True, eq=False)
class _Embeddings:
    """Two views of a batch whose positives are the samples of the same class."""

    query: Tensor
    keys: Tensor
    label: Tensor
    positive: Tensor

    @classmethod
    def draw(cls, batch: int, features: int, *, seed: int, device: torch.device) -> "_Embeddings":
        generator = torch.Generator().manual_seed(seed)
        query, keys = torch.randn(2, batch, features, generator=generator).to(device)
        label = torch.randint(N_CLASSES, (batch,), generator=generator).to(device)
        return cls(query.requires_grad_(), keys, label, label[:, None] == label)

    @property
    def where(self) -> str:
        return f"{self.query.device.type}, B {len(self.query)}"

    def contrast(self, chunk: int | None = None) -> Tensor:
        return info_nce(self.query, self.keys, self.positive, tau=TAU, chunk=chunk)

    def dense_contrast(self) -> Tensor:
        """Return the mean over anchors with a positive, every matrix of the formula held."""
        similarity = normalize(self.query, dim=-1) @ normalize(self.keys, dim=-1).T / TAU
        log_share = similarity - similarity.logsumexp(dim=-1, keepdim=True)
        per_row = self.positive.sum(dim=-1)
        loss = -torch.where(self.positive, log_share, 0).sum(dim=-1) / per_row.clamp_min(1)
        return loss.sum() / (per_row > 0).sum().clamp_min(1)

    def stepped(self, loss: Callable[[], Tensor]) -> Job:
        """Return loss and gradient as one job that leaves nothing behind."""

        def job() -> None:
            torch.autograd.backward(loss())
            self.query.grad = None

        return job


def _contests(embeddings: _Embeddings, sizes: Sizes) -> tuple[_Contest, ...]:
    case = f"masked InfoNCE with gradient, {embeddings.where}"
    contrast = _Contest(
        plain=embeddings.stepped(embeddings.dense_contrast),
        ours={
            case: embeddings.stepped(embeddings.contrast),
            f"{case}, in chunks": embeddings.stepped(partial(embeddings.contrast, sizes.chunk)),
        },
    )
    return contrast, _teacher_contest(embeddings), _prototype_contest(embeddings)


def _teacher_contest(embeddings: _Embeddings) -> _Contest:
    width = len(embeddings.query)
    student = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, N_CLASSES))
    student.to(embeddings.query.device)
    teacher = Teacher(student, momentum=MOMENTUM)
    ema = get_ema_multi_avg_fn(MOMENTUM)  # type: ignore[no-untyped-call]  # untyped in torch
    average = AveragedModel(student, multi_avg_fn=ema)
    case = f"teacher update, {embeddings.query.device.type}, width {width}"
    return _Contest(
        plain=partial(average.update_parameters, student),
        ours={case: partial(teacher.update, student)},
    )


def _prototype_contest(embeddings: _Embeddings) -> _Contest:
    z, label = embeddings.keys, embeddings.label
    ours = Prototypes(N_CLASSES, z.shape[-1], m=MOMENTUM).to(z.device)
    centres = z.new_zeros(N_CLASSES, z.shape[-1])

    def one_by_one() -> None:
        for feature, of in zip(z, label.tolist(), strict=True):
            centres[of].mul_(MOMENTUM).add_(feature, alpha=1 - MOMENTUM)
        centres.copy_(normalize(centres, dim=-1))

    case = f"prototypes update, {embeddings.where}"
    return _Contest(plain=one_by_one, ours={case: partial(ours.update, z, label)})


def _raced(contest: _Contest, device: torch.device, repeats: int, seed: int) -> Iterator[BenchRow]:
    """Yield time and peak memory of each of our forms beside the plain one."""
    logger.info("%s ...", next(iter(contest.ours)))
    jobs = [contest.plain, *contest.ours.values()]
    plain, *ours = costs(jobs, device=device, repeats=repeats)
    for case, cost in zip(contest.ours, ours, strict=True):
        yield _row(
            (case, "time", "s"), (cost.seconds, plain.seconds), n=repeats, seed=seed, negligible=0.0
        )
        yield _memory_row(case, (cost.peak_bytes, plain.peak_bytes), seed)


def _memory_row(case: str, peaks: tuple[int, int], seed: int) -> BenchRow:
    value, baseline = (peak / 2**20 for peak in peaks)
    return _row((case, "peak memory", "MiB"), (value, baseline), n=1, seed=seed, negligible=2**-8)


def _row(
    what: tuple[str, str, str],
    numbers: tuple[float, float],
    *,
    n: int,
    seed: int,
    negligible: float,
) -> BenchRow:
    """Return a row; without a ratio where both numbers are negligible, as in an update in place."""
    (case, metric, unit), (value, baseline) = what, numbers
    return BenchRow(
        case=case,
        metric=metric,
        value=value,
        unit=unit,
        baseline=baseline,
        ratio=value / baseline if baseline and max(numbers) > negligible else None,
        n=n,
        unit_of_analysis="run",
        seed=seed,
    )


def _same_loss(embeddings: _Embeddings, sizes: Sizes) -> Target:
    dense = embeddings.dense_contrast().item()
    seen = max(
        abs(embeddings.contrast(chunk).item() - dense) / dense for chunk in (None, sizes.chunk)
    )
    return Target(
        name=f"masked InfoNCE beside the dense form, {embeddings.where}",
        wanted=f"<= {SAME_LOSS:g} of the loss",
        seen=seen,
        met=seen <= SAME_LOSS,
    )


def _memory_by_chunk(
    embeddings: _Embeddings, sizes: Sizes, seed: int
) -> tuple[list[BenchRow], Target]:
    """Return peak memory at one, two and four chunks; its growth must double with the chunk."""
    device = embeddings.query.device
    chunks = [sizes.chunk, 2 * sizes.chunk, 4 * sizes.chunk]
    logger.info("peak memory of the contrast in chunks of %s ...", chunks)
    jobs = [embeddings.stepped(partial(embeddings.contrast, chunk)) for chunk in chunks]
    peaks = [peak_bytes(job, device=device) for job in jobs]
    case = f"masked InfoNCE with gradient, {embeddings.where}"
    rows = [
        _memory_row(f"{case}, chunk {chunk}", (peak, peaks[0]), seed)
        for chunk, peak in zip(chunks, peaks, strict=True)
    ]
    grown = (peaks[2] - peaks[1]) / (peaks[1] - peaks[0])
    target = Target(
        name=f"{case}: peak memory linear in the chunk",
        wanted=f"growth from {chunks[1]} to {chunks[2]} <= {LINEAR:g} x that from {chunks[0]}",
        seen=grown,
        met=grown <= LINEAR,
    )
    return rows, target
