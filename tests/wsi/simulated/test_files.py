"""What OpenSlide reads from simulated files is what was written."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import openslide
import pytest
import simplejpeg
import tifffile

from medconsist.wsi.simulate import SlideConfig, simulate_pixels, slide_truth, write_slide
from medconsist.wsi.simulated.pyramid import shrink

ADOBE = bytes.fromhex("ffee000e41646f626500640000000000")
SMALL = SlideConfig(width=700, height=420, tile=128, levels=2, tumour=0.3)
CONFIGS = {
    "aperio": SMALL,
    "aperio, step 2, 240 px tiles": replace(SMALL, level_step=2, levels=3, tile=240),
    "aperio rgb": replace(SMALL, photometric="rgb", mpp=0.2498),
    "aperio rgb, whole streams": replace(SMALL, photometric="rgb", shared_tables=False),
    "aperio rgb with adobe marker": replace(SMALL, photometric="rgb", adobe_marker=True),
    "aperio 444, big": replace(SMALL, subsampling="444", big_tiff=True, mpp=0.4531),
    "aperio, no mpp": replace(SMALL, mpp=None),
    "generic": replace(SMALL, layout="tiff", level_step=2),
    "generic 422, whole streams": replace(
        SMALL, layout="tiff", subsampling="422", shared_tables=False, quality=95
    ),
    "generic rgb, unequal mpp, big": replace(
        SMALL, layout="tiff", photometric="rgb", mpp=(0.2498, 0.5012), big_tiff=True
    ),
    "generic, no mpp": replace(SMALL, layout="tiff", mpp=None),
}


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("slides")
    paths = {}
    for number, (name, config) in enumerate(CONFIGS.items()):
        paths[name] = folder / f"{number}.{config.layout}"
        write_slide(paths[name], config)
    return paths


@pytest.mark.parametrize("name", CONFIGS)
def test_openslide_reports_what_was_written(name: str, slides: dict[str, Path]) -> None:
    config = CONFIGS[name]
    with openslide.OpenSlide(slides[name]) as slide:
        wanted = "aperio" if config.layout == "svs" else "generic-tiff"
        assert slide.properties["openslide.vendor"] == wanted
        assert slide.level_dimensions == config.level_sizes
        assert slide.properties["openslide.level[0].tile-width"] == str(config.tile)
        assert set(slide.associated_images) == (
            {"thumbnail", "label", "macro"} if config.layout == "svs" else set()
        )
        if config.mpp_xy is None:
            assert "openslide.mpp-x" not in slide.properties
            return
        for axis, mpp in zip("xy", config.mpp_xy, strict=True):
            # TIFF resolutions are read as 32-bit floats.
            assert float(slide.properties[f"openslide.mpp-{axis}"]) == pytest.approx(mpp, rel=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_stored_tiles_decode_to_the_pixels_of_openslide(name: str, slides: dict[str, Path]) -> None:
    config = CONFIGS[name]
    with openslide.OpenSlide(slides[name]) as slide, tifffile.TiffFile(slides[name]) as tiff:
        pages = [page.aspage() for page in tiff.pages if page.aspage().is_tiled]
        for level, page in enumerate(pages):
            across, down = page.imagewidth // config.tile, page.imagelength // config.tile
            for row, column in product(range(down), range(across)):
                index = row * -(-page.imagewidth // config.tile) + column
                stream = _stream(tiff, page, index)
                decoded = simplejpeg.decode_jpeg(stream, fastdct=False, fastupsample=False)
                scale = config.level_step**level
                place = column * config.tile * scale, row * config.tile * scale
                if slide.level_downsamples[level] == scale:
                    seen = slide.read_region(place, level, (config.tile, config.tile))
                    assert np.array_equal(decoded, np.asarray(seen)[..., :3])


def _stream(tiff: tifffile.TiffFile, page: tifffile.TiffPage, index: int) -> bytes:
    tiff.filehandle.seek(page.dataoffsets[index])
    stream: bytes = tiff.filehandle.read(page.databytecounts[index])
    tables = page.jpegtables[:-2] if page.jpegtables else b"\xff\xd8"
    marker = ADOBE if page.photometric == 2 and ADOBE[:2] not in stream[:600] else b""
    return tables + marker + stream[2:]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_level_shows_the_drawing(name: str, slides: dict[str, Path]) -> None:
    config = CONFIGS[name]
    wanted = simulate_pixels(config, 0, 0, config.height, config.width)
    with openslide.OpenSlide(slides[name]) as slide:
        for level, size in enumerate(slide.level_dimensions):
            seen = np.asarray(slide.read_region((0, 0), level, size))
            assert (seen[..., 3] == 255).all()
            seen, drawn = (pixels[..., :3].mean(axis=2) for pixels in (seen, wanted))
            in_place, to_the_side = np.abs(seen - drawn), np.abs(seen[:, 1:] - drawn[:, :-1])
            # What JPEG at quality 80 and camera noise leave against a shift by one pixel.
            assert in_place.mean() < 0.6 * to_the_side.mean()
            wanted = shrink(wanted, step=config.level_step)


def test_an_rgb_stream_without_its_marker_decodes_to_wrong_colours(
    slides: dict[str, Path],
) -> None:
    with tifffile.TiffFile(slides["aperio rgb"]) as tiff:
        stream = _stream(tiff, tiff.pages.first, 0)
    right, wrong = (
        simplejpeg.decode_jpeg(data).astype(int) for data in (stream, stream.replace(ADOBE, b""))
    )
    assert np.abs(right - wrong).max() > 100


@pytest.mark.data
def test_rgb_streams_begin_like_those_of_a_real_scanner(
    slides: dict[str, Path], data_dir: Path
) -> None:
    starts = []
    for path in (slides["aperio rgb"], data_dir / "wsi" / "CMU-1-Small-Region.svs"):
        with tifffile.TiffFile(path) as tiff:
            tiff.filehandle.seek(tiff.pages.first.dataoffsets[0])
            stream = tiff.filehandle.read(35)
            starts.append(stream[:7] + stream[11:])
    assert starts[0] == starts[1]


def test_tables_are_shared_only_when_asked_for(slides: dict[str, Path]) -> None:
    for name, shared in (("aperio", True), ("aperio rgb, whole streams", False)):
        with tifffile.TiffFile(slides[name]) as tiff:
            tiff.filehandle.seek(tiff.pages.first.dataoffsets[0])
            stream = tiff.filehandle.read(tiff.pages.first.databytecounts[0])
            assert (tiff.pages.first.jpegtables is not None) is shared
            assert (b"\xff\xdb" in stream) is not shared


def test_big_tiff_is_written_when_asked_for(slides: dict[str, Path]) -> None:
    for name, config in CONFIGS.items():
        with tifffile.TiffFile(slides[name]) as tiff:
            assert tiff.is_bigtiff is bool(config.big_tiff)


@pytest.mark.parametrize("mpp", [0.001, 0.1, 2.0, 350.0])
def test_absurd_microns_are_written_as_they_are(mpp: float, tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    write_slide(path, SlideConfig(width=300, height=64, mpp=mpp))
    with openslide.OpenSlide(path) as slide:
        assert float(slide.properties["openslide.mpp-x"]) == mpp


def test_a_very_long_slide_has_a_thumbnail(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    write_slide(path, SlideConfig(width=60_000, height=64, tissue=0.0))
    with openslide.OpenSlide(path) as slide:
        assert slide.associated_images["thumbnail"].size == (937, 1)


def test_same_config_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("a.svs", "b.svs", "c.svs"))
    for path, seed in ((first, 3), (second, 3), (other, 4)):
        write_slide(path, SlideConfig(width=300, height=200, seed=seed))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_truth_is_the_same_with_and_without_writing(tmp_path: Path) -> None:
    config = SlideConfig(width=600, height=300, tumour=0.4)
    written, planned = write_slide(tmp_path / "slide.svs", config), slide_truth(config)
    for kind, mask in written.masks.items():
        assert np.array_equal(mask, planned.masks[kind])


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    folder = tmp_path / "slide.svs"
    folder.mkdir()
    with pytest.raises(OSError, match="Could not write"):
        write_slide(folder, SlideConfig(width=64, height=64))
    assert list(tmp_path.iterdir()) == [folder]
