"""An audit log: one line of JSON for each event, in a file that several processes share, or through a logger.

How several processes share the file: each line is one ``write`` at the end of the file (``O_APPEND``), so that lines
never mix. We open the file for each line, so nothing is inherited by a fork, and a rotation by another process or by
logrotate needs no signal. Who finds the file full locks it, looks whether it is still the one under that name, and
renames it last of all; who finds it locked just writes.
"""

import errno
import logging
import os
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Final

from .. import events as _events
from .._common.audit_line import AuditLine, as_line, read_lines, rotated
from .._common.options import checks_options
from ..errors import ConfigError
from ..events import Event
from ..importers import ImportRejected, SessionImported

__all__ = ["AuditLine", "AuditLog", "read_lines"]

AuditLine.__module__ = read_lines.__module__ = __name__

logger = logging.getLogger("wsgi_session")

ROUTINE: Final = frozenset({"loaded", "touched", "saved", "renewed"})
"""What happens in most requests."""

_KINDS: Final = [getattr(_events, name) for name in _events.__all__]
KNOWN: Final = frozenset(
    kind.name
    for kind in (*_KINDS, ImportRejected, SessionImported)
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
)


@checks_options
class AuditLog:
    """Writes one line of JSON for each event; pass it as ``on_event``, alone or in a list.

    A line never has a token or a value of a session. Its ``id`` is the session's public handle.

    Args:
        target: The path of the file, which only this user may read (mode 0600) if we make it; or a
            :class:`logging.Logger`, which gets each line at the event's level, at least INFO.
        max_bytes: From which size on the file is rotated, to ``path.1``, ``path.2`` and so on; ``None`` leaves that
            to logrotate. Any number of processes of one machine may write and rotate the same file. On Windows
            nothing is rotated.
        backups: How many former files are kept.
        events: The names of the events to write. Default: all but ``loaded``, ``touched``, ``saved`` and ``renewed``.
        with_users: Whether lines say who logged in: ``user_id`` is personal data. Without it they still have ``id``,
            the handle of the session.

    Raises:
        ConfigError: An option is not allowed, or the file cannot be opened; the text names the remedy.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        target: str | Path | logging.Logger,
        *,
        max_bytes: int | None = 10 * 1024 * 1024,
        backups: int = 5,
        events: Collection[str] | None = None,
        with_users: bool = True,
    ) -> None:
        if not isinstance(target, str | Path | logging.Logger):
            raise ConfigError(f"target must be the path of a file or a logging.Logger; got {target!r}.")
        if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 1):
            raise ConfigError(f"max_bytes must be a positive int, or None for no rotation; got {max_bytes!r}.")
        if type(backups) is not int or backups < 1:
            raise ConfigError(f"backups must be a positive int; got {backups!r}.")
        if not isinstance(with_users, bool):
            raise ConfigError(f"with_users must be True or False, got {with_users!r}.")
        self._names = None if events is None else _checked_names(events)
        self._with_users = with_users
        self._target = target if isinstance(target, logging.Logger) else _SharedFile(Path(target), max_bytes, backups)

    def __repr__(self) -> str:
        return f"<AuditLog to {self._target!r}>"

    def __call__(self, event: Event) -> None:
        """Write *event*. If the file cannot be written, we log that once and the request goes on."""
        if event.name in ROUTINE if self._names is None else event.name not in self._names:
            return
        line = as_line(event, with_users=self._with_users)
        if isinstance(self._target, logging.Logger):
            self._target.log(max(event.level, logging.INFO), "%s", line)
        else:
            self._target.append(line)


class _SharedFile:
    """A file to which any number of processes append lines, and which they rotate."""

    def __init__(self, path: Path, max_bytes: int | None, backups: int) -> None:
        self._path = path.absolute()  # the program may change its directory
        self._max_bytes = max_bytes
        self._backups = backups
        self._lost = 0
        """How many lines were lost since the last one that was written."""
        try:
            self._open().close()
        except OSError as error:
            raise ConfigError(
                f"the audit file {str(self._path)!r} cannot be written: {error.strerror}. Make its directory, and let "
                "the user that this process runs as write there."
            ) from None

    def __repr__(self) -> str:
        return repr(str(self._path))

    def append(self, line: str) -> None:
        # After a line that may be cut, an empty one does no harm.
        text = f"\n{line}\n" if self._lost else f"{line}\n"
        try:
            self._write(text.encode(errors="backslashreplace"))
        except OSError as error:
            self._lost += 1
            if self._lost == 1:
                logger.error("The audit file %r cannot be written, so events are lost: %s", self, error.strerror)
        else:
            if self._lost:
                lost, self._lost = self._lost, 0
                logger.warning("The audit file %r can be written again; %d events were lost.", self, lost)

    def _open(self) -> IO[bytes]:
        # Unbuffered: one write a line. The file is opened for each line, see the top of this module.
        return open(self._path, "ab", buffering=0, opener=partial(os.open, mode=0o600))

    def _write(self, line: bytes) -> None:
        with self._open() as file:
            is_full = self._max_bytes is not None and os.fstat(file.fileno()).st_size >= self._max_bytes
            if not (is_full and self._rotate(file)):
                _write_whole(file, line)
                return
        with self._open() as file:
            _write_whole(file, line)

    def _rotate(self, file: IO[bytes]) -> bool:
        """Rename *file* and the former ones, unless another process does; return whether that was done."""
        try:
            import fcntl
        except ImportError:
            return False  # Windows renames no file that somebody has open
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed
            if not os.path.samestat(os.fstat(file.fileno()), self._path.stat()):
                return True  # another process was faster
            for number in range(self._backups - 1, 0, -1):
                with suppress(FileNotFoundError):
                    rotated(self._path, number).replace(rotated(self._path, number + 1))
            self._path.replace(rotated(self._path, 1))
        except OSError:
            return False  # locked by another process, or no right to rename: the line is worth more than the size
        return True


def _write_whole(file: IO[bytes], line: bytes) -> None:
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _checked_names(events: Collection[str]) -> frozenset[str]:
    if isinstance(events, str) or not isinstance(events, Collection) or not events:
        raise ConfigError(f"events must be a list of names, such as ['logged_in', 'revoked']; got {events!r}.")
    if unknown := sorted(set(map(str, events)) - KNOWN):
        raise ConfigError(f"no event has the name {', '.join(unknown)}. There are {', '.join(sorted(KNOWN))}.")
    return frozenset(events)
