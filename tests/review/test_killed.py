"""What was acknowledged survives ``kill -9``, and the chain is whole."""

import subprocess
import sys
from contextlib import closing

import pytest
import sqlalchemy as sa

from medconsist.review.database import Database
from medconsist.review.store import ReviewStore
from medconsist.review.tables import ENTRY
from medconsist.review.verify import verify

KILLS = 100


@pytest.mark.parametrize("kills", [KILLS, pytest.param(1_000, marks=pytest.mark.slow)])
def test_no_acknowledged_signature_is_lost(store: ReviewStore, url: str, kills: int) -> None:
    program = [sys.executable, "-m", "tests.review.killing", url, str(kills), "20261123"]
    run = subprocess.run(program, capture_output=True, text=True, timeout=900, check=True)
    acknowledged = run.stdout.split()
    assert len(acknowledged) >= kills

    with closing(Database(url)) as database, database.reading() as connection:
        stored = set(connection.execute(sa.select(ENTRY.c.id)).scalars())
    assert set(acknowledged) <= stored
    assert len(stored) <= len(acknowledged) + kills  # one a child may be stored and not yet told
    assert verify(store.database).faults == ()
