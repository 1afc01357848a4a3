"""Two processes that share a bank and prototypes over gloo; run by path.

Usage: ``python prototypes_worker.py FOLDER``. Each process writes ``FOLDER/RANK.pt``: the states
of its memories, and what it was told when the other one handed in NaN.
"""

import multiprocessing
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from medconsist.consistency.prototypes import Prototypes, RingBank
from medconsist.errors import RefusedInputError

N_CLASSES, DIM, SIZE = 4, 6, 9
# rows of each process at each step: unequal, none on one, none on both, more than the bank
ROWS = ((3, 5), (0, 4), (2, 0), (0, 0), (7, 8))


def batch(step: int, rank: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(100 * step + rank)
    n_rows = ROWS[step][rank]
    z = torch.randn(n_rows, DIM, generator=generator)
    return z, torch.randint(N_CLASSES, (n_rows,), generator=generator)


def memories() -> tuple[RingBank, Prototypes, Prototypes]:
    return (
        RingBank(SIZE, DIM, {"label": 0, "score": 2}),
        Prototypes(N_CLASSES, DIM),
        Prototypes(N_CLASSES, DIM, update="similarity"),
    )


def write(bank: RingBank, ema: Prototypes, gated: Prototypes, rows: tuple[Tensor, Tensor]) -> None:
    z, y = rows
    bank.push(z, label=y, score=z[:, :2])
    ema.update(z, y)
    gated.update(z, y)


def refusal(ema: Prototypes, rank: int) -> str:
    """Return what this process is told when only the second one hands in NaN."""
    z = torch.full((1, DIM), torch.nan if rank else 1.0)
    try:
        ema.update(z, torch.zeros(1, dtype=torch.int64))
    except RefusedInputError as error:
        return str(error)
    return "accepted"


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    bank, ema, gated = memories()
    for step in range(len(ROWS)):
        write(bank, ema, gated, batch(step, rank))
    told = refusal(ema, rank)
    states = [memory.state_dict() for memory in (bank, ema, gated)]
    torch.save({"states": states, "told": told}, folder / f"{rank}.pt")
    dist.barrier()  # gloo can abort a process whose peer has closed the connection already
    dist.destroy_process_group()


def main(folder: Path) -> int:
    context = multiprocessing.get_context("fork")  # one import of torch for both
    processes = [context.Process(target=work, args=(rank, folder)) for rank in range(2)]
    for process in processes:
        process.start()
    until = time.monotonic() + 180  # the caller waits longer, so that none is left behind
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return 0 if codes == [0, 0] else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
