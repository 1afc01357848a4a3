"""A recurrent inference machine that nobody differentiates: the last image, and nothing kept.

The figures of `Cirim.forward`, but for rounding, near the time of the convolutions and transforms
alone. Hidden states live in arrays with a frame of their own: units act on the frame too, which
costs 3 %, and it is then overwritten by the edge; padding each time would copy all channels.
"""

import copy
from collections.abc import Callable, Iterable
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from medconsist.mri.cirim.block import Hidden, RimBlock
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.fused import conv_relu
from medconsist.mri.data_gradient import DataGradient
from medconsist.mri.reconstruction_network import Compiled

__all__ = ["Inference", "Shown", "repeat_edge"]

_FIRST, _SECOND = 2, 1  # frame of the first hidden state and the input, and of the second


class Inference:
    """Runs the blocks of a `Cirim` for one batch of slices.

    Parameters
    ----------
    config
        Of the network.
    gradient
        Of the data term.
    shown
        Where the network is shown them.
    dtype
        Of the convolutions; images and transforms keep theirs.
    compiled
        Mode of ``torch.compile`` for the convolutions and units, or None. ``"reduce-overhead"``
        replays CUDA graphs.
    """

    def __init__(
        self,
        config: CirimConfig,
        gradient: DataGradient,
        shown: "Shown",
        *,
        dtype: torch.dtype,
        compiled: Compiled = None,
    ) -> None:
        self._config, self._gradient, self._shown = config, gradient, shown
        self._dtype, self._update = dtype, _update_by(compiled)

    def __call__(self, blocks: Iterable[RimBlock], start: Tensor) -> Tensor:
        """Return the last image, from ``start``, which stays as it is."""
        hidden: Hidden | None = None
        for block in blocks:
            carried = hidden if self._config.hidden == "carried" else None
            start, hidden = self._cascade(block, start, carried)
        return start

    def _cascade(
        self, block: RimBlock, start: Tensor, hidden: Hidden | None
    ) -> tuple[Tensor, Hidden | None]:
        x, cast_block = start.clone(), _in_precision(block, self._dtype)
        rectified = self._config.update == "rectified"
        for _ in range(self._config.steps):
            before = start if rectified else x
            shown = self._shown.fill(before, self._gradient(before))
            update, hidden = self._update(cast_block, shown, hidden)
            update = update.relu_() if rectified else update
            if rectified:
                x.copy_(start)
            # The update has real and imaginary part as channels, which come last in memory.
            torch.view_as_real(x.flatten(0, 1)).add_(update.permute(0, 2, 3, 1))
        if self._config.consistency == "implicit":
            return x, hidden
        if self._config.consistency == "weighted":
            return x - block.dc_weight * self._gradient.weighted(x), hidden
        seen_at = x if self._config.consistency == "explicit" else start
        return x - block.dc_weight * self._gradient(seen_at), hidden


class Shown:
    """The array in which the network is shown image, gradient and noise level, with its frame.

    Parameters
    ----------
    like
        Images ``slices sets height width``; map sets count as slices.
    scale
        Multiplies the gradient, ``slices 1 1 1``; None leaves it.
    level
        Noise level of each slice ``slices 1 1 1``, or None.
    dtype
        Of the array.
    """

    def __init__(
        self, like: Tensor, *, scale: Tensor | None, level: Tensor | None, dtype: torch.dtype
    ) -> None:
        slices, sets, height, width = like.shape
        pairs = 2 if level is None else 3
        self._scale = scale
        self._values = like.new_zeros(slices, sets, height, width, pairs)
        if level is not None:
            self._values[..., 2] = level
        side = 2 * _FIRST
        self._framed = torch.empty(
            (slices * sets, 2 * pairs, height + side, width + side),
            dtype=dtype,
            device=like.device,
            memory_format=torch.channels_last,
        )

    def fill(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Return the channels at x; an imaginary part of zero goes with the noise level."""
        self._values[..., 0] = x
        self._values[..., 1] = gradient if self._scale is None else gradient * self._scale
        channels = torch.view_as_real(self._values).flatten(-2).flatten(0, 1)
        inside = slice(_FIRST, -_FIRST)
        self._framed[:, :, inside, inside] = channels.permute(0, 3, 1, 2)
        return repeat_edge(self._framed, _FIRST)


def repeat_edge(framed: Tensor, frame: int) -> Tensor:
    """Overwrite the frame of that width by the nearest values inside, and return the array."""
    framed[:, :, :frame] = framed[:, :, frame : frame + 1]
    framed[:, :, -frame:] = framed[:, :, -frame - 1 : -frame]
    framed[..., :frame] = framed[..., frame : frame + 1]
    framed[..., -frame:] = framed[..., -frame - 1 : -frame]
    return framed


def _update(block: RimBlock, shown: Tensor, hidden: Hidden | None) -> tuple[Tensor, Hidden]:
    """Return the update and the hidden states, for which those before may be overwritten.

    Zero padding keeps sizes: what it spoils lies in the frames.
    """
    first, second = hidden or (None, None)
    features = conv_relu(block.conv1, shown, padding=_FIRST)
    first = repeat_edge(block.unit1.advance(features, first), _FIRST)
    features = conv_relu(block.conv2, first, padding=_SECOND)
    second = repeat_edge(block.unit2.advance(features, second), _SECOND)
    return functional.conv2d(second, block.out.weight), (first, second)


Update = Callable[[RimBlock, Tensor, Hidden | None], tuple[Tensor, Hidden]]


@cache
def _update_by(compiled: Compiled) -> Update:
    if compiled is None:
        return _update
    update = cast("Update", torch.compile(_update, mode=compiled))
    if compiled == "default":
        return update

    def replayed(block: RimBlock, shown: Tensor, hidden: Hidden | None) -> tuple[Tensor, Hidden]:
        # A graph that is replayed writes where it wrote before: what is kept must be copied.
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # torch's own
        change, (first, second) = update(block, shown, hidden)
        return change.clone(), (first.clone(), second.clone())

    return replayed


def _in_precision(block: RimBlock, dtype: torch.dtype) -> RimBlock:
    """Return the block with weights of that type, for an even number of input channels."""
    odd = block.conv1.in_channels % 2
    if not odd and block.out.weight.dtype == dtype:
        return block
    other = copy.deepcopy(block).to(dtype)
    if odd:
        weight = functional.pad(other.conv1.weight, (0, 0, 0, 0, 0, 1))
        weight = weight.contiguous(memory_format=torch.channels_last)
        other.conv1.weight = nn.Parameter(weight, requires_grad=False)
    return other
