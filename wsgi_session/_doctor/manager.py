"""What is weak or wrong in one manager: its options, and its store."""

import os
from collections.abc import Mapping
from pathlib import Path

from .._manager.manager import SessionManager
from ..stores.report import Finding
from .options import OPTION_ROWS
from .storage import ask_store, in_memory

__all__ = ["check_manager"]


def check_manager(
    manager: SessionManager, *, environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> list[Finding]:
    """Return what is weak or wrong in *manager*. Its store is asked, and no session is stored.

    Args:
        manager: What opens and commits the sessions of an application.
        environ: The environment variables that its server starts with. Default: those of this process.
        directory: Where its server starts. Default: the current one.
    """
    environ = os.environ if environ is None else environ
    found = [finding for row in OPTION_ROWS if (finding := row(manager)) is not None]
    found += in_memory(manager.store, environ, Path() if directory is None else directory)
    found += ask_store(manager.store)
    return found
