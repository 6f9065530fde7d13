"""How often continuous integration repeats a test: most on one Python, since no code is for a single version."""

import os
import sys

IS_CI = bool(os.environ.get("CI"))


def is_thorough_on(minor: int) -> bool:
    """Return whether this is continuous integration, on Python 3.*minor*."""
    return IS_CI and sys.version_info[:2] == (3, minor)
