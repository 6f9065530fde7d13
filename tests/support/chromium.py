"""A real Chromium, driven by playwright, which is not among the packages that every test run needs."""

import os
from collections.abc import Callable, Iterator
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

Open = Callable[..., Page]


@contextmanager
def running_chromium(require: "Require", *flags: str, keeps_pages: bool = False) -> Iterator[Any]:
    """Start Chromium with *flags* besides those that every test has, and end it.

    With *keeps_pages* the Back button shows pages as they were left, as it does for users, if their headers allow it.
    """
    playwright = require.module("playwright.sync_api", install="pip install playwright")
    # Chromium's sandbox does not start as root.
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=require.chromium(),
            args=[*FLAGS, *sandbox, *flags],
            # One of playwright's own.
            ignore_default_args=["--disable-back-forward-cache"] if keeps_pages else None,
        )
        yield browser
        browser.close()


@contextmanager
def opening(browser: Any, port: int) -> Iterator[Open]:
    """Yield what opens a path of the site at *port* in a window of its own, which has *cookies* already."""
    contexts = []

    def open_page(path: str = "/", *, cookies: Any = (), **options: Any) -> Page:
        context = browser.new_context(base_url=f"http://127.0.0.1:{port}", **options)
        contexts.append(context)
        context.add_cookies(list(cookies))
        page = context.new_page()
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
