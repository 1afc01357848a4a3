"""Who an identity provider says that somebody is, and how long ago that was."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from medconsist.errors import AccessError
from medconsist.review.access import Person

__all__ = ["SIGN_WITHIN", "SITTING_AT_MOST", "person_of", "signed_in_at", "why_again"]

SITTING_AT_MOST = timedelta(hours=12)
"""The cookie of the page lives for 30 days; who came in longer ago than a shift comes in anew."""

SIGN_WITHIN = timedelta(hours=1)
"""Who signs has proved who it is no longer ago than this."""

_NAMES = ("name", "preferred_username", "email", "sub")
_LONGEST_NAME = 200
_CLOCKS_APART = timedelta(minutes=5)  # of the provider and of this machine


def person_of(claims: Mapping[str, Any], *, session: str) -> Person:
    """Return the person of the claims of an ID token, whose signature was checked before.

    The subject is ``issuer|sub``: a ``sub`` alone is unique within its issuer only, and names and
    addresses are handed on to others (OpenID Connect Core 1.0, section 5.7).

    Raises
    ------
    AccessError
        The claims name nobody, or by what is no name.
    """
    issuer, sub = claims.get("iss"), claims.get("sub")
    if not (isinstance(issuer, str) and isinstance(sub, str) and issuer and sub):
        msg = "the identity provider named nobody (no iss or sub); ask who runs it."
        raise AccessError(msg)
    said = (claims.get(name) for name in _NAMES)
    name = next(text for text in said if isinstance(text, str) and text.strip())
    try:
        return Person(subject=f"{issuer}|{sub}", name=name[:_LONGEST_NAME], session=session)
    except ValueError as error:
        msg = f"the identity provider sent what is no name: {error}"
        raise AccessError(msg) from error


def signed_in_at(claims: Mapping[str, Any]) -> datetime | None:
    """Return when somebody proved who it is (``auth_time``, else ``iat``), None if not said."""
    for name in ("auth_time", "iat"):
        seconds = claims.get(name)
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            try:
                return datetime.fromtimestamp(seconds, UTC)
            except (ValueError, OverflowError, OSError):
                return None
    return None


def why_again(when: datetime | None, *, now: datetime, within: timedelta) -> str:
    """Return why somebody must sign in again, empty where that is not so.

    Parameters
    ----------
    when
        Of `signed_in_at`.
    now
        With time zone.
    within
        How long a sign-in holds.

    Examples
    --------
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> why_again(at, now=at, within=SIGN_WITHIN)
    ''
    """
    if when is None or when > now + _CLOCKS_APART:
        return "the identity provider does not say when you signed in"
    if now - when > within:
        return f"you signed in at {when:%Y-%m-%d %H:%M} UTC, too long ago"
    return ""
