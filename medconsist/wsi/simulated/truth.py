"""What is where on a simulated slide: masks on a coarse grid, and outlines in level-0 pixels."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from medconsist._extras import require
from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.scene import Scene

__all__ = ["SlideTruth", "truth_of"]

_IN_TISSUE = ("fold", "blur")

Mask = Bool[np.ndarray, "rows columns"]


@dataclass(frozen=True, eq=False)
class SlideTruth:
    """The regions of a slide as they were drawn.

    A cell ``[i, j]`` of a mask covers the level-0 pixels ``[i * downsample, (i + 1) * downsample)``
    of y and the same of x, and says what lies at its centre. Tissue includes the lumens of glands
    and leaves out the fault ``blank``; tumour is part of tissue. Folds and blur count on tissue
    only, where they show, and no fault counts where ``blank`` hides it.

    Parameters
    ----------
    config
        The slide.
    downsample
        Level-0 pixels per cell.
    tissue, tumour
        Masks.
    faults
        A mask for each planted fault, by name.

    Examples
    --------
    >>> truth = truth_of(Scene(SlideConfig(width=640, height=320, faults=("fold",))))
    >>> truth.tissue.shape, sorted(truth.polygons)
    ((10, 20), ['fold', 'tissue', 'tumour'])
    """

    config: SlideConfig
    downsample: int
    tissue: Mask
    tumour: Mask
    faults: dict[str, Mask]

    @property
    def masks(self) -> dict[str, Mask]:
        """Every mask by kind: tissue, tumour and the names of the faults."""
        return {"tissue": self.tissue, "tumour": self.tumour, **self.faults}

    @cached_property
    def polygons(self) -> dict[str, list[Float[np.ndarray, "points 2"]]]:
        """Closed rings by kind, each ``(points, 2)`` as x, y in level-0 pixels.

        Holes are rings too (even-odd rule). Rings run halfway between the centres of cells, so
        they are right to about half a cell.
        """
        return {kind: _rings(mask, self.downsample) for kind, mask in self.masks.items()}


def truth_of(scene: Scene) -> SlideTruth:
    """Evaluate the regions of ``scene`` at the centres of the cells."""
    config = scene.config
    step = config.downsample
    spans = config.height, config.width
    ys, xs = (np.minimum(np.arange(0, span, step) + step // 2, span - 1) for span in spans)
    tissue = scene.anatomy.tissue(ys, xs) > 0
    tumour = scene.anatomy.tumour(ys, xs) > 0
    faults = {fault.name: fault.depth(ys, xs) > 0 for fault in scene.faults}
    missing = faults.get("blank", np.zeros_like(tissue))
    tissue &= ~missing
    for name in faults:
        if name != "blank":
            faults[name] &= tissue if name in _IN_TISSUE else ~missing
    return SlideTruth(config, step, tissue, tumour & tissue, faults)


def _rings(mask: Mask, step: int) -> list[Float[np.ndarray, "points 2"]]:
    framed = np.pad(mask, 1).astype(float)
    contours = require("skimage.measure", extra="wsi").find_contours(framed, 0.5)
    return [(ring[:, ::-1] - 0.5) * step for ring in contours]
