"""What the audit chain says of one case, for who may read it."""

import sqlalchemy as sa

from medconsist.review.access import Person, require_right
from medconsist.review.store import ReviewStore
from medconsist.review.tables import AUDIT, ENTRY

__all__ = ["case_log"]

HEADINGS = ("Link", "Time (UTC)", "Who", "As", "Did", "What")


def case_log(
    store: ReviewStore, person: Person, study: str, case: str, *, most: int = 200
) -> list[list[str]]:
    """Return the newest links of a case as rows of `HEADINGS`, the newest first.

    Raises
    ------
    AccessError
        The person may not read the log of this study.
    """
    begin = f"{study}/{case}/"
    entries = sa.select(ENTRY.c.id).where(ENTRY.c.study == study, ENTRY.c.case_id == case)
    # LIKE of SQLite takes upper and lower case for the same
    is_begin = sa.func.substr(AUDIT.c.object_id, 1, len(begin)) == begin
    about = is_begin | AUDIT.c.object_id.in_(entries)
    rows = sa.select(AUDIT).where(about).order_by(AUDIT.c.seq.desc()).limit(most)
    with store.database.reading() as connection:
        require_right(connection, person, study, "audit")
        found = connection.execute(rows).mappings().all()
    return [
        [
            str(one["seq"]),
            one["ts_utc"][:19].replace("T", " "),
            one["actor"],
            one["role"],
            one["action"],
            one["object_type"] + (f", because: {one['reason']}" if one["reason"] else ""),
        ]
        for one in found
    ]
