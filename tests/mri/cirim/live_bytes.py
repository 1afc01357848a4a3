"""Peak of the bytes of all tensors alive, by watching every operation."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own
    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self._bytes = 0
        self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        if self._bytes > self.peak:
            self._alive = {k: v for k, v in self._alive.items() if _lives(v[0])}
            self._bytes = sum(n for _, n in self._alive.values())
            self.peak = max(self.peak, self._bytes)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self._known:
            return
        _, before = self._alive.get(storage._cdata, (None, 0))
        reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]  # torch's own
        self._alive[storage._cdata] = (reference, storage.nbytes())
        self._bytes += storage.nbytes() - before


def _lives(reference: StorageWeakRef) -> bool:
    return not reference.expired()  # type: ignore[no-untyped-call]  # torch's own


def peak_bytes(work: Callable[[], object], *, known: Iterable[Tensor]) -> int:
    """Return the peak over the work; tensors that are `known` before it do not count.

    Unlike hooks of autograd this sees what recomputation keeps, and what is alive without being
    saved.
    """
    with _Watch(known) as watch:
        work()
    return watch.peak
