"""The viewer as its users run it: served on loopback, seen by a real Chromium."""

from typing import Any

from playwright.sync_api import Page

from medconsist.viewing.serving import free_port
from medconsist.viewing.serving import serving as served

__all__ = ["Watched", "free_port", "served"]


class Watched:
    """A page with everything that it asked for and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda channel: self.requests.append(channel.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)
