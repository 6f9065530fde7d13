"""Late requests: they wait at the server, below ``/late``, until the test that sent them lets them go.

Every process of the server sees the same signs, in the directory that ``LATE_REQUESTS`` names.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from support.client import Answer
from support.servers import Browser

PATIENCE_S = 60.0


def wait() -> None:
    """Say that a request is here, and wait until those that are here are let go: for the site."""
    signs = Path(os.environ["LATE_REQUESTS"])
    (signs / "here").touch()
    _wait_for(signs / "go")


@contextmanager
def held_back(signs: Path) -> Iterator[None]:
    """Wait until the late request that was sent is at the server, and let it go on when the block ends."""
    _wait_for(signs / "here")
    try:
        yield
    finally:
        (signs / "go").touch()


@contextmanager
def under_way(browser: Browser, path: str, signs: Path) -> Iterator["Future[Answer]"]:
    """Send a late request for *path*, and let it go on when the block ends."""
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(browser.get, f"/late{path}")
        with held_back(signs):
            yield late


def _wait_for(sign: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not sign.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
