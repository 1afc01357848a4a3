"""Stored JPEG tiles decoded in batches on a GPU by nvImageCodec, an optional extra."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import CorruptInputError, RefusedInputError

__all__ = ["decode_batch"]


def decode_batch(streams: Sequence[bytes]) -> UInt8[Tensor, "tiles rows columns 3"]:
    """Decode whole JPEG streams of one size on the current GPU; RGB.

    The streams are those of ``DirectSlide.stream``: tables merged, the Adobe marker spliced in
    where the slide stores RGB. nvJPEG may round otherwise than libjpeg-turbo, by a few of 255, so
    `open_slide` never takes it by itself: compare features before a model is run on such tiles.

    Parameters
    ----------
    streams
        One or more, all of one width and height.

    Returns
    -------
    :
        On the GPU; the pixels never visit the host.

    Raises
    ------
    MissingExtraError
        nvImageCodec is not installed.
    RefusedInputError
        There is no stream.
    CorruptInputError
        A stream cannot be decoded, or is of another size than the first.

    References
    ----------
    NVIDIA, nvImageCodec 0.9, Python API: ``Decoder.decode`` takes a list of bytes and returns RGB
    images with ``__cuda_array_interface__``, None for each that failed.
    """
    if not streams:
        msg = "there is no stream to decode; give one or more."
        raise RefusedInputError(msg)
    codec = require("nvidia.nvimgcodec", extra="nvimagecodec")
    images = codec.Decoder().decode(list(streams))
    tiles = [_tile(image, number) for number, image in enumerate(images)]
    shapes = {tuple(tile.shape) for tile in tiles}
    if len(shapes) > 1:
        msg = f"the streams of a batch must have one size, got {sorted(shapes)}."
        raise CorruptInputError(msg)
    return torch.stack(tiles)


def _tile(image: Any, number: int) -> UInt8[Tensor, "rows columns 3"]:  # noqa: ANN401  no stubs
    if image is None:
        msg = f"stream {number} of the batch cannot be decoded; the file is damaged."
        raise CorruptInputError(msg)
    return torch.as_tensor(image, device="cuda")
