"""Whether this process may use a SQLite file, and if not, who owns it and what to do."""

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["denied", "is_allowed"]

_REMEDY = "Give it to that user (chown)"


def denied(file: Path) -> str | None:
    """Return why this process may not use *file* or SQLite's files beside it, with the remedy, or ``None``."""
    for directory in reversed(file.absolute().parents):
        if os.path.isdir(directory) and not is_allowed(directory, os.X_OK):  # noqa: PTH112  may be denied itself
            return f"the directory {_whose(directory)} may not search it. {_REMEDY}, or allow it (chmod)."
    for each in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
        if os.path.exists(each) and not is_allowed(each, os.R_OK | os.W_OK):  # noqa: PTH110  likewise
            return (
                f"the file {_whose(each)} may not read and write it. {_REMEDY}, with its -wal and -shm files, or start "
                "whatever made it, such as a sweep from cron, as that user."
            )
    return None


def is_allowed(path: Path, mode: int) -> bool:
    """Return whether the process may use *path* in this *mode*: by its effective user, if the system supports that."""
    return (
        os.access(path, mode, effective_ids=True) if os.access in os.supports_effective_ids else os.access(path, mode)
    )


def _whose(path: Path) -> str:
    return f"{str(path)!r} belongs to {_owner(path)}, and this process, which runs as {_user()},"


def _owner(path: Path) -> str:
    try:
        return f"the user {path.owner()!r}"
    except (KeyError, NotImplementedError, OSError):  # a uid without a name, Windows, or a file that is gone
        return "another user"


def _user() -> str:
    if not hasattr(os, "geteuid"):  # on Windows
        return "another user"
    import pwd

    with suppress(KeyError):
        return f"uid {os.geteuid()} ({pwd.getpwuid(os.geteuid()).pw_name!r})"
    return f"uid {os.geteuid()}"
