"""Beaker's sessions with ``session.data_serializer = json``: in files, or on Redis."""

import base64
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from .._common.options import checks_options
from ..errors import ConfigError
from .envelope import text_in_dict, text_in_envelope
from .importer import Former, Importer, Refusal
from .key_value import KeyValueClient
from .option import check_client, check_duration
from .payload import UNREADABLE, inflated, json_object
from .signature import FormerSecret, former_keys, has_beaker_signature

__all__ = ["BeakerFiles", "BeakerRecords"]

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SIGNATURE_LENGTH: Final = 40

_OWN: Final = frozenset({"_accessed_time", "_creation_time", "_domain", "_path"})
"""What Beaker keeps among the values, and the application never put there."""


@dataclass(frozen=True, kw_only=True, repr=False)
class _Beaker(Importer):
    """What both have in common: how an id is signed, and when a session ends."""

    secret: FormerSecret | None = None
    timeout: timedelta | None = None
    cookie_name: str = "beaker.session.id"
    _keys: tuple[bytes, ...] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        keys = () if self.secret is None else former_keys(f"{name}.secret", self.secret)
        object.__setattr__(self, "_keys", keys)
        if self.timeout is not None:
            check_duration(f"{name}.timeout", self.timeout)

    def identify(self, value: str) -> str | None:
        """Return the id of the session."""
        name = value
        if self._keys:
            name = value[_SIGNATURE_LENGTH:]
            if not has_beaker_signature(name, value[:_SIGNATURE_LENGTH], self._keys):
                return None
        return name if _ID.fullmatch(name) else None

    def read(self, text: bytes, now: float, max_bytes: int) -> Former | Refusal:
        """Return the session in *text*, what Beaker's JSON serializer made, in base64. Raises as ``json_object``."""
        values = json_object(inflated(base64.b64decode(text, validate=True), max_bytes))
        if self.timeout is not None and not now - _number(values.get("_accessed_time")) <= self.timeout.total_seconds():
            return "expired"
        return Former({key: value for key, value in values.items() if key not in _OWN})


@checks_options
@dataclass(frozen=True, kw_only=True, repr=False)
class BeakerFiles(_Beaker):
    """Carries over the sessions that Beaker kept in files, by its JSON serializer; a pickled one is none.

    Args:
        data_dir: Beaker's ``session.data_dir``.
        secret: Beaker's ``session.secret``; ``None`` if there was none, and the id alone names a session.
        timeout: Beaker's ``session.timeout``; ``None`` if there was none.
        switched_at: See :class:`Importer`.
        until: See :class:`Importer`.
        cookie_name: Beaker's ``session.key``.
        cookie_path: Beaker's ``session.cookie_path``.
        cookie_domain: Beaker's ``session.cookie_domain``.

    Raises:
        ConfigError: An option is missing or not allowed; the text names it.

    .. versionadded:: 1.0
    """

    data_dir: Path | str

    source: ClassVar[str] = "beaker file"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.data_dir, Path | str) or not Path(self.data_dir).is_dir():
            raise ConfigError(f"BeakerFiles.data_dir must be Beaker's directory, which exists; got {self.data_dir!r}.")

    def load(self, name: str, *, now: float, max_bytes: int) -> Former | Refusal:
        """Return the values in the file."""
        try:
            with self._path(name).open("rb") as file:
                envelope = file.read(2 * max_bytes)
        except FileNotFoundError:
            return "unknown"
        try:
            return self.read(text_in_dict(envelope), now, max_bytes)
        except UNREADABLE:
            return "unreadable"

    def delete(self, name: str) -> None:
        """Delete the file."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return Path(self.data_dir, "container_file", name[:1], name[:2], f"{name}.cache")


@checks_options
@dataclass(frozen=True, kw_only=True, repr=False)
class BeakerRecords(_Beaker):
    """Carries over the sessions that Beaker kept on Redis, by its JSON serializer; a pickled one is none.

    Args:
        client: Where they are, with a time-out of its own.
        secret: Beaker's ``session.secret``; ``None`` if there was none, and the id alone names a session.
        timeout: Beaker's ``session.timeout``; ``None`` if there was none.
        switched_at: See :class:`Importer`.
        until: See :class:`Importer`.
        cookie_name: Beaker's ``session.key``.
        cookie_path: Beaker's ``session.cookie_path``.
        cookie_domain: Beaker's ``session.cookie_domain``.

    Raises:
        ConfigError: An option is missing or not allowed; the text names it.

    .. versionadded:: 1.0
    """

    client: KeyValueClient

    source: ClassVar[str] = "beaker record"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_client("BeakerRecords.client", self.client)

    def load(self, name: str, *, now: float, max_bytes: int) -> Former | Refusal:
        """Return the values of the record."""
        envelope = self.client.get(_key(name))
        if envelope is None:
            return "unknown"
        try:
            return self.read(text_in_envelope(envelope), now, max_bytes)
        except UNREADABLE:
            return "unreadable"

    def delete(self, name: str) -> None:
        """Delete the record."""
        self.client.delete(_key(name))


def _key(name: str) -> str:
    return f"beaker_cache:{name}:session"


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else 0.0
