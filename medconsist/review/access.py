"""Who may do what, study by study; deny by default."""

import os
import pwd
import unicodedata
from dataclasses import dataclass
from typing import Literal, get_args

import sqlalchemy as sa
from sqlalchemy import Connection

from medconsist.errors import AccessError, RefusedInputError
from medconsist.review.tables import MEMBERSHIP

__all__ = ["EVERY_STUDY", "RIGHTS", "Person", "Right", "Role", "require_right", "role_in"]
__all__ += ["account", "studies_of"]

Role = Literal["viewer", "reader", "signer", "auditor", "admin"]
Right = Literal["view", "comment", "sign", "identity", "audit", "grant"]

_LONGEST = 200
_TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")

EVERY_STUDY = "*"
"""In place of a study: a membership of all, which one of a single study goes before."""

RIGHTS: dict[Role, frozenset[Right]] = {
    "viewer": frozenset({"view"}),
    "reader": frozenset({"view", "comment"}),
    "signer": frozenset({"view", "comment", "sign", "identity"}),
    "auditor": frozenset({"view", "audit"}),
    "admin": frozenset({"view", "audit", "identity", "grant"}),
}
"""``comment`` is drafts and first impressions too; ``identity`` is labels of slides and headers."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who is at the screen.

    Parameters
    ----------
    subject
        Stable id: the name of the account, or the ``sub`` of OIDC with its issuer.
    name
        As it is printed beside a signature.
    session
        One sitting of the program; empty for who works on the database itself.

    Raises
    ------
    RefusedInputError
        One of them is too long, or holds what would break a line or turn its direction.

    Examples
    --------
    >>> Person(subject="u1", name="A. Reader", session="s1").subject
    'u1'
    """

    subject: str
    name: str
    session: str

    def __post_init__(self) -> None:
        named = ("subject", self.subject), ("name", self.name), ("session", self.session or "none")
        for what, value in named:
            if not value.strip() or len(value) > _LONGEST or any(map(_is_hidden, value)):
                msg = (
                    f"{what} of a person got {value[:40]!r}; allowed: 1 to {_LONGEST} printed "
                    "characters."
                )
                raise RefusedInputError(msg)


def account() -> tuple[str, str]:
    """Return the account that this process runs as, and the name of its owner.

    LOGNAME and USER are not asked: anybody sets them. A container need not name its accounts; then
    both are the number.
    """
    try:
        found = pwd.getpwuid(os.geteuid())
    except KeyError:
        return f"uid {os.geteuid()}", f"uid {os.geteuid()}"
    return found.pw_name, found.pw_gecos.split(",")[0].strip() or found.pw_name


def _is_hidden(letter: str) -> bool:
    """Say whether a letter breaks the line, drives a terminal, or turns the direction of text."""
    return (
        unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(letter) in _TURNS
    )


def role_in(connection: Connection, subject: str, study: str) -> Role | None:
    """Return the role of a person in a study, None where there is none."""
    rows = sa.select(MEMBERSHIP.c.study, MEMBERSHIP.c.role).where(
        MEMBERSHIP.c.subject == subject, MEMBERSHIP.c.study.in_([study, EVERY_STUDY])
    )
    found = {row.study: row.role for row in connection.execute(rows)}
    return as_role(found[study]) if study in found else _wide(found)


def studies_of(connection: Connection, subject: str) -> frozenset[str]:
    """Return the studies that a person is a member of, `EVERY_STUDY` among them where it is so."""
    rows = sa.select(MEMBERSHIP.c.study).where(MEMBERSHIP.c.subject == subject)
    return frozenset(connection.execute(rows).scalars())


def require_right(connection: Connection, person: Person, study: str, right: Right) -> Role:
    """Return the person's role in a study.

    Raises
    ------
    AccessError
        There is none, or it does not have the right; the sentence does not say whether the study
        exists.
    """
    role = role_in(connection, person.subject, study)
    if role is not None and right in RIGHTS[role]:
        return role
    allowed = [name for name, rights in RIGHTS.items() if right in rights]
    msg = (
        f"{person.subject} has {f'the role {role}' if role else 'no role'} here; to {right} needs "
        f"{' or '.join(allowed)}. An administrator grants it: medconsist review grant."
    )
    raise AccessError(msg)


def as_role(name: str) -> Role:
    """Return the role of that name.

    Raises
    ------
    RefusedInputError
        There is none.
    """
    for role in get_args(Role):
        if role == name:
            return role
    msg = f"role got {name!r}; allowed: {', '.join(get_args(Role))}."
    raise RefusedInputError(msg)


def _wide(found: dict[str, str]) -> Role | None:
    return as_role(found[EVERY_STUDY]) if EVERY_STUDY in found else None
