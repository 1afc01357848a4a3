"""``medconsist view``: the page, on loopback."""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.viewing.web.settings import Impressions

__all__ = ["View"]


@dataclass(frozen=True, kw_only=True)
class View:
    """Open the page that shows results, on this machine only (loopback)."""

    results: Path = Path("demo/results")
    """Folder of results, as given to --out of reconstruct."""
    db: Annotated[str, arg(metavar="URL|FILE|none")] = ""
    """The review store: a SQLite file, sqlite:///FILE, or postgresql://user@host/name; nothing is
    review.db in the results folder, and none looks without filing anything."""
    provider: Annotated[Path | None, arg(metavar="FILE")] = None
    """TOML file of an identity provider (OpenID Connect), for readers other than this account."""
    impressions: Impressions = "asked"
    """first: what a model says of a case stays sealed until its reader has filed an impression."""
    port: int = 8501
    """Port on 127.0.0.1."""

    def run(self) -> int:
        """Serve the page until it is stopped."""
        from medconsist._extras import require
        from medconsist.viewing.launch import command
        from medconsist.viewing.web.settings import ViewerSettings

        if not self.results.is_dir():
            msg = (
                f"{self.results} is no folder of results. Make one with: medconsist mri "
                f"reconstruct INPUT --out {self.results}, or with: medconsist demo"
            )
            raise MissingInputError(msg)
        require("streamlit", extra="viewer")
        settings = ViewerSettings(
            results=self.results.resolve(),
            database=self.db,
            provider=None if self.provider is None else self.provider.resolve(),
            impressions=self.impressions,
        )
        page = command(settings, self.port)
        self._refuse_taken_port()
        sys.stderr.write(f"http://127.0.0.1:{self.port} (Ctrl+C stops it)\n")
        sys.stderr.flush()
        # In the place of this process, so that no server outlives it when it is stopped.
        os.execve(page[0], page, {**os.environ, **settings.environment})  # noqa: S606  our own

    def _refuse_taken_port(self) -> None:
        """Refuse a port where something answers: its page would be taken for this one."""
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                msg = (
                    f"port {self.port} is taken, perhaps by another viewer with other results; "
                    f"stop that one, or choose a port: --port {self.port % 65535 + 1}"
                )
                raise RefusedInputError(msg)
