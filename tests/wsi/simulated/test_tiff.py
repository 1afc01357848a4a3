"""The container keeps numbers exact and refuses what a classic TIFF cannot hold."""

import io
from fractions import Fraction

import pytest
import tifffile

from medconsist.errors import RefusedInputError
from medconsist.wsi.simulated.tiff import TiffFile, rational


@pytest.mark.parametrize("mpp", ["0.2498", "0.4531", "0.499", "1", "0.0078125"])
def test_resolutions_of_usual_scanners_are_exact(mpp: str) -> None:
    numerator, denominator = rational(10_000 / Fraction(mpp))
    assert Fraction(numerator, denominator) == 10_000 / Fraction(mpp)


def test_long_decimals_become_the_nearest_rational_of_32_bits() -> None:
    wanted = 10_000 / Fraction("0.249812345678901")
    numerator, denominator = rational(wanted)
    assert max(numerator, denominator) < 2**32
    assert float(Fraction(numerator, denominator) / wanted) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("big", [False, True])
def test_tifffile_reads_back_every_kind_of_tag(big: bool) -> None:
    buffer = io.BytesIO()
    with TiffFile(buffer, big=big) as tiff:
        offset = tiff.add_data(b"\1\2\3\4\5\6")
        for width in (2, 3):
            tiff.add_directory(
                [
                    (270, "ascii", b"words\0"),
                    (256, "long", (width,)),
                    (257, "long", (6 // width,)),
                    (258, "short", (8,)),
                    (259, "short", (1,)),
                    (262, "short", (1,)),
                    (273, "long8", (offset,)),
                    (277, "short", (1,)),
                    (278, "long", (6 // width,)),
                    (279, "long", (6,)),
                    (282, "rational", (50_000_000, 1249)),
                ]
            )
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as read:
        assert read.is_bigtiff is big
        assert [page.shape for page in read.pages] == [(3, 2), (2, 3)]
        assert read.pages[1].asarray().tolist() == [[1, 2, 3], [4, 5, 6]]
        first = read.pages.first
        assert first.description == "words"
        assert first.tags["XResolution"].value == (50_000_000, 1249)


def test_offsets_beyond_four_gibibytes_need_a_big_tiff() -> None:
    with (
        pytest.raises(RefusedInputError, match="Write it with big_tiff=True"),
        TiffFile(io.BytesIO(), big=False) as tiff,
    ):
        tiff.add_directory([(324, "long8", (2**32,))])
