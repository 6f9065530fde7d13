"""Real stores that a test has break down at a chosen call, or refuse while it lasts."""

from dataclasses import dataclass, field
from typing import Any, Literal

from support.client import SpyStore
from wsgi_session import Record
from wsgi_session.stores import Store

When = Literal["before", "after"]


@dataclass
class FaultyStore:
    """A store whose *fails_at*-th call from now on raises; ``0`` never.

    ``when="after"`` is an answer that was lost on the way: the store did what was asked. With *is_down* every later
    call fails too.
    """

    real: Store
    fails_at: int = 0
    when: When = "before"
    is_down: bool = False
    calls: list[str] = field(default_factory=list)

    def fail(self, at: int, when: When = "before", *, is_down: bool = False) -> None:
        """Count the calls from here, and break down at the call number *at*."""
        self.calls.clear()
        self.fails_at, self.when, self.is_down = at, when, is_down

    def heal(self) -> None:
        """Break down no more."""
        self.fails_at = 0

    def load(self, key: str) -> Record | None:
        return self._call("load", key)

    def create(self, key: str, record: Record) -> bool:
        return self._call("create", key, record)

    def update(self, key: str, record: Record, *, version: object) -> bool:
        return self._call("update", key, record, version=version)

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        return self._call("touch", key, seen_at=seen_at, expires_at=expires_at)

    def delete(self, key: str, *, version: object = None) -> bool:
        return self._call("delete", key, version=version)

    def close(self) -> None:
        self.real.close()

    def live(self) -> list[str]:
        """Return the keys of what is alive in the store."""
        return [key for key, _ in self.real.scan()]  # type: ignore[attr-defined]  # every store here scans

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(method)
        number = len(self.calls)
        is_hit = self.fails_at > 0 and (number == self.fails_at or (self.is_down and number > self.fails_at))
        if is_hit and self.when == "before":
            raise ConnectionError("db.internal:5432 refused password=hunter2")
        answer = getattr(self.real, method)(*args, **kwargs)
        if is_hit:
            raise TimeoutError("db.internal:5432 did not answer, password=hunter2")
        return answer


class BusyStore(SpyStore):
    """A store in which other requests are always faster, while it is busy."""

    is_busy = False

    def update(self, key: str, record: Record, *, version: object) -> bool:
        return not self.is_busy and super().update(key, record, version=version)
