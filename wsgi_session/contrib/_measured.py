"""What both kinds of metrics have in common: which texts may become labels, and when calls are slow."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from .._common.dispatcher import logger
from ..errors import ConfigError, NotSupported, StoreUnavailable
from ..events import Event
from ..stores import SupportsScan

__all__ = ["BUCKETS_S", "LiveSessions", "details_of", "reason_of"]

BUCKETS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""From a store in memory to a server that does not answer in time, in seconds."""


def details_of(event: Event) -> Mapping[str, Any]:
    """Return what *event* has in the fields of its own kind."""
    return {name: getattr(event, name) for name in type(event).__slots__}


def reason_of(kind: type[Event], details: Mapping[str, Any]) -> str:
    """Return why an event of *kind* with these *details* happened, if there is a fixed set of reasons; or nothing."""
    name, reasons = _reasons.get(kind) or _reasons.setdefault(kind, _reasons_of(kind))
    if not name:
        return ""
    reason: str = details.get(name, "")
    return reason if reason in reasons else ""


_reasons: Final[dict[type[Event], tuple[str, frozenset[str]]]] = {}


def _reasons_of(kind: type[Event]) -> tuple[str, frozenset[str]]:
    """Return the field that says why, and what it may say. Any other text could be an id or a key: it is no label."""
    for name, hint in get_type_hints(kind).items():
        if name in ("reason", "limit"):
            literals = [each for each in (hint, *get_args(hint)) if get_origin(each) is Literal]
            return name, frozenset(text for literal in literals for text in get_args(literal))
    return "", frozenset()


class LiveSessions:
    """Counts the live sessions of every store that a manager has."""

    def __init__(self, is_wanted: bool) -> None:
        if not isinstance(is_wanted, bool):
            raise ConfigError(f"live_sessions must be True or False, got {is_wanted!r}.")
        self.is_wanted = is_wanted
        self._stores: list[SupportsScan] = []

    def watch(self, store: object) -> None:
        """Count the sessions of *store*, too. Raises ``ConfigError`` if it cannot count them."""
        if not self.is_wanted or any(store is known for known in self._stores):
            return
        if not isinstance(store, SupportsScan):
            raise ConfigError(f"live_sessions=True needs a store that counts: {type(store).__name__} cannot.")
        self._stores.append(store)

    def count(self) -> float:
        """Return how many there are, or not-a-number if a store does not answer."""
        try:
            return sum(store.count() for store in self._stores)
        except (StoreUnavailable, NotSupported) as error:
            logger.warning("The live sessions cannot be counted: %s", error)
            return float("nan")
