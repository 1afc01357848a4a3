"""The command line that starts the viewer on this machine alone, without importing streamlit."""

import sys
from pathlib import Path

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.viewing.web.provider import read_provider
from medconsist.viewing.web.settings import ViewerSettings

__all__ = ["command", "hosts", "main_script", "origins", "page"]

_PACKAGE = Path(__file__).resolve().parents[1]

_UPLOAD_MB = 8  # of outlines, the only files that are brought; Streamlit takes 200 otherwise

# Dark and quiet: on these backgrounds the text colour has a contrast of 13:1 or more.
_THEME = {
    "base": "dark",
    "primaryColor": "#7fb2d9",
    "backgroundColor": "#0b0d10",
    "secondaryBackgroundColor": "#15191e",
    "textColor": "#e6e9ec",
}


def main_script() -> Path:
    """Return the program of the viewer: of the checkout if there is one, else of the wheel.

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
    msg = f"the viewer is missing ({candidates[-1]}). Install medconsist again."
    raise MissingInputError(msg)


def page() -> Path:
    """Return the script that draws the page, which lies beside the program.

    Raises
    ------
    MissingInputError
        If it does not exist.
    """
    return main_script().with_name("page.py")


def hosts(settings: ViewerSettings) -> tuple[str, ...]:
    """Return the names under which the viewer answers; a request to any other is refused.

    Raises
    ------
    MissingInputError, RefusedInputError
        The file of the identity provider is missing, or wrong.
    """
    loopback = ("127.0.0.1", "localhost")
    if settings.provider is None:
        return loopback
    return tuple(dict.fromkeys([*loopback, read_provider(settings.provider).host]))


def origins(settings: ViewerSettings) -> tuple[str, ...]:
    """Return the origins of the page as a proxy shows it; none where there is no proxy.

    Raises
    ------
    MissingInputError, RefusedInputError
        As `hosts`.
    """
    return () if settings.provider is None else (read_provider(settings.provider).origin,)


def command(settings: ViewerSettings, port: int) -> list[str]:
    """Return the program and arguments of the viewer; what it shows is in its environment.

    ``settings.environment`` goes with it, where no other account can read the address of a store.

    The server listens on the loopback interface only, sends no usage statistics and opens no
    browser. Readers at other machines come through a proxy on this one, which brings TLS, and under
    the host name of the provider's ``redirect_uri``; every other name is refused.

    Parameters
    ----------
    settings
        What it shows; its folder must exist.
    port
        TCP port, 1 to 65535.

    Raises
    ------
    MissingInputError
        If the folder or the program does not exist.
    RefusedInputError
        If the port is out of range.
    """
    results = settings.results
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
        "server.enableStaticServing": "false",
        "server.maxMessageSize": "32",
        "server.maxUploadSize": str(_UPLOAD_MB),
        **{f"theme.{name}": value for name, value in _THEME.items()},
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    flags += [f"--server.allowedHosts={host}" for host in hosts(settings)]
    if settings.provider is not None:
        flags.append(f"--secrets.files={settings.provider}")
    return [sys.executable, "-m", "streamlit", "run", str(main_script()), *flags]
