"""Batched decoding on a GPU; without one, only what it says then."""

import sys
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import MissingExtraError, RefusedInputError
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.nvimage import decode_batch
from medconsist.wsi.readers.open import open_slide


def test_no_stream_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="no stream to decode"):
        decode_batch([])


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", None)
    with pytest.raises(MissingExtraError, match=r"medconsist\[nvimagecodec\]"):
        decode_batch([b"\xff\xd8"])


@pytest.mark.gpu
def test_a_batch_is_within_rounding_of_the_direct_engine(small_slides: dict[str, Path]) -> None:
    pytest.importorskip("nvidia.nvimgcodec")
    with open_slide(small_slides["svs"], engine="direct") as slide:
        assert isinstance(slide, DirectSlide)
        streams = [slide.stream(0, 0, column) for column in range(5)]
        expected = slide.read_region(0, 0, 0, 320, 64)
    tiles = decode_batch([stream for stream in streams if stream is not None]).cpu().numpy()
    seen = np.concatenate(list(tiles), axis=1)
    # both decoders are JPEG-conformant: IDCT and colour may differ by rounding only
    assert np.abs(seen.astype(int) - expected).max() <= 4
