"""Times and ids in words."""

__all__ = ["duration", "short"]


def short(session_id: str) -> str:
    """Return the beginning of a public handle."""
    return f"{session_id[:10]}…"


def duration(seconds: float) -> str:
    """Return *seconds* in the two largest units."""
    rest = max(round(seconds), 0)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
