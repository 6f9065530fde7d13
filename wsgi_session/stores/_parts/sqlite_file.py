"""The file of a SQLite database: nobody but its owner reads it, and others may remove or replace it at any time."""

import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["BUSY_PAUSE_S", "WatchedFile", "make_file"]

BUSY_PAUSE_S: Final = 0.01
"""After how long a file is opened again: SQLite does not always wait for others that open it at the same moment."""

# How long a process may go on with a file that was removed. In seconds.
_CHECK_EVERY_S: Final = 1.0


class WatchedFile:
    """Tells when another file has the name of the one that is open, or none has.

    Args:
        path: The name of the file.
        is_made: Whether :meth:`make` makes it.
    """

    def __init__(self, path: Path, *, is_made: bool = True) -> None:
        self._path = path
        self._is_made = is_made
        self._identity: tuple[int, int] | None = None
        self._is_empty = True
        self.check_at = 0.0
        """When to look again, as ``time.monotonic``: to look each time would cost as much as a tenth of a read."""

    def make(self) -> None:
        """Make the file if it is missing, see :func:`make_file`."""
        if self._is_made:
            make_file(self._path)

    def check(self, leave: Callable[[], None]) -> None:
        """Look which file has the name now; call *leave* if it was another one the last time."""
        identity, is_empty = _look_at(self._path)
        # A new one may have the number of the one that was removed before it was made.
        is_new = self._identity != identity or (is_empty and not self._is_empty)
        if self._identity is not None and is_new:
            leave()
        self._identity, self._is_empty = identity, is_empty  # last: nobody shall take what is to be left
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


def _look_at(path: Path) -> tuple[tuple[int, int] | None, bool]:
    """Return what tells a file from every other one, or ``None`` if there is none, and whether it is empty."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # a name with NUL
        return None, True
    return (status.st_dev, status.st_ino), status.st_size == 0
