"""Two processes that move the soft labels of different instances over gloo; run by path.

Usage: ``python soft_labels_worker.py FOLDER``. Each process writes ``FOLDER/RANK.pt``.
"""

import multiprocessing
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from medconsist.wsi.mil.ins.soft_labels import SoftLabels

ROWS = (([1, 0], [1, 1]), ([5, 3], [0, 1]))  # number and named class, by process


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    labels = SoftLabels(torch.arange(6) % 2 == 1)
    number, named = (torch.tensor(part) for part in ROWS[rank])
    labels.move(number, named, phi=0.9)
    torch.save(labels.positive, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=work, args=(rank, Path(sys.argv[1]))) for rank in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    sys.exit(max(abs(process.exitcode or 0) for process in started))
