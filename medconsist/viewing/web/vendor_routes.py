"""The route that serves the viewer's JavaScript libraries, and nothing else."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medconsist._extras import require
from medconsist.errors import MedconsistError
from medconsist.viewing.vendor import PREFIX, Vendored, read_vendor

__all__ = ["vendor_routes"]

_TYPES = {".js": "text/javascript; charset=utf-8", ".md": "text/plain; charset=utf-8"}
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
_FOR_EVER = "public, max-age=31536000, immutable"

logger = logging.getLogger(__name__)


def vendor_routes(folder: Path) -> list[Any]:
    """Return the Starlette routes ``GET /vendor/<file>`` for the built files of ``folder``.

    The files are read and verified once, here; a request only looks a name up in memory, so no
    path of a client ever reaches the disk. Every other name is answered 404 as text. With
    ``?v=<sha256>`` of the very bytes a browser may keep them for ever; without, it asks again and
    is answered 304 where nothing changed. No ticket is asked for: the files are public, and hold
    nothing of a patient.

    Parameters
    ----------
    folder
        As :func:`~medconsist.viewing.vendor.vendor_folder`. If the build was not run, or a file
        is damaged, every address below ``/vendor/`` is answered 404 with the reason.

    Returns
    -------
    routes
        For ``st.App(routes=...)`` or ``starlette.applications.Starlette(routes=...)``.

    Raises
    ------
    MissingExtraError
        If Starlette is not installed.

    Examples
    --------
    >>> [route.path for route in vendor_routes(Path("absent"))]
    ['/vendor/{name:path}']
    """
    routing = require("starlette.routing", extra="viewer")
    responses = require("starlette.responses", extra="viewer")
    try:
        files, missing = {read.file.file: read for read in read_vendor(folder)}, "no such file"
    except MedconsistError as error:
        files, missing = {}, str(error)
        logger.warning("%s", missing)

    async def serve(request: Any) -> Any:  # noqa: ANN401  Starlette is imported above
        read = files.get(request.path_params["name"])
        if read is None:
            return responses.PlainTextResponse(missing, 404, {"X-Content-Type-Options": "nosniff"})
        packed = _accepts_gzip(request.headers.get("accept-encoding", ""))
        headers = _headers(read, packed=packed, asked=request.query_params.get("v"))
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return responses.Response(status_code=304, headers=headers)
        return responses.Response(read.compressed if packed else read.content, headers=headers)

    # "path" also takes slashes: all below the prefix is answered here, never by another route.
    return [routing.Route(f"{PREFIX}/{{name:path}}", serve, methods=["GET"])]


def _headers(read: Vendored, *, packed: bool, asked: str | None) -> Mapping[str, str]:
    """Return the headers of one file; its two encodings are two entities with two ETags."""
    sha256 = read.file.sha256
    headers = _ALWAYS | {
        "Content-Type": _TYPES[Path(read.file.file).suffix],
        "Cache-Control": _FOR_EVER if asked == sha256 else "no-cache",
        "ETag": f'"{sha256}{"-gzip" if packed else ""}"',
    }
    return headers | {"Content-Encoding": "gzip"} if packed else headers


def _accepts_gzip(accepted: str) -> bool:
    """Return whether ``Accept-Encoding`` names gzip, with a weight above 0 (RFC 9110, 12.5.3)."""
    for item in accepted.lower().split(","):
        name, _, weight = item.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" or not weight
    return False
