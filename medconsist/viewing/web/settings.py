"""What the viewer was started with, handed from the command line to its process by environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from medconsist.errors import MissingInputError, RefusedInputError

__all__ = ["Impressions", "ViewerSettings"]

Impressions = Literal["asked", "first"]
"""``first``: the model's part of a case stays sealed until the reader has filed an impression."""

_RESULTS, _DATABASE = "MEDCONSIST_RESULTS", "MEDCONSIST_DB"
_PROVIDER, _IMPRESSIONS = "MEDCONSIST_PROVIDER", "MEDCONSIST_IMPRESSIONS"
_NO_STORE = "none"


@dataclass(frozen=True, kw_only=True)
class ViewerSettings:
    """What one process of the viewer shows, and to whom.

    Parameters
    ----------
    results
        Folder of studies, ``results/<study>/<case>/<key>``.
    database
        URL or SQLite file of the review store; ``""`` is ``review.db`` in the results folder, and
        ``"none"`` looks without filing anything.
    provider
        TOML file that names an identity provider (OpenID Connect), see docs/viewer_access.md; None
        where the reader is the account of this machine, on loopback.
    impressions
        Whether a first impression is asked for before the model's part is shown.

    Raises
    ------
    RefusedInputError
        No such order of impressions; or an identity provider without a review store, which holds
        the roles.

    Examples
    --------
    >>> ViewerSettings(results=Path("results")).review_url
    'results/review.db'
    """

    results: Path
    database: str = ""
    provider: Path | None = None
    impressions: Impressions = "asked"

    def __post_init__(self) -> None:
        allowed = get_args(Impressions)
        if self.impressions not in allowed:
            msg = f"impressions got {self.impressions!r}; allowed: {', '.join(allowed)}."
            raise RefusedInputError(msg)
        if self.provider is not None and self.review_url is None:
            msg = "an identity provider needs a review store, which holds the roles; name one: --db"
            raise RefusedInputError(msg)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> "ViewerSettings":
        """Return what `environment` of another one names.

        Raises
        ------
        MissingInputError
            No results folder is named.
        RefusedInputError
            As the class.
        """
        results = environment.get(_RESULTS)
        if not results:
            msg = f"{_RESULTS} names no results folder; start with: medconsist view --results DIR."
            raise MissingInputError(msg)
        provider = environment.get(_PROVIDER)
        impressions = environment.get(_IMPRESSIONS) or "asked"
        return cls(
            results=Path(results),
            database=environment.get(_DATABASE, ""),
            provider=Path(provider) if provider else None,
            impressions=impressions,  # type: ignore[arg-type]  # refused where it is none of them
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables that `of_environment` reads."""
        return {
            _RESULTS: str(self.results),
            _DATABASE: self.database,
            _PROVIDER: "" if self.provider is None else str(self.provider),
            _IMPRESSIONS: self.impressions,
        }

    @property
    def review_url(self) -> str | None:
        """URL or file of the review store, None where nothing is filed."""
        if self.database == _NO_STORE:
            return None
        return self.database or str(self.results / "review.db")
