"""Records of the former format are read, and written in today's; those of a newer one log nobody out."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.client import SECRET
from support.forge import STORES, open_store
from support.managed import Managed, cookie_of, managed
from support.whole import WholeSession

from wsgi_session import Event, JSONCodec, Record, Session, SessionManager, StoreFailed
from wsgi_session._values.frame import join_frame
from wsgi_session._values.frame_codec import FrameCodec
from wsgi_session._values.limits import MAX_DATA_BYTES
from wsgi_session.errors import ConfigError, SessionTooLarge, StoreUnavailable
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock

HELD = {"user": "ada", "since": datetime(2026, 1, 31, tzinfo=UTC), "sizes": {38, 40}, "cart": [{"n": 1}]}
# What the former release wrote for HELD, which no release will write again.
FORMER = b'{"user":"ada","since":{"$datetime":"2026-01-31T00:00:00+00:00"},"sizes":{"$set":[38,40]},"cart":[{"n":1}]}'


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Site:
    """A manager on a store, and the session in it."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.events: list[Event] = []
        self.manager = SessionManager(store, secret=SECRET, clock=clock, on_event=self.events.append)

    def do(self, *steps: Callable[[Session], Any], cookie: str = "") -> str:
        """Take *steps* in one request, and return the cookie that its browser has then."""
        session = self.manager.open(cookie)
        for step in steps:
            step(session)
        outcome = self.manager.commit(session, status=200)
        return cookie if outcome.set_cookie is None else cookie_of(outcome)

    def record(self) -> tuple[str, Record]:
        (found,) = self.store.scan()  # type: ignore[attr-defined]
        return found


@pytest.fixture(params=STORES)
def site(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Site]:
    with open_store(request.param, tmp_path, clock) as store:
        yield Site(store, clock)


def plant(site: Site, data: bytes, **fields: Any) -> str:
    """Put a record with *data* in the place of a new session's; return the cookie."""
    cookie = site.do(lambda session: session.update(user="ada"))
    key, record = site.record()
    site.store.delete(key)
    assert site.store.create(key, replace(record, data=data, **fields))
    return cookie


def test_a_record_of_the_former_format_is_read_and_stays_as_it_is(site: Site) -> None:
    """A request that only reads, and one that moves the limit, write no data."""
    cookie = plant(site, FORMER, format=1)
    site.clock.advance(timedelta(minutes=10))

    site.do(lambda session: session["user"], cookie=cookie)
    site.do(cart_of, cookie=cookie)

    _, record = site.record()
    assert (record.data, record.format, record.seen_at) == (FORMER, 1, site.clock())
    assert dict(site.manager.open(cookie)) == HELD


def cart_of(session: Session) -> Any:
    """Hand the list out: it is compared with what was stored."""
    return session["cart"]


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        pytest.param(lambda session: session.set("user", "bob"), {"user": "bob"}, id="set"),
        pytest.param(lambda session: session["cart"].append(2), {"cart": [{"n": 1}, 2]}, id="nested"),
        pytest.param(lambda session: session.rotate(), {}, id="rotate"),
    ],
)
def test_the_next_write_is_in_todays_format(site: Site, change: Callable[[Session], Any], changed: Any) -> None:
    """All values of it, not only the one that changed."""
    cookie = plant(site, FORMER, format=1)

    cookie = site.do(change, cookie=cookie)

    _, record = site.record()
    assert (record.data, record.format) == (WholeSession().encode(HELD | changed), 2)
    assert dict(site.manager.open(cookie)) == HELD | changed


def test_a_request_on_each_format_at_once_loses_nothing(site: Site) -> None:
    """This release's request meets what the former one stored meanwhile, and what is equal is no conflict."""
    cookie = plant(site, FORMER, format=1)
    session = site.manager.open(cookie)
    session["mine"] = 1
    key, record = site.record()
    theirs = FORMER[:-1] + b',"theirs":2}'
    assert site.store.update(key, replace(record, data=theirs, format=1), version=record.version)

    site.manager.commit(session, status=200)

    assert dict(site.manager.open(cookie)) == HELD | {"mine": 1, "theirs": 2}
    assert "overwritten" not in [event.name for event in site.events]


