"""What the bench of the viewer looks at: two slides, a scan and signals, all simulated."""

import logging
from pathlib import Path

from medconsist.mri.methods import CgSense, Zerofilled
from medconsist.mri.prepare import PrepareConfig
from medconsist.mri.scan_series import Series, write_series
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job, reconstruct_file
from medconsist.timeseries.demo import run_demo as run_signals
from medconsist.wsi.encoders.colour_texture import ColourTexture
from medconsist.wsi.settings import Embedding
from medconsist.wsi.simulate import SlideConfig, write_slide
from medconsist.wsi.task import SlideJob, embed_slide

__all__ = ["write_results"]

_SLICES = 6  # as many as the generated head has at every seed

logger = logging.getLogger(__name__)


def write_results(folder: Path, seed: int) -> Path:
    """Make the results of the bench below a folder, and return where they lie."""
    results, settings = folder / "results", Embedding(target_mpp=2.0)
    logger.info("two slides, a scan and signals ...")
    for number, name in enumerate(("biopsy", "resection")):
        slide = folder / f"{name}.svs"
        config = SlideConfig(width=6144, height=6144, mpp=0.5, tumour=0.3, seed=seed + number)
        write_slide(slide, config)
        embed_slide(SlideJob(slide=slide, out=results, encoder=ColourTexture(), settings=settings))
    series = Series(
        scans=1, slices=_SLICES, size=128, coils=4, acceleration=2.0, lesions=0, seed=seed
    )
    (scan,) = write_series(series, folder / "scans")
    what = Reconstruction(
        method=CgSense(iterations=4),
        comparators=(Zerofilled(),),
        prepare=PrepareConfig(calibration=12),
    )
    reconstruct_file(Job(input=scan, out=results, reconstruction=what))
    run_signals(folder, device="cpu", seed=seed)
    return results
