"""One of two gloo processes: trains a wrapped student on its own data, prints its teacher."""

import hashlib
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from medconsist.consistency.teacher import Teacher
from medconsist.training.process_group import leave_group_at_exit


def digest(teacher: Teacher) -> str:
    """Return one hash over every tensor of the state."""
    state = teacher.state_dict()
    raw = b"".join(name.encode() + state[name].numpy().tobytes() for name in sorted(state))
    return hashlib.sha256(raw).hexdigest()


def main(rank: int, meeting: str) -> None:
    """Train three steps, each rank on other numbers; print the hash of both kinds of teacher."""
    torch.manual_seed(rank)
    leave_group_at_exit()
    dist.init_process_group("gloo", f"file://{meeting}", world_size=2, rank=rank)
    student = DistributedDataParallel(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    teachers = [Teacher(student, 0.8, buffers="copy"), Teacher(student, 0.8, buffers="ema")]
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        student(torch.randn(5, 3) + rank).square().mean().backward()
        optimizer.step()
        for teacher in teachers:
            teacher.update(student)
    drift = student.module[1].running_mean.sum().item()
    print(*map(digest, teachers), drift)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
