"""The browser that pages and emails are looked at with."""

import os
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str:
    """Its command. Without one the test is skipped, or fails where RELANCE_REQUIRE_BROWSER=1 says so."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and os.environ.get("RELANCE_REQUIRE_BROWSER") == "1":
        pytest.fail(f"RELANCE_REQUIRE_BROWSER=1, and none of {', '.join(BROWSERS)} is on the PATH")
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on the PATH to look at a page with")
    return found
