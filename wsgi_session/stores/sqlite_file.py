"""The file of a SQLite database: nobody but its owner reads it, and others may remove or replace it at any time."""

import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["WatchedFile", "make_file"]

# How long a process may go on with a file that was removed. In seconds.
_CHECK_EVERY_S: Final = 1.0


class WatchedFile:
    """Tells when another file has the name of the one that is open, or none has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self.check_at = 0.0
        """When to look again, as ``time.monotonic``: to look each time would cost as much as a tenth of a read."""

    def check(self, leave: Callable[[], None]) -> None:
        """Look which file has the name now; call *leave* if it was another one the last time."""
        identity = _identity(self._path)
        if self._identity not in (None, identity):
            leave()
        self._identity = identity  # last: another thread must not take what is to be left
        self.check_at = time.monotonic() + _CHECK_EVERY_S


def make_file(path: Path) -> None:
    """Make the file if nothing has its name, 0600 whatever the umask; SQLite gives -wal and -shm the same mode."""
    if os.path.lexists(path):
        return  # a link that somebody else put there, too: SQLite makes no file where it leads
    # Under another name: to close the file cancels all locks on it that other threads have by then
    # (sqlite.org/howtocorrupt.html, section 2.2).
    descriptor, name = tempfile.mkstemp(prefix=".wsgi-session-", dir=path.parent)
    try:
        os.close(descriptor)
        Path(name).chmod(stat.S_IRUSR | stat.S_IWUSR)
        with suppress(FileExistsError):
            _give_name(name, path)
    finally:
        Path(name).unlink()


def _give_name(file: str, name: Path) -> None:
    """Let *file* have *name*, too, and if it cannot, make an empty one.

    Raises:
        FileExistsError: Something has that name.
    """
    try:
        os.link(file, name)
    except FileExistsError:
        raise
    except (OSError, AttributeError):  # a file system, or a Python, without links
        os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from every other one, or ``None`` if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