def test_a_summary_shows_the_former_format(site: Site) -> None:
    """Operators see every session during a deploy."""
    plant(site, FORMER, format=1)

    (summary,) = site.manager.handle()

    assert summary.data == HELD


def test_an_own_codec_reads_what_jsoncodec_wrote() -> None:
    """It encodes each value at once, so that equal values have equal bytes from then on."""

    class Turned(JSONCodec):
        __slots__ = ()

        def encode(self, value: Any, /) -> bytes:
            return super().encode(value)[::-1]

        def decode(self, payload: bytes, /) -> Any:
            return super().decode(payload[::-1])

    site = managed(codec=Turned())
    cookie = site.begin()
    record = site.records()[site.key_of(cookie)]
    site.plant(site.key_of(cookie), replace(record, data=FORMER, format=1))

    assert site.read(cookie) == HELD
    site.do(cookie, lambda session: session.set("user", "bob"))
    codec = FrameCodec(Turned())
    assert site.records()[site.key_of(cookie)].data == codec.join(
        {key: codec.encode(key, value) for key, value in (HELD | {"user": "bob"}).items()}
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(FORMER[:-1], id="cut off"),
        pytest.param(b'{"a":{"$no such type":1}}', id="a type that was never written"),
        pytest.param(json.dumps({"a": "x" * 64 * 1024}).encode(), id="more than 64 KiB"),
        pytest.param(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", id="too deep"),
        pytest.param(b"[1]", id="no object"),
    ],
)
def test_a_damaged_record_of_the_former_format_is_no_session(site: Site, data: bytes) -> None:
    """As before: it stays in place, with an event."""
    cookie = plant(site, data, format=1)
    site.events.clear()

    assert dict(site.manager.open(cookie)) == {}
    assert [event.name for event in site.events] == ["rejected"]
    assert site.record()[1].data == data


@pytest.fixture
def newer() -> tuple[Managed, str]:
    """A site with a session that a newer release stored."""
    site = managed()
    cookie = site.begin(user="ada")
    key = site.key_of(cookie)
    site.plant(key, replace(site.records()[key], data=b"\xc1 a format to come", format=3))
    site.events.clear()
    return site, cookie


def test_a_newer_format_is_no_logout(newer: tuple[Managed, str]) -> None:
    """A 503 while the upgrade is not finished: nothing is stored, deleted or told to the browser."""
    site, cookie = newer
    before = site.records()
    session = site.open(cookie)

    with pytest.raises(StoreUnavailable, match=r"a newer release, in format 3; this one knows up to 2\. Finish"):
        session.get("user")
    assert site.commit(session, 500).set_cookie is None
    assert site.records() == before
    assert [(event.name, event.operation) for event in site.events if isinstance(event, StoreFailed)] == [
        ("store_error", "load")
    ]


def test_a_newer_format_has_an_empty_summary_and_can_be_revoked(newer: tuple[Managed, str]) -> None:
    """An operator can end it."""
    site, cookie = newer
    handle = site.manager.handle()

    assert [summary.data for summary in handle] == [{}]
    assert handle.revoke(site.key_of(cookie))


def test_a_change_that_meets_a_newer_format_is_not_dropped_in_silence() -> None:
    """The other release stored while this request ran: it fails, since it cannot merge."""
    site = managed()
    cookie = site.begin(user="ada")
    key = site.key_of(cookie)
    session = site.open(cookie)
    session["mine"] = 1
    record = site.records()[key]
    newer = replace(record, data=b"\xc1 a format to come", format=3)
    assert site.spy.real.update(key, newer, version=record.version)

    with pytest.raises(StoreUnavailable, match="newer release"):
        site.commit(session)
    assert site.records()[key].data == newer.data


