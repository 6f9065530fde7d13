"""A real Chromium, driven by playwright, which is not among the packages that every test run needs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Require

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# From playwright.
Page = Any


@contextmanager
def running_chromium(require: "Require", *flags: str) -> Iterator[Any]:
    """Start Chromium with *flags* besides those that every test has, and end it."""
    playwright = require.module("playwright.sync_api", install="pip install playwright")
    # Chromium's sandbox does not start as root.
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=require.chromium(), args=[*FLAGS, *sandbox, *flags])
        yield browser
        browser.close()
