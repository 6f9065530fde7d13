"""What is measured of each library: one application, and what it does with its session."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIApplication

UNUSED = ("untouched", "anonymous")
ACTIONS = (*UNUSED, "read", "read_list", "write", "create", "rotate", "destroy")

Action = Callable[[Any], object]


class Actions:
    """What the application does with its session, in the words that most libraries share.

    An application calls the method ``read`` for the path ``/read``, and nothing for ``/untouched``.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data
        self._numbers = itertools.count(2)  # another number than a new session has
        self.visits: int | None = None
        self.meanwhile: Callable[[], object] = lambda: None
        """What happens while the request ``late`` is running."""

    def by_path(self) -> dict[str, Action | None]:
        return {f"/{name}": getattr(self, name, None) for name in (*ACTIONS, "count", "late", "tell")}

    def anonymous(self, session: Any) -> None:
        session.get("name")

    def read(self, session: Any) -> None:
        session["name"]

    def read_list(self, session: Any) -> None:
        session["cart"]  # whoever has it could change it

    def write(self, session: Any) -> None:
        session["visits"] = next(self._numbers)

    def create(self, session: Any) -> None:
        session.update(self._data)

    def count(self, session: Any) -> None:
        session["visits"] = session["visits"] + 1

    def late(self, session: Any) -> None:
        self.read(session)
        self.meanwhile()
        self.write(session)

    def tell(self, session: Any) -> None:
        self.visits = session.get("visits")

    def rotate(self, session: Any) -> None:
        session.rotate()

    def destroy(self, session: Any) -> None:
        session.destroy()


@dataclass
class Peer:
    """One library on one store."""

    name: str
    app: WSGIApplication
    bare: WSGIApplication
    """The same application without sessions."""
    actions: Actions
    is_stored: bool = True
    """Whether the session is in the store, and not in its cookie, where nobody can rotate or destroy it."""
    close: Callable[[], object] = lambda: None

    def can(self, action: str) -> bool:
        return self.is_stored or action not in ("rotate", "destroy")
