"""What a test asks and decides of the files of its own process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def open_files() -> set[tuple[int, int]]:
    """Return device and inode of every file that this process has open."""
    found = set()
    for descriptor in range(1024):
        try:
            status = os.fstat(descriptor)
        except OSError:
            continue
        found.add((status.st_dev, status.st_ino))
    return found


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
