"""The commands of the review store, on a store of its own."""

import json
from pathlib import Path

import pytest

from medconsist.cli import main
from medconsist.review.access import Person
from medconsist.review.database import Database, sqlite_url
from medconsist.review.records import Subject
from medconsist.review.store import ReviewStore


@pytest.fixture
def db(tmp_path: Path) -> str:
    """A store with one membership and one view."""
    path = tmp_path / "review.db"
    assert (
        main(["review", "grant", "reader", "--study", "mri", "--role", "reader", "--db", str(path)])
        == 0
    )
    store = ReviewStore(Database(sqlite_url(path)))
    seen = Subject(study="mri", case="head", key="0" * 64, content_sha256="1" * 64)
    store.viewed(Person(subject="reader", name="R. Reader", session="s"), seen)
    store.database.close()
    return str(path)


def test_a_whole_store_verifies_and_a_changed_one_does_not(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", "verify", "--db", db]) == 0
    assert "2 links, 0 entries" in capsys.readouterr().out
    database = Database(sqlite_url(Path(db)))
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        connection.exec_driver_sql("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    database.close()
    capsys.readouterr()
    assert main(["review", "verify", "--db", db, "--json"]) == 1
    changed, unguarded = json.loads(capsys.readouterr().out)["faults"]
    assert changed == "Link 2 was changed: its content does not give its hash."
    assert unguarded.startswith("The trigger audit_no_update")


def test_backup_restore_and_anchor_by_command(
    db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup, fresh, anchors = (str(tmp_path / name) for name in ("b.jsonl", "new.db", "a.jsonl"))
    assert main(["review", "backup", "--db", db, "--out", backup]) == 0
    assert main(["review", "restore", backup, "--db", fresh]) == 0
    assert main(["review", "anchor", "--db", db, "--out", anchors]) == 0
    assert main(["review", "verify", "--db", fresh, "--anchors", anchors]) == 0
    capsys.readouterr()
    assert main(["review", "log", "--db", fresh, "--json"]) == 0
    links = json.loads(capsys.readouterr().out)["links"]
    assert [one["action"] for one in links] == ["viewed", "granted"]
    assert links[1]["role"] == "operator"


def test_a_store_that_is_not_there_is_not_made_by_looking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.db"
    assert main(["review", "verify", "--db", str(path)]) == 2
    assert "there is no review store" in capsys.readouterr().err
    assert not path.exists()


def test_revoke_and_migrate_by_command(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "revoke", "reader", "--study", "mri", "--db", db]) == 0
    assert main(["review", "revoke", "reader", "--study", "mri", "--db", db]) == 2
    assert "no role of its own" in capsys.readouterr().err
    assert main(["review", "migrate", "--db", db]) == 0
