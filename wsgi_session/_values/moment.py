"""A ``datetime`` or a ``time`` as JSON and back, with what equality ignores: ``fold``, and the zone itself.

ISO text if that says all of it, else an object::

    "2026-10-25T02:30:00+01:00"
    {"text": "2026-10-25T02:30:00", "fold": 1, "zone": "Europe/Berlin"}
    {"text": "2026-10-25T02:30:00+01:00", "name": "CET"}
"""

from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Any, TypeVar

__all__ = ["moment_from_json", "moment_to_json"]

Moment = TypeVar("Moment", datetime, time)


def moment_to_json(value: datetime | time) -> str | dict[str, Any]:
    """Return *value* as JSON. Raises ``ValueError`` with the reason if it would not read back as it is."""
    zone = value.tzinfo
    extra: dict[str, Any] = {"fold": 1} if value.fold else {}
    if type(zone) is timezone:
        extra |= _named(zone)
    elif zone is not None:
        extra["zone"] = _key_of(zone)
        if isinstance(value, time) and value.utcoffset() is None:
            raise ValueError("is a time in a zone whose offset depends on the date; store a datetime")
        value = value.replace(tzinfo=None)
    # By the type's own method: a test's stand-in for it may have another.
    text = datetime.isoformat(value) if isinstance(value, datetime) else time.isoformat(value)
    return {"text": text, **extra} if extra else text


def moment_from_json(kind: type[Moment], content: Any) -> Moment:
    """Return what :func:`moment_to_json` was given. Raises ``ValueError`` and others for what it never wrote."""
    if not isinstance(content, dict):
        return kind.fromisoformat(content)
    value = kind.fromisoformat(content["text"])
    if "zone" in content:
        from zoneinfo import ZoneInfo

        value = value.replace(tzinfo=ZoneInfo(content["zone"]))
    elif "name" in content:
        value = value.replace(tzinfo=timezone(value.utcoffset() or timedelta(), content["name"]))
    value = value.replace(fold=content.get("fold", 0))
    if moment_to_json(value) != content:
        raise ValueError("a moment that is never written")
    return value


def _named(zone: timezone) -> dict[str, str]:
    # The arguments of ``timezone`` are all of its state; equality compares the offset only.
    offset, *names = zone.__getinitargs__()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    if offset and abs(offset) < timedelta(seconds=1):
        raise ValueError("is less than a second off UTC, which Python reads back as UTC")
    for name in names:
        if type(name) is not str or name.encode(errors="replace").decode() != name:
            raise ValueError("is in a time zone with a name that cannot be carried; store value.astimezone(UTC)")
        return {"name": name}
    return {}


def _key_of(zone: tzinfo) -> str:
    from zoneinfo import ZoneInfo  # imported only once somebody has one

    if type(zone) is not ZoneInfo:
        kind = f"{type(zone).__module__}.{type(zone).__qualname__}"
        raise ValueError(
            f"is in a time zone of the class {kind}, which would read back as another one; "
            "take the zone from zoneinfo.ZoneInfo, or store value.astimezone(datetime.UTC)"
        )
    try:
        key = zone.__reduce__()[1][0]  # only a zone that its key leads back to can be copied
    except Exception:  # noqa: BLE001  an error of the copying module's own
        raise ValueError("is in a time zone that was read from a file; store value.astimezone(datetime.UTC)") from None
    return str(key)
