"""From decoded bytes to what a network takes: the copy to the device and the normalisation on it."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["batches_on", "normalised"]

_COPIES = 2  # under way at once, before the host waits for the eldest


def batches_on(device: torch.device, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield each block on the device.

    On CUDA the copy of a block runs on a stream of its own while the device still works on the
    block before it; work that is queued afterwards waits for it on the device, not here. A
    page-locked block is let go once its copy has ended.

    Parameters
    ----------
    device
        Where to.
    blocks
        In memory of the host; page-locked if the device is CUDA.

    Examples
    --------
    >>> [block.sum().item() for block in batches_on(torch.device("cpu"), [torch.ones(3)])]
    [3.0]
    """
    if device.type != "cuda":
        for block in blocks:
            yield block.to(device)
        return
    stream = torch.cuda.Stream(device)
    held: deque[tuple[torch.cuda.Event, Tensor]] = deque()
    for block in blocks:
        with torch.cuda.stream(stream):
            copy, done = block.to(device, non_blocking=True), torch.cuda.Event()
            done.record(stream)
        current = torch.cuda.current_stream(device)
        current.wait_event(done)
        copy.record_stream(current)
        held.append((done, block))
        del block
        while held and (len(held) > _COPIES or held[0][0].query()):
            held.popleft()[0].synchronize()
        yield copy


def normalised(
    tiles: Tensor, *, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype
) -> Tensor:
    """Return ``(tiles / 255 - mean) / std`` as a network takes it, on the device of the tiles.

    The two constants are fused into one multiplication and one addition per value, and the memory
    stays channels-last: the bytes are not moved around.

    Parameters
    ----------
    tiles
        uint8 ``tiles rows columns channels``.
    mean, std
        Of each channel, for values from 0 to 1.
    dtype
        Of the result; the sum is made in float32.

    Returns
    -------
        ``tiles channels rows columns``, channels-last in memory.

    Examples
    --------
    >>> white = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)
    >>> made = normalised(white, mean=(0.5,) * 3, std=(0.5,) * 3, dtype=torch.bfloat16)
    >>> made.shape, made.unique().tolist()
    (torch.Size([1, 3, 2, 2]), [1.0])
    """
    centre = torch.tensor(mean, dtype=torch.float64)
    spread = torch.tensor(std, dtype=torch.float64)
    scale = (1 / (255 * spread)).to(tiles.device, torch.float32)
    shift = (-centre / spread).to(tiles.device, torch.float32)
    return torch.addcmul(shift, tiles, scale).to(dtype).permute(0, 3, 1, 2)
