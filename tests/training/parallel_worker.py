"""Train on two processes; Lightning starts this same script again for the second; by path.

Usage: ``python parallel_worker.py FOLDER``. Each process leaves the sha256 of its weights and
the names of the threads that it still has when it ends.
"""

import atexit
import hashlib
import os
import sys
from pathlib import Path

from medconsist.training.fit import fit
from tests.training.objectives import Line
from tests.training.test_parallel import CONFIG


def write_threads(folder: Path) -> None:
    names = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
    (folder / f"threads{os.environ.get('LOCAL_RANK', '0')}").write_text("".join(names))


def main(folder: Path) -> None:
    atexit.register(write_threads, folder)  # what is registered first is called last
    fitted = fit(Line(), CONFIG, folder / "run", recipe={}, progress=False)
    learnt = dict(fitted.network.named_parameters())
    raw = b"".join(learnt[name].detach().numpy().tobytes() for name in sorted(learnt))
    rank = os.environ.get("LOCAL_RANK", "0")
    (folder / f"rank{rank}").write_text(hashlib.sha256(raw).hexdigest())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
