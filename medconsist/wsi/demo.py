"""The slides' share of ``medconsist demo``: two drawn slides of two scanners, their features."""

from dataclasses import replace
from pathlib import Path

from medconsist._atomic import make_folder
from medconsist.wsi.encoders.choice import make_encoder
from medconsist.wsi.jobs import Done, embed_all, slide_jobs
from medconsist.wsi.settings import Embedding
from medconsist.wsi.simulate import SlideConfig, write_slide

__all__ = ["run_demo"]

STUDY = "demo-slides"
# One scanner at 0.25 um/px with faults that are found, one at an odd resolution.
SLIDES = {
    "generated-biopsy-a": SlideConfig(
        width=8192, height=6144, mpp=0.25, tumour=0.3, faults=("pen-blue", "fold", "blur")
    ),
    "generated-biopsy-b": SlideConfig(width=4096, height=3072, mpp=0.4531, scanner="b"),
}


def run_demo(out: Path, *, device: str, seed: int) -> Done:
    """Draw two slides and embed them by colour and texture.

    Parameters
    ----------
    out
        Slides go to ``out/slides``, results to ``out/results``.
    device, seed
        As in every command.
    """
    folder = out / "slides"
    make_folder(folder)
    paths = []
    for number, (name, config) in enumerate(SLIDES.items()):
        paths.append(folder / f"{name}.svs")
        write_slide(paths[-1], replace(config, seed=2 * seed + number))
    jobs = slide_jobs(
        paths,
        out=out / "results",
        study=STUDY,
        encoder=make_encoder("colour-texture", device=device),
        settings=Embedding(),
    )
    return embed_all(jobs)
