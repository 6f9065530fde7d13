"""What weakens a SQLite file: who may read it, the file system it is on, and the room that is left there."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..report import Finding

__all__ = ["file_findings"]

_MOUNTS: Final = Path("/proc/mounts")
_NETWORK: Final = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs")

_LEAST_FREE_BYTES: Final = 64 * 1024**2


def file_findings(path: Path, journal_mode: str) -> Iterator[Finding]:
    """Yield what weakens the SQLite file at *path*, whose journal is in this mode."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding(
            level="error" if mode & 0o007 else "warning",
            subject="file mode",
            text=f"The file has mode {mode:04o}: other users of this machine may read or change sessions.",
            remedy=f"chmod 600 '{path}'*",
        )
    if (kind := _file_system_of(path)) in _NETWORK:
        yield Finding(
            level="error",
            subject="file system",
            text=f"The file is on {kind}, a network file system: its locks are unreliable, and the file gets damaged.",
            remedy="Move it to a local disk; for several machines use redis:// or postgresql://.",
        )
    if journal_mode != "wal":
        yield Finding(
            level="warning",
            subject="journal_mode",
            text=f"SQLite uses the journal {journal_mode}, not its write-ahead log: readers wait for writers.",
            remedy="Move the file to a local disk, and look whether its directory is writable.",
        )
    if (free := shutil.disk_usage(path.parent).free) < _LEAST_FREE_BYTES:
        yield Finding(
            level="warning",
            subject="free disk space",
            text=f"Only {free // 1024**2} MiB are free: on a full disk no session can be stored.",
            remedy="Make room, or move the file.",
        )


def _file_system_of(path: Path) -> str | None:
    """Return the kind of file system that *path* is on, where the system says so."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    places = {str(place) for place in (path.resolve(), *path.resolve().parents)}
    found = [fields for fields in map(str.split, mounts.splitlines()) if fields[1] in places]
    return max(found, key=lambda fields: len(fields[1]))[2] if found else None
