"""Small simulated slides, and an encoder whose numbers do not depend on the batch."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medconsist.wsi.encoders.encoder import Encoder, EncoderCard, Preprocessing
from medconsist.wsi.simulate import SlideConfig, write_slide

SIDE = 768


class QuarterMeans(Encoder):
    """Mean red, green and blue of each quarter of a tile, exact: it can tell a mirrored tile.

    Parameters
    ----------
    input_px
        Side of a tile [px], even.
    sha256
        Stands for its weights.
    """

    has_weights = False

    def __init__(self, *, input_px: int = 64, sha256: str = "0" * 64) -> None:
        shown = Preprocessing(input_px=input_px, mean=(0.0,) * 3, std=(1.0,) * 3)
        card = EncoderCard(name="quarters", dim=12, preprocessing=shown, sha256=sha256)
        super().__init__(card, device="cpu")
        self.tiles_seen = 0

    def _features(self, tiles: Tensor) -> Tensor:
        self.tiles_seen += len(tiles)
        half = self.input_px // 2
        quarters = tiles.reshape(len(tiles), 2, half, 2, half, 3).to(torch.float64)
        return quarters.mean(dim=(2, 4)).flatten(1)


def write_small_slide(path: Path, **changes: Any) -> Path:
    """Write a slide of 768 px a side at 0.5 um/px, a second or less to embed."""
    layout = "svs" if path.suffix == ".svs" else "tiff"
    config: dict[str, Any] = {
        "width": SIDE,
        "height": SIDE,
        "layout": layout,
        "quality": 95,
    } | changes
    write_slide(path, SlideConfig(**config))
    return path
