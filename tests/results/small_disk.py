"""Write a result on a disk that takes only small files; run by path, like a command.

Usage: ``python small_disk.py FOLDER LIMIT_BYTES SIDE``: an image of SIDE x SIDE, then history
lines until the disk is full. Exit code and sentence are the error's.
"""

import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from medconsist.errors import MedconsistError
from medconsist.results.schema import ResultFields, Times
from medconsist.results.store import ResultStore


def main(folder: Path, limit: int, side: int) -> int:
    store = ResultStore(folder, "demo")
    now = datetime.now(UTC)
    fields = ResultFields(
        kind="test.disk",
        inputs={},
        config={"text": "x" * 10_000},
        result_version=1,
        times=Times(started=now, finished=now),
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    noise = np.random.default_rng(0).normal(size=(side, side))
    try:
        with store.draft("head", fields.key) as draft:
            draft.add_array("cs", noise, axes=("height", "width"))
            result = draft.finish(fields)
        for number in range(1_000):
            store.remember(result.model_copy(update={"case": f"case-{number}"}), group="disk")
    except MedconsistError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
