"""``medconsist view``: the page, on loopback."""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from medconsist.errors import MissingInputError, RefusedInputError

__all__ = ["View"]


@dataclass(frozen=True, kw_only=True)
class View:
    """Open the page that shows results, on this machine only (loopback)."""

    results: Path = Path("demo/results")
    """Folder of results, as given to --out of reconstruct."""
    port: int = 8501
    """Port on 127.0.0.1."""

    def run(self) -> int:
        """Serve the page until it is stopped."""
        from medconsist._extras import require
        from medconsist.viewing.launch import command

        if not self.results.is_dir():
            msg = (
                f"{self.results} is no folder of results. Make one with: medconsist mri "
                f"reconstruct INPUT --out {self.results}, or with: medconsist demo"
            )
            raise MissingInputError(msg)
        require("streamlit", extra="viewer")
        page = command(self.results, self.port)
        self._refuse_taken_port()
        sys.stderr.write(f"http://127.0.0.1:{self.port} (Ctrl+C stops it)\n")
        sys.stderr.flush()
        # In the place of this process, so that no server outlives it when it is stopped.
        os.execv(page[0], page)  # noqa: S606  our own page

    def _refuse_taken_port(self) -> None:
        """Refuse a port where something answers: its page would be taken for this one."""
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                msg = (
                    f"port {self.port} is taken, perhaps by another viewer with other results; "
                    f"stop that one, or choose a port: --port {self.port % 65535 + 1}"
                )
                raise RefusedInputError(msg)
