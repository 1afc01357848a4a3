"""Short-lived signed tickets: the page hands them out, every route asks for one.

Routes beside the page do not pass its log-in, so that a request without a ticket learns nothing. A
ticket names person, result and purpose, and runs out; whether the person still has the right is
looked up again at each request.
"""

import json
import secrets
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from medconsist._extras import require
from medconsist._ids import safe_id
from medconsist.errors import AccessError, RefusedInputError
from medconsist.results.ids import safe_key

__all__ = ["TICKET_SECONDS", "Purpose", "Ticket", "TicketOffice"]

TICKET_SECONDS = 900
"""Fifteen minutes, the idle time after which a session ends."""

Purpose = Literal["view", "identity", "sealed"]

_SALT = "medconsist ticket"
_LEAST_KEY = 32  # bytes
_LONGEST = 2_000  # characters; ours have some 400


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """What a request may have.

    Parameters
    ----------
    subject, session
        Who asks, in which sitting.
    study, case, key
        The result that is on the screen.
    purpose
        ``"identity"``: also label and macro images, and headers that may carry names;
        ``"sealed"``: the original alone, without what a model said of it.

    Examples
    --------
    >>> Ticket(subject="u1", session="s", study="mri", case="head", key="0" * 64).purpose
    'view'
    """

    subject: str
    session: str
    study: str
    case: str
    key: str
    purpose: Purpose = "view"

    def __post_init__(self) -> None:
        safe_id(self.study, what="study id")
        safe_id(self.case, what="case id")
        safe_key(self.key)
        if self.purpose not in get_args(Purpose):
            msg = f"purpose got {self.purpose!r}; allowed: {', '.join(get_args(Purpose))}."
            raise RefusedInputError(msg)


class TicketOffice:
    """Signs tickets and checks them.

    Parameters
    ----------
    key
        At least 32 bytes; None draws one, so that tickets end with the process. Several processes
        behind one address need the same.
    seconds
        How long a ticket holds.

    Raises
    ------
    RefusedInputError
        The key is too short, or no time.

    Examples
    --------
    >>> office = TicketOffice()
    >>> ticket = Ticket(subject="u1", session="s", study="mri", case="head", key="0" * 64)
    >>> office.check(office.sign(ticket)) == ticket
    True
    """

    def __init__(self, key: bytes | None = None, *, seconds: int = TICKET_SECONDS) -> None:
        if key is not None and len(key) < _LEAST_KEY:
            msg = f"the key of tickets has {len(key)} bytes; allowed: {_LEAST_KEY} or more."
            raise RefusedInputError(msg)
        if seconds < 1:
            msg = f"tickets got {seconds} seconds; allowed: 1 or more. {TICKET_SECONDS} is usual."
            raise RefusedInputError(msg)
        signing = require("itsdangerous", extra="viewer")
        self._signer = signing.URLSafeTimedSerializer(key or secrets.token_bytes(_LEAST_KEY), _SALT)
        self._bad, self._late = signing.BadData, signing.SignatureExpired
        self.seconds = seconds

    def sign(self, ticket: Ticket) -> str:
        """Return the ticket as text for an address."""
        text: str = self._signer.dumps(asdict(ticket))
        return text

    def check(self, text: str) -> Ticket:
        """Return what a text lets its holder have.

        Raises
        ------
        AccessError
            It was not signed here, was changed, or has run out.
        """
        if len(text) > _LONGEST:
            raise AccessError(_NOT_OURS)
        try:
            found: Any = self._signer.loads(text, max_age=self.seconds)
            return Ticket(**found)
        except self._late as error:
            msg = "this ticket has run out; open the case again."
            raise AccessError(msg) from error
        except (self._bad, TypeError, RefusedInputError, json.JSONDecodeError) as error:
            raise AccessError(_NOT_OURS) from error


_NOT_OURS = "this is no ticket of this viewer; open the case again."