# --- max_bytes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_bytes", [0, -1, MAX_DATA_BYTES + 1, True, 1024.0, "64"])
def test_max_bytes_that_no_record_can_have_is_refused(max_bytes: Any) -> None:
    """At start-up, with what is allowed."""
    with pytest.raises(ConfigError, match=r"^max_bytes must be an int from 1 to 1048576 \(1 MiB\)"):
        managed(max_bytes=max_bytes)


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("max_bytes", [None, 100, MAX_DATA_BYTES], ids=["64 KiB", "100 bytes", "1 MiB"])
def test_the_last_byte_fits(max_bytes: int | None, kind: str, tmp_path: Path, clock: FakeClock) -> None:
    """One more is refused, naming the largest value, with nothing stored; a store keeps as much as is allowed."""
    limit = max_bytes or 64 * 1024

    longest = max(length for length in range(limit - 30, limit - 10) if frame_bytes(length) <= limit)
    with open_store(kind, tmp_path, clock) as store:
        manager = SessionManager(store, secret=SECRET, clock=clock, max_bytes=max_bytes)
        session = manager.open("")
        session.update(a=1, big="x" * (longest + 1))
        with pytest.raises(
            SessionTooLarge, match=rf"at most {limit} are allowed; the largest value is session\['big'\]"
        ):
            manager.commit(session, status=200)
        assert store.count() == 0

        session["big"] = "x" * longest
        cookie = cookie_of(manager.commit(session, status=200))

        ((_, record),) = store.scan()
        assert len(record.data) == limit
        assert manager.open(cookie)["big"] == "x" * longest


def frame_bytes(length: int) -> int:
    """Return the size of a session with a text of that *length*."""
    return len(join_frame({"a": b"1", "big": JSONCodec().encode("x" * length)}))


SHRINKING: dict[str, Callable[[Session], Any]] = {
    "remove": lambda session: session.remove("big"),
    "logout": lambda session: session.pop("uid"),
    "shorten": lambda session: session.set("big", "x" * 100),
}


@pytest.mark.parametrize("is_merged", [False, True], ids=["at once", "merged"])
@pytest.mark.parametrize("shrink", SHRINKING.values(), ids=SHRINKING)
def test_a_session_from_before_a_lower_max_bytes_may_shrink(
    shrink: Callable[[Session], Any], *, is_merged: bool
) -> None:
    """It can be read and logged out of; but it does not grow."""
    site = managed(max_bytes=50, user_key="uid")
    larger = SessionManager(site.spy, secret=SECRET, clock=site.clock, user_key="uid")
    session = larger.open("")
    session.update(uid="ada", n=1, big="x" * 200)
    cookie = cookie_of(larger.commit(session, status=200))

    session = site.open(cookie)
    shrink(session)
    expected = dict(session)
    if is_merged:
        other = larger.open(cookie)
        other["n"] = 22
        larger.commit(other, status=200)
        expected["n"] = 22
    outcome = site.commit(session)

    cookie = cookie_of(outcome) if outcome.set_cookie else cookie
    assert site.read(cookie) == expected


@pytest.mark.parametrize("n", [2, 22], ids=["as large", "larger"])
def test_a_session_from_before_a_lower_max_bytes_does_not_grow(n: int) -> None:
    """A change that leaves it as large is refused, too."""
    site = managed(max_bytes=50)
    larger = SessionManager(site.spy, secret=SECRET, clock=site.clock)
    session = larger.open("")
    session.update(n=1, big="x" * 200)
    session = site.open(cookie_of(larger.commit(session, status=200)))
    session["n"] = n

    with pytest.raises(SessionTooLarge, match="at most 50 are allowed"):
        site.commit(session)


def test_after_a_value_that_could_not_be_read_nothing_is_changed() -> None:
    """Half a session must not look whole, and what is based on it must not be stored; a logout is still one."""
    site = managed()
    cookie = site.begin(broken=1, sound=2)
    key = site.key_of(cookie)
    record = site.records()[key]
    planted = replace(record, data=join_frame({"broken": b"\xff", "sound": b"2"}))
    site.spy.update(key, planted, version=record.version)
    session = site.open(cookie)
    with pytest.raises(StoreUnavailable, match="damaged"):
        session.get("broken")

    assert session["sound"] == 2
    with pytest.raises(StoreUnavailable, match="could not be read earlier in this request"):
        session["sound"] = 3

    session.destroy()
    assert site.commit(session).erase
