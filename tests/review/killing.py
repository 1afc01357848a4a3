"""Sign in a loop, in children that are killed in the middle of it; run as a program of its own.

``python -m tests.review.killing URL ROUNDS SEED`` prints every entry that was acknowledged. A
child is forked from this process, which has no threads, so that hundreds of kills take seconds.
"""

import os
import random
import signal
import sys
import time
from io import FileIO
from typing import NamedTuple

from medconsist.review.database import Database
from medconsist.review.store import ReviewStore
from tests.review.conftest import SHA, SIGNER, signature


def main(url: str, rounds: int, seed: int) -> None:
    """Print acknowledged entries, one a line."""
    draw = random.Random(seed)  # noqa: S311  draws no secret
    for number in range(rounds):
        seen, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(seen)
            _sign(url, number, told)
        os.close(told)
        with os.fdopen(seen, "rb", buffering=0) as answers:
            last = _read(answers, draw.randint(1, 2))
            # somewhere within the next signature: each takes about as long as the one before
            time.sleep(draw.uniform(0.0, 1.5) * last.seconds)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            told_names = (last.text + answers.read()).decode().split("\n")[:-1]  # a torn end
        sys.stdout.write("".join(f"{name}\n" for name in told_names))


class _Read(NamedTuple):
    text: bytes
    seconds: float


def _read(answers: FileIO, lines: int) -> _Read:
    """Read so many lines; the time is that of the last."""
    text, start = b"", time.monotonic()
    for number in range(lines):
        start = time.monotonic()
        while text.count(b"\n") <= number:
            text += answers.read(1)
    return _Read(text, time.monotonic() - start)


def _sign(url: str, number: int, told: int) -> None:
    store = ReviewStore(Database(url))
    for place in range(10_000):
        case = f"case-{number}-{place}"
        store.take_lock(SIGNER, "mri", case)
        entry = f"e{number}x{place}"
        store.file(SIGNER, signature(entry, case=case), seen=SHA, stored=SHA)
        os.write(told, f"{entry}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
