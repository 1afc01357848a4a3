"""Two processes finish the same key at the same moment; run by path.

Usage: ``python race.py FOLDER ROUNDS``. Prints one JSON object per round: the digests that the
two writers were given.
"""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import zarr  # noqa: F401  before the fork

from medconsist.results.schema import ResultFields, Times
from medconsist.results.store import ResultStore


def write(store: ResultStore, number: int, gate: int, answer: int) -> None:
    now = datetime.now(UTC)
    fields = ResultFields(
        kind="test.race",
        inputs={},
        config={"round": number},
        result_version=1,
        seed=os.getpid(),  # recorded, not in the key: tells the two apart
        times=Times(started=now, finished=now),
    )
    with store.draft("case", fields.key) as draft:
        draft.add_array("cs", np.ones((8, 8), np.float32), axes=("height", "width"))
        os.read(gate, 1)
        result = draft.finish(fields)
    os.write(answer, f"{result.content_sha256} {store.is_done('case', fields.key)}\n".encode())
    os._exit(0)


def main(folder: Path, rounds: int) -> None:
    store = ResultStore(folder, "race")
    for number in range(rounds):
        gate_out, gate_in = os.pipe()
        answer_out, answer_in = os.pipe()
        children = []
        for _ in range(2):
            children.append(os.fork())
            if children[-1] == 0:
                write(store, number, gate_out, answer_in)
        os.write(gate_in, b"go")
        for child in children:
            os.waitpid(child, 0)
        os.close(answer_in)
        with os.fdopen(answer_out) as answers:
            print(json.dumps(answers.read().splitlines()))  # noqa: T201
        for descriptor in (gate_out, gate_in):
            os.close(descriptor)
    hidden = [p.name for p in (folder / "race" / "case").iterdir() if p.name.startswith(".")]
    print(json.dumps(hidden))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
