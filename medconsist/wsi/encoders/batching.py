"""As many tiles at once as the memory takes, found by halving; no tile is lost or moved."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medconsist.errors import BudgetError, RefusedInputError
from medconsist.wsi.encoders.encoder import Encoder, Features, Tiles

__all__ = ["AutoBatch", "bytes_per_tile"]

_LOG = logging.getLogger(__name__)

# torch.cuda.OutOfMemoryError is a RuntimeError; other allocators only say it in words, and cuDNN,
# which skips each way that finds no memory, says at last that there is none.
_SAID = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_SUPPORTED",
    "unable to find an engine",
)
# Kernels take scratch memory that no tensor shows.
_SCRATCH = 1.5


class AutoBatch(Encoder):
    """An encoder that takes any number of tiles and never fails for the size of a batch.

    Tiles go through in runs of ``batch_size``. When memory runs out the size is halved, kept for
    all later calls, and the same run is done again. Rows come in the order of the tiles.

    Parameters
    ----------
    encoder
        What encodes.
    start
        Largest run, at least 1.
    budget_bytes
        Bytes that a run may take beyond the weights; None for no limit. For the CPU, where a
        process that asks for too much is killed rather than told: the need of one tile is measured
        once (`bytes_per_tile`), and the run is cut to what fits.

    Raises
    ------
    RefusedInputError
        ``start`` is below 1.
    BudgetError
        One tile alone needs more than the budget, or than there is memory.

    Examples
    --------
    >>> from medconsist.wsi.encoders.colour_texture import ColourTexture
    >>> encoder = AutoBatch(ColourTexture(input_px=32), start=2)
    >>> encoder(torch.zeros(5, 32, 32, 3, dtype=torch.uint8)).shape[0], encoder.batch_size
    (5, 2)
    """

    def __init__(
        self, encoder: Encoder, *, start: int = 256, budget_bytes: int | None = None
    ) -> None:
        super().__init__(encoder.card, device=encoder.device)
        if start < 1:
            msg = f"start got {start}; allowed: at least one tile."
            raise RefusedInputError(msg)
        self.has_weights = encoder.has_weights
        self._encoder = encoder
        self._batch_size = start
        if budget_bytes is not None:
            needed = bytes_per_tile(encoder)
            self._batch_size = min(start, budget_bytes // needed)
            if self._batch_size < 1:
                msg = (
                    f"One tile of {self.name} needs {needed} bytes, the budget is {budget_bytes}. "
                    "Give more, or choose a smaller encoder."
                )
                raise BudgetError(msg)

    @property
    def batch_size(self) -> int:
        """Tiles of a run, as far as is known by now."""
        return self._batch_size

    def __call__(self, tiles: Tiles) -> Features:
        """Return one row of features a tile; tiles move to the device run by run.

        Raises
        ------
        ShapeError
            The tiles are not of ``input_px``.
        BudgetError
            Memory runs out with a single tile.
        """
        self._check(tiles)
        features = torch.empty(len(tiles), self.dim, device=self.device)
        done = 0
        while done < len(tiles):
            run = tiles[done : done + self._batch_size]
            found = self._attempt(run)
            if found is None:
                self._halve(len(run))
            else:
                features[done : done + len(run)] = found
                done += len(run)
        return features

    def _features(self, tiles: Tensor) -> Tensor:
        return self(tiles)

    def _attempt(self, run: Tensor) -> Tensor | None:
        """Return the features, or None where memory ran out.

        The error is let go before the next attempt: its traceback holds the tensors of this one.
        """
        try:
            return self._encoder(run)
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, BudgetError) or not _is_out_of_memory(error):
                raise
            _LOG.warning("Memory ran out with %d tiles of %s: %s", len(run), self.name, error)
        return None

    def _halve(self, tried: int) -> None:
        if tried == 1:
            msg = (
                f"Memory ran out with a single tile of {self.name} on {self.device}. Choose a "
                "smaller encoder or a lower precision, or free memory."
            )
            raise BudgetError(msg)
        self._batch_size = tried // 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def bytes_per_tile(encoder: Encoder) -> int:
    """Return what one tile needs beyond the weights: most bytes of tensors alive at once, x 1.5.

    Measured on one black tile. What kernels take beside tensors is not seen; the factor stands for
    it.
    """
    tile = torch.zeros(1, encoder.input_px, encoder.input_px, 3, dtype=torch.uint8)
    with _Alive() as alive:
        encoder(tile)
    return int(_SCRATCH * (alive.most + tile.numel()))


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types none of it
    """Counts the bytes of tensors that were made under it and still live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.most = 0
        self._held = dict[int, tuple[StorageWeakRef, int]]()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator of torch
        types: Sequence[Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what the operator returns
        given = {leaf.untyped_storage()._cdata for leaf in _tensors((args, kwargs))}
        found = func(*args, **(kwargs or {}))
        self._held = {
            key: held
            for key, held in self._held.items()
            if not held[0].expired()  # type: ignore[no-untyped-call]  # as below
        }
        for tensor in _tensors(found):
            storage = tensor.untyped_storage()
            # a view or an in-place result brings no bytes of its own
            if storage._cdata not in given:
                ref = StorageWeakRef(storage)  # type: ignore[no-untyped-call]  # torch types none of it
                self._held[storage._cdata] = (ref, storage.nbytes())
        self.most = max(self.most, sum(size for _, size in self._held.values()))
        return found


def _tensors(values: Any) -> list[Tensor]:  # noqa: ANN401 - any nest
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or any(
        words.lower() in text for words in _SAID
    )
