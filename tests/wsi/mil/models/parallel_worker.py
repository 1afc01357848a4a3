"""Train a few models on two processes; Lightning starts this same script again for the second.

Usage: ``python parallel_worker.py FOLDER``. Each process leaves the sha256 of all weights.
"""

import hashlib
import os
import sys
from pathlib import Path

from tests.wsi.mil.models.fitted import run

# Those of several terms, of which one more can leave a parameter without a gradient.
RUNS = (("clam-sb", None), ("dtfd", None), ("acmil", {"branches": 1}))


def main(folder: Path) -> None:
    seen = hashlib.sha256()
    for number, (name, options) in enumerate(RUNS):
        fitted = run(name, folder / str(number), options=options, devices=2)
        for _, value in sorted(fitted.network.named_parameters()):
            seen.update(value.detach().numpy().tobytes())
    rank = os.environ.get("LOCAL_RANK", "0")
    (folder / f"rank{rank}").write_text(seen.hexdigest())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
