"""Embed a slide on a disk that takes only small files; run by path, like a command.

Usage: ``python embed_small_disk.py SLIDE FOLDER LIMIT_BYTES``. Exit code and sentence are the
error's.
"""

import resource
import sys
from pathlib import Path

from medconsist.errors import MedconsistError
from medconsist.wsi.settings import Embedding
from medconsist.wsi.task import SlideJob, embed_slide
from tests.wsi.small_slide import QuarterMeans


def main(slide: Path, out: Path, limit: int) -> int:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        embed_slide(SlideJob(slide=slide, out=out, encoder=QuarterMeans(), settings=Embedding()))
    except MedconsistError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
