"""The group of processes of a training, left while Python can still wait for its threads."""

import atexit
import gc

import torch.distributed as dist

__all__ = ["leave_group_at_exit"]


def leave_group_at_exit() -> None:
    """Have the default group left, and its threads waited for, when this process ends.

    To be called before the group is made. A thread of gloo asks for Python's lock to give back a
    tensor that it has moved; one that asks while the interpreter ends aborts the process, although
    all work was done. ``destroy_process_group`` alone does not wait: a model wrapped in
    ``DistributedDataParallel`` holds the group and may be held by cycles, and functions of
    ``torch.distributed.nn``, imported once there is a group, hold it as their default.
    """
    import torch.distributed.nn.functional  # noqa: F401 - while there is no group to hold

    atexit.unregister(_leave)
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
        gc.collect()
