"""From decoded bytes to what a network takes: copied to the device and normalised there."""

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
        # Not by a loop variable: it would keep a block from being used again for one batch longer.
        yield from (block.to(device) for block in blocks) if device.type != "cpu" else blocks
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch gives no types
    held: deque[tuple[torch.cuda.Event, Tensor]] = deque()
    for block in blocks:
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # as above
        with torch.cuda.stream(stream):
            copy = block.to(device, non_blocking=True)
            done.record(stream)
        current = torch.cuda.current_stream(device)
        current.wait_event(done)
        copy.record_stream(current)
        held.append((done, block))
        if len(held) > _COPIES:
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
