"""Stored streams: made whole, decoded exactly, refused when broken or of another size."""

from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from medconsist.errors import CorruptInputError, UnsupportedInputError
from medconsist.wsi.readers.jpeg_stream import TileDecoder, inspect, prefix_of, standalone
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from medconsist.wsi.readers.stored_bytes import Reads
from medconsist.wsi.readers.tiff_index import stored_levels

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
STREAM = simplejpeg.encode_jpeg(PIXELS, quality=80, colorsubsampling="420")


def decoder(*, shrink: int = 1) -> TileDecoder:
    return TileDecoder(64, 64, prefix=prefix_of(b"", 6), shrink=shrink, name="level 3")


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
def test_a_stream_is_decoded_at_the_scale_of_the_dct(shrink: int) -> None:
    out = np.empty((64 // shrink, 64 // shrink, 3), np.uint8)
    decoder(shrink=shrink).into(STREAM, out, tile=(0, 0))
    side = 64 // shrink
    assert (out == simplejpeg.decode_jpeg(STREAM, min_width=side, min_height=side)).all()


def test_a_broken_stream_is_an_error_that_names_the_tile_and_leaves_the_decoder_sound() -> None:
    one, out = decoder(), np.empty((64, 64, 3), np.uint8)
    for broken in (STREAM[: len(STREAM) // 2], b"\0\0" + STREAM, STREAM[:300] + b"\xff\xd9", b""):
        with pytest.raises(CorruptInputError, match=r"row 5, column 7\) of level 3"):
            one.into(broken, out, tile=(5, 7))
        one.into(STREAM, out, tile=(0, 0))
        assert (out == simplejpeg.decode_jpeg(STREAM)).all()


@pytest.mark.parametrize("shrink", [1, 2])
@pytest.mark.parametrize("side", [32, 96, 128])
def test_a_stream_of_another_size_is_refused(shrink: int, side: int) -> None:
    other = simplejpeg.encode_jpeg(np.zeros((side, side, 3), np.uint8))
    out = np.empty((64 // shrink, 64 // shrink, 3), np.uint8)
    with pytest.raises(CorruptInputError, match="level 3"):
        decoder(shrink=shrink).into(other, out, tile=(0, 0))


def test_sizes_that_do_not_divide_are_declined() -> None:
    with pytest.raises(UnsupportedInputError, match="cannot be decoded at 1/2"):
        TileDecoder(63, 64, prefix=b"", shrink=2, name="level 0")


def test_the_header_is_read_without_decoding() -> None:
    facts = inspect(STREAM)
    assert (facts.width, facts.height, facts.components, facts.precision) == (64, 64, 3, 8)
    assert facts.process == "baseline"
    with pytest.raises(CorruptInputError, match="no frame header"):
        inspect(b"\xff\xd8\xff\xd9")


def test_what_does_not_begin_like_jpeg_is_refused() -> None:
    with pytest.raises(CorruptInputError, match="begins with ff d8"):
        standalone(b"", b"II*\0")


@pytest.mark.data
def test_without_the_adobe_marker_every_tile_of_the_aperio_slide_is_badly_wrong(
    data_dir: Path,
) -> None:
    path = data_dir / "wsi" / "CMU-1-Small-Region.svs"
    with OpenSlideSlide(path) as reference:
        (stored,) = stored_levels(path, reference.facts.levels)
        region = reference.read_region(0, 0, 0, 2160, 2880).astype(int)
    reads, out = Reads(path), np.empty((240, 240, 3), np.uint8)
    naive, right = (
        TileDecoder(240, 240, prefix=prefix_of(stored.tables, tag), shrink=1, name="level 0")
        for tag in (6, 2)
    )
    for row, column in np.ndindex(12, 9):
        tile = row * 10 + column
        data = reads.pread(int(stored.offsets[tile]), int(stored.counts[tile]))
        wanted = region[row * 240 : row * 240 + 240, column * 240 : column * 240 + 240]
        right.into(data, out, tile=(row, column))
        assert (out == wanted).all()
        naive.into(data, out, tile=(row, column))
        assert np.abs(out - wanted).max() >= 127
