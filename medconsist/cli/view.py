"""``medconsist view``: the page, on loopback."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from medconsist.errors import MissingInputError

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
        sys.stderr.write(f"http://127.0.0.1:{self.port} (Ctrl+C stops it)\n")
        try:
            return subprocess.call(command(self.results, self.port))  # noqa: S603  our own page
        except KeyboardInterrupt:
            return 0
