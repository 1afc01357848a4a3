"""The two real slides: H&E and fluorescence (T1)."""

from pathlib import Path

import pytest

from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.tissue.blur import tiles_of
from medconsist.wsi.tissue.clam_mode import CLAM_PRESETS, clam_regions
from medconsist.wsi.tissue.mask import require_tissue, tissue_mask
from medconsist.wsi.tissue.overview import overview
from medconsist.wsi.tissue.quality import quality_flags

pytestmark = pytest.mark.data


@pytest.mark.parametrize(
    ("name", "stain", "least_mm2", "most_mm2"),
    [
        # by eye on the picture: about half of 1.1 x 1.5 mm, and of 0.9 x 1.1 mm
        ("CMU-1-Small-Region.svs", "he", 0.6, 0.75),
        ("test3-DAPI-2-387.ndpi", "fluorescence", 0.3, 0.9),
    ],
)
def test_real_slides_have_tissue_of_their_stain(
    data_dir: Path, name: str, stain: str, least_mm2: float, most_mm2: float
) -> None:
    with open_slide(data_dir / "wsi" / name) as slide:
        small = overview(slide, mpp=slide.facts.mpp())
        tissue = require_tissue(small, tissue_mask(small))
        quality = quality_flags(small, tissue, read=tiles_of(slide))
    assert tissue.stain.kind == stain
    assert least_mm2 < tissue.area_mm2 < most_mm2
    # both were scanned in focus and carry no pen
    assert {share for name, share in quality.shares.items() if name != "fold"} == {0.0}


def test_clam_finds_the_one_piece_of_the_real_slide(data_dir: Path) -> None:
    with open_slide(data_dir / "wsi" / "CMU-1-Small-Region.svs") as slide:
        small = overview(slide, mpp=slide.facts.mpp(), target_mpp=4)
    config = CLAM_PRESETS["bwh_biopsy"]
    (region,) = clam_regions(small.picture, small.affine, config=config)
    assert region.outline[:, 1].max() > 2900
