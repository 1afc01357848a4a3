"""The command line that starts the viewer on this machine alone, without importing streamlit."""

import sys
from pathlib import Path

from medconsist.errors import MissingInputError, RefusedInputError

__all__ = ["command", "page"]

_PACKAGE = Path(__file__).resolve().parents[1]

# Dark and quiet: on these backgrounds the text colour has a contrast of 13:1 or more.
_THEME = {
    "base": "dark",
    "primaryColor": "#7fb2d9",
    "backgroundColor": "#0b0d10",
    "secondaryBackgroundColor": "#15191e",
    "textColor": "#e6e9ec",
}


def page() -> Path:
    """Return the page script: of the checkout if there is one, else the copy in the wheel.

    Raises
    ------
    MissingInputError
        If neither exists.
    """
    candidates = (
        _PACKAGE.parent / "apps" / "viewer" / "main.py",
        _PACKAGE / "_bundled" / "apps" / "viewer" / "main.py",
    )
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    msg = f"the viewer page is missing ({candidates[-1]}). Install medconsist again."
    raise MissingInputError(msg)


def command(results: Path, port: int) -> list[str]:
    """Return the program and arguments that show the results folder in a browser.

    The server listens on the loopback interface only, answers to no other host name, sends no
    usage statistics and opens no browser.

    Parameters
    ----------
    results
        Folder of studies, ``results/<study>/<case>/<key>``.
    port
        TCP port, 1 to 65535.

    Raises
    ------
    MissingInputError
        If the folder or the page does not exist.
    RefusedInputError
        If the port is out of range.
    """
    if not results.is_dir():
        msg = f"no results folder at {results}. Run a reconstruction first, or name its --out."
        raise MissingInputError(msg)
    if not 1 <= port <= 65535:
        msg = f"port {port} is outside the allowed 1 to 65535. Try 8501."
        raise RefusedInputError(msg)
    options = {
        "server.address": "127.0.0.1",
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        **{f"theme.{name}": value for name, value in _THEME.items()},
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    flags += [f"--server.allowedHosts={host}" for host in ("127.0.0.1", "localhost")]
    program = [sys.executable, "-m", "streamlit", "run", str(page())]
    return [*program, *flags, "--", "--results", str(results)]
