"""Flask-Session's records, as its serializer writes them, on a client that answers from a dict.

Real requests against a real server are in ``tests/servers/test_importers.py``.
"""

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from itsdangerous import Signer
from support.former import KEY, OLDER_KEY, PERIOD, PLAIN, Exploit

from wsgi_session.errors import StoreUnavailable
from wsgi_session.importers import FlaskSessionRecords

SID = "Zm9ybWVyLXNlc3Npb24taWQ_-0123456789abcdefghi"
NAME = f"session:{SID}"


class Records(dict[str, Any]):
    """The part of a Redis client that importers use; it fails as a driver would when it is told to."""

    is_down = False

    def get(self, name: str, /) -> Any:  # type: ignore[override]
        if self.is_down:
            raise ConnectionError(f"cannot GET {name}")
        return super().get(name)

    def delete(self, name: str, /) -> None:
        if self.is_down:
            raise ConnectionError(f"cannot DEL {name}")
        self.pop(name, None)


@pytest.mark.parametrize("encode", [msgspec.msgpack.encode, msgspec.json.encode], ids=["msgpack", "json"])
def test_values_come_back_and_the_record_goes(move: Any, encode: Any) -> None:
    """In either format, whichever the application was configured for."""
    records = Records({NAME: encode(PLAIN | {"_permanent": True}), "session:other": b"x"})
    moved = move(FlaskSessionRecords(client=records, **PERIOD))
    session = moved.manager.open(f"session={SID}")

    assert (dict(session), session.persistent) == (PLAIN, True)
    assert records == {"session:other": b"x"}


def test_msgpack_has_more_kinds_of_values(move: Any) -> None:
    values = {"bytes": b"\0\xff", "datetime": datetime(2026, 1, 31, 12, 0, 5, 250, tzinfo=UTC), "dict": {1: "one"}}
    moved = move(FlaskSessionRecords(client=Records({NAME: msgspec.msgpack.encode(values)}), **PERIOD))

    assert moved.read(f"session={SID}") == values


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_record_is_no_session(move: Any, tmp_path: Path, protocol: int) -> None:
    """Flask-Session 0.8 would run it, in whatever format it is configured. Here nobody does, and it stays in place."""
    opened = tmp_path / "opened"
    records = Records({NAME: pickle.dumps({"a": Exploit(opened)}, protocol)})
    moved = move(FlaskSessionRecords(client=records, **PERIOD))

    assert moved.read(f"session={SID}") == {}
    assert not opened.exists()
    assert moved.rejected == ["unreadable"]
    assert list(records) == [NAME]
    pickle.loads(records[NAME])
    assert opened.exists()  # so it was one


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(msgspec.msgpack.encode({1: 2}), id="a number as a key"),
        pytest.param(msgspec.msgpack.encode({"a": "x" * 65536}), id="too long"),
        pytest.param(json.dumps({"a": "x" * 65536}).encode(), id="too long, in JSON"),
        pytest.param("text", id="a client that decodes"),
        pytest.param(b"\x81\xa1a" + b"\x91" * 5000, id="too deep"),
    ],
)
def test_what_flask_session_never_wrote_is_no_session(move: Any, record: Any) -> None:
    moved = move(FlaskSessionRecords(client=Records({NAME: record}), **PERIOD))

    assert moved.read(f"session={SID}") == {}
    assert moved.rejected == ["unreadable"]


def test_only_ids_are_looked_up(move: Any) -> None:
    """Nothing that a browser sends reads another key of the server."""
    records = Records({f"session:{name}": b'{"a":1}' for name in ("", "short", "a" * 129, "a:b:c:d:e:f:g:h:i")})
    moved = move(FlaskSessionRecords(client=records, **PERIOD))

    for name in [*records, "../" * 9]:
        assert moved.read(f"session={name.removeprefix('session:')}") == {}
    assert moved.read(f"session={SID}") == {}
    assert set(moved.rejected) == {"signature", "unknown"}


@pytest.mark.parametrize("key", [KEY, OLDER_KEY])
def test_a_signed_id_needs_its_signature(move: Any, key: str) -> None:
    """``SESSION_USE_SIGNER``."""
    moved = move(FlaskSessionRecords(client=Records({NAME: b'{"a":1}'}), secret=[KEY, OLDER_KEY], **PERIOD))
    signed = Signer(key, salt="flask-session", key_derivation="hmac").sign(SID).decode()

    assert moved.read(f"session={SID}") == moved.read(f"session={signed}x") == moved.read("session=\xe9.a") == {}
    assert moved.read(f"session={signed}") == {"a": 1}


def test_a_server_that_does_not_answer_is_no_logout(move: Any) -> None:
    """It is a 503, and the error shows nobody's id."""
    records = Records({NAME: b'{"a":1}'})
    moved = move(FlaskSessionRecords(client=records, **PERIOD))
    records.is_down = True

    with pytest.raises(StoreUnavailable, match="failed to load: ConnectionError") as raised:
        moved.read(f"session={SID}")
    assert raised.value.__cause__ is raised.value.__context__ is None
    assert [(event.operation, event.error) for event in moved.events] == [("import: load", "ConnectionError")]
    records.is_down = False
    assert moved.read(f"session={SID}") == {"a": 1}


def test_a_record_that_cannot_be_deleted_is_refused_all_the_same(move: Any, monkeypatch: Any) -> None:
    """The marker stands in the store of the new sessions."""
    records = Records({NAME: b'{"a":1}'})
    monkeypatch.setattr(records, "delete", lambda name: 1 / 0)
    moved = move(FlaskSessionRecords(client=records, **PERIOD))

    assert moved.read(f"session={SID}") == {"a": 1}
    moved.clock.now += 60
    assert list(records) == [NAME]
    assert moved.read(f"session={SID}") == {}
    assert moved.rejected == ["used"]
    assert "import: delete" in [event.operation for event in moved.events if event.name == "store_error"]
