"""What options are written in: durations such as 12h, and sizes such as 16k."""

import re
from datetime import timedelta
from typing import Final

import click

__all__ = ["duration", "size"]

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES: Final = {"": 1, "k": 1024, "m": 1024**2}


def duration(text: str) -> timedelta:
    """Return a whole number with its unit as a ``timedelta``.

    Raises:
        click.BadParameter: It is none.
    """
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a duration, such as 90s, 30m, 12h, 7d or 4w.")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def size(text: str) -> int:
    """Return a number of bytes, KiB or MiB as bytes.

    Raises:
        click.BadParameter: It is none.
    """
    found = re.fullmatch(r"([0-9]{1,9})([km]?)", text.lower())
    if found is None:
        raise click.BadParameter(f"{text!r} is not a size, such as 800, 16k or 1m.")
    return int(found[1]) * _BYTES[found[2]]
