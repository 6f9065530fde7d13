"""What the options of importers may be."""

from datetime import datetime, timedelta

from ..errors import ConfigError
from .key_value import KeyValueClient

__all__ = ["check_client", "check_duration", "check_moment"]


def check_moment(option: str, moment: object) -> None:
    """Raise ``ConfigError`` unless *moment* is a ``datetime`` with a time zone."""
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise ConfigError(
            f"{option} must be a datetime with a time zone, such as datetime(2027, 1, 31, tzinfo=UTC); got {moment!r}."
        )


def check_duration(option: str, duration: object) -> None:
    """Raise ``ConfigError`` unless *duration* is a positive ``timedelta``."""
    if not isinstance(duration, timedelta) or duration <= timedelta(0):
        raise ConfigError(f"{option} must be a positive datetime.timedelta; got {duration!r}.")


def check_client(option: str, client: KeyValueClient) -> None:
    """Raise ``ConfigError`` unless *client* has the methods of a key-value server's client, and returns bytes."""
    if isinstance(client, type) or not all(callable(getattr(client, verb, None)) for verb in ("get", "delete")):
        # Never its repr: a URL that stands here by mistake may have a password.
        raise ConfigError(f"{option} must be a client such as redis.Redis(...), got a {type(client).__name__}.")
    pool = getattr(client, "connection_pool", None)
    if getattr(pool, "connection_kwargs", {}).get("decode_responses"):
        raise ConfigError(f"{option} must be a client without decode_responses=True: records are bytes, not text.")
