"""The file of a SQLite database: only its owner can read it, and it may be removed or replaced at any time."""

import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

__all__ = ["BUSY_PAUSE_S", "WatchedFile", "existing_uri", "make_file"]

BUSY_PAUSE_S: Final = 0.01
"""The pause before we open a file again: SQLite does not always wait for others that open it at the same moment."""

# How long a process may go on using a removed file. In seconds.
_CHECK_EVERY_S: Final = 1.0


class WatchedFile:
    """Notices when the open file was removed, or another file has its name.

    Args:
        path: The name of the file.
        is_made: Whether :meth:`make` creates it.
    """

    def __init__(self, path: Path, *, is_made: bool = True) -> None:
        self._path = path
        self._is_made = is_made
        self._identity: tuple[int, int] | None = None
        self._is_empty = True
        self.check_at = 0.0
        """When to look again, by ``time.monotonic``: looking each time would cost a tenth of a read."""

    def make(self) -> None:
        """Create the file if it is missing, see :func:`make_file`."""
        if self._is_made:
            make_file(self._path)

    def check(self, leave: Callable[[], None]) -> None:
        """Look which file has the name now; call *leave* if it was a different one last time."""
        identity, is_empty = _look_at(self._path)
        # A new file may have the inode number of a removed one.
        is_new = self._identity != identity or (is_empty and not self._is_empty)
        if self._identity is not None and is_new:
            leave()
        self._identity, self._is_empty = identity, is_empty  # last: no thread may take a connection to the old file
        self.check_at = time.monotonic() + _CHECK_EVERY_S


def make_file(path: Path) -> None:
    """Create the file if nothing has its name, 0600 whatever the umask; SQLite gives -wal and -shm the same mode."""
    if os.path.lexists(path):
        return  # also a link that somebody else put there: SQLite creates no file at its target
    # Under another name: closing the file would cancel all locks that other threads already have on it
    # (sqlite.org/howtocorrupt.html, section 2.2).
    descriptor, name = tempfile.mkstemp(prefix=".wsgi-session-", dir=path.parent)
    try:
        os.close(descriptor)
        Path(name).chmod(stat.S_IRUSR | stat.S_IWUSR)
        with suppress(FileExistsError):
            _give_name(name, path)
    finally:
        Path(name).unlink()


def existing_uri(path: Path) -> str:
    """Return a URI with which SQLite opens *path* only if it exists: SQLite creates files that everybody can read."""
    name = quote(os.fsencode(path))
    # With an empty host: else SQLite takes the first directory of "//tmp/file" for one.
    return f"file:{'//' if name.startswith('/') else ''}{name}?mode=rw"


def _give_name(file: str, name: Path) -> None:
    """Link *file* to *name*, or if that is impossible, create an empty file there.

    Raises:
        FileExistsError: The name is taken.
    """
    try:
        os.link(file, name)
    except FileExistsError:
        raise
    except (OSError, AttributeError):  # a file system, or a Python, without links
        os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _look_at(path: Path) -> tuple[tuple[int, int] | None, bool]:
    """Return what identifies the file, or ``None`` if there is none, and whether it is empty."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # a name with NUL
        return None, True
    return (status.st_dev, status.st_ino), status.st_size == 0
