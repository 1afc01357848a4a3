"""Train and be killed by SIGKILL in the second micro-batch of the fourth step; by path.

Usage: ``python killed_worker.py FOLDER``, with the root of the checkout on PYTHONPATH.
"""

import signal
import sys
from pathlib import Path

from medconsist.training.fit import fit
from tests.training.objectives import Interrupted
from tests.training.test_fit import FULL

if __name__ == "__main__":
    fit(Interrupted(3, 1, by=signal.SIGKILL), FULL, Path(sys.argv[1]), recipe={"data": "line"})
