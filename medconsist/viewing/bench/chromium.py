"""A Chromium that is driven by Playwright, for the bench and the tests of the viewer."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from medconsist._extras import require

__all__ = ["chromium_browser"]

# The address bar of each window loads two pages of its own, a quarter of all work of a page of
# ours. A second list of features takes the place of Playwright's, so what is in that stands here.
_FEATURES = (
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)


@contextmanager
def chromium_browser(program: str) -> Iterator[Any]:
    """Start a Chromium without a window; yield it as Playwright's ``Browser``; close it.

    Parameters
    ----------
    program
        Path of Chromium.

    Raises
    ------
    MissingExtraError
        If Playwright is not installed.
    """
    arguments = [f"--disable-features={','.join(_FEATURES)}"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses its sandbox to root
    with require("playwright.sync_api", extra="viewer-bench").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
