"""Train on two processes; Lightning starts this same script again for the second; by path.

Usage: ``python parallel_worker.py FOLDER``. Each process leaves the sha256 of its weights.
"""

import hashlib
import os
import sys
from pathlib import Path

from torch import distributed as dist

from medconsist.training.fit import fit
from tests.training.objectives import Line
from tests.training.test_parallel import CONFIG


def main(folder: Path) -> None:
    fitted = fit(Line(), CONFIG, folder / "run", recipe={}, progress=False)
    learnt = dict(fitted.network.named_parameters())
    raw = b"".join(learnt[name].detach().numpy().tobytes() for name in sorted(learnt))
    rank = os.environ.get("LOCAL_RANK", "0")
    (folder / f"rank{rank}").write_text(hashlib.sha256(raw).hexdigest())
    dist.barrier()  # gloo can abort a process whose peer has closed the connection already
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
