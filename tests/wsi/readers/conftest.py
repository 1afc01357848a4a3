"""Small slides of every layout, written once for all tests of the readers."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from medconsist.wsi.simulate import SlideConfig, write_asymmetric_slide


@pytest.fixture(scope="session")
def small_slides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``svs`` (RGB trap), ``tiff`` (BigTIFF, odd sizes), ``silent`` (no mpp), ``noise`` (deflate).

    ``noise`` has levels whose downsample is no whole number: 2.002, 4.013, 16.19.
    """
    folder = tmp_path_factory.mktemp("slides")
    configs = {
        "svs.svs": SlideConfig(width=320, height=256, tile=64, levels=2, photometric="rgb"),
        "tiff.tif": SlideConfig(
            width=300, height=250, tile=64, levels=3, level_step=2, layout="tiff",
            shared_tables=False, big_tiff=True,
        ),
        "silent.tif": SlideConfig(
            width=200, height=130, tile=64, levels=2, level_step=2, layout="tiff", mpp=None
        ),
    }  # fmt: skip
    for name, config in configs.items():
        write_asymmetric_slide(folder / name, config)
    draw = np.random.default_rng(0)
    with tifffile.TiffWriter(folder / "noise.tif") as tiff:
        for level, (width, height) in enumerate(((1003, 907), (501, 453), (250, 226), (62, 56))):
            pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
            tiff.write(
                pixels, tile=(64, 64), compression="zlib", photometric="rgb",
                subfiletype=int(level > 0), resolution=(20000, 20000), resolutionunit="CENTIMETER",
            )  # fmt: skip
    return {path.stem: path for path in folder.iterdir()}
