"""The main job, in one breath."""

from pathlib import Path

import pytest
from support.client import client_of, views_app

from wsgi_session.stores import MemoryStore, SQLiteStore


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_session_lives_rotates_and_ends(kind: str, tmp_path: Path) -> None:
    """What one request stores the next one reads, through a rotation, until the session is destroyed."""
    store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "sessions.sqlite3")
    app = views_app(
        count=lambda session: session.increment("hits"), login=lambda session: session.rotate(),
        cart=lambda session: session.setdefault("cart", []).append("tea"), show=lambda session: dict(session),
        logout=lambda session: session.destroy(),
    )  # fmt: skip
    client = client_of(app, store)

    first = client.get("/count")
    before = dict(client.jar)
    client.get("/login")
    client.get("/cart")

    assert first.body == b"1"
    assert client.get("/count").body == b"2"
    assert client.jar != before
    assert client.get("/show").body == b"{'hits': 2, 'cart': ['tea']}"
    client.get("/logout")
    assert client.jar == {}
    assert client.get("/count").body == b"1"
    store.close()
