"""All routes of the viewer beside its page."""

from typing import Any

from medconsist._extras import require
from medconsist.viewing.vendor import vendor_folder
from medconsist.viewing.web.routes import api_routes
from medconsist.viewing.web.server import server
from medconsist.viewing.web.vendor_routes import vendor_routes

__all__ = ["viewer_routes"]


def viewer_routes() -> list[Any]:
    """Return ``/api`` and ``/vendor``, for the settings in the environment.

    Raises
    ------
    MedconsistError
        The settings are none, or the review store cannot be opened.
    MissingExtraError
        Starlette is not installed.
    """
    routing = require("starlette.routing", extra="viewer")
    return [
        routing.Mount("/api", routes=api_routes(server().desk)),
        *vendor_routes(vendor_folder()),
    ]
