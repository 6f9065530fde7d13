"""The engine: the whole contract of Django's ``SessionBase``, sync and async."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.utils import timezone
from freezegun import freeze_time
from support.django_project import project, run
from support.plain_store import PlainStore

from wsgi_session.contrib.django import SessionStore, session_manager
from wsgi_session.errors import HeadersSent, StoreUnavailable
from wsgi_session.stores import MemoryStore


@pytest.fixture(autouse=True)
def _project() -> Any:
    with project():
        yield


def stored(**values: Any) -> SessionStore:
    """Return a new handle on a session that is stored."""
    session = SessionStore()
    session.update(values)
    session.save()
    return SessionStore(session.session_key)


def other(session: SessionStore) -> SessionStore:
    return SessionStore(session.session_key)


def test_the_key_is_the_signed_token_of_40_characters() -> None:
    """It fits into the columns that other applications have for it; it is known once the session is stored."""
    session = SessionStore()
    session["a"] = 1
    assert session.session_key is None
    session.save()
    key = session.session_key
    assert key is not None
    assert len(key) == 40
    assert dict(SessionStore(key).items()) == {"a": 1}


@pytest.mark.parametrize("key", ["", "12345678", "x" * 32, "a; sessionid=b", None])
def test_a_key_that_this_site_has_not_signed_is_none(key: str | None) -> None:
    """It never reaches the store, and is never adopted."""
    session = SessionStore(key)
    assert session.session_key is None
    assert session.is_empty()
    assert not session.exists(key)
    session._session_key = key
    session.save()
    assert session.session_key not in (None, key)


def test_a_key_is_known_without_a_look_at_the_store() -> None:
    session = stored(a=1)
    assert session.session_key is not None
    assert not session.is_empty()
    assert session
    assert not session.accessed
    assert not session.opened.is_loaded


def test_a_session_that_ended_has_no_key_once_it_was_looked_at() -> None:
    session = stored(a=1)
    other(session).delete()
    assert session.session_key is not None
    assert session.get("a") is None
    assert session.session_key is None
    assert not session


def test_what_is_not_stored_yet_is_not_empty() -> None:
    session = SessionStore()
    assert not session
    session["a"] = 1
    assert session


def test_every_verb_of_ours_is_there_and_counts_as_use_and_as_change() -> None:
    session = stored(a=1)
    assert session.increment("a") == 2
    assert (session.accessed, session.modified) == (True, True)
    assert session.get(("b", "c"), 5, type=int) == 5
    assert list(session) == ["a"]
    assert len(session) == 1
    session.modified = False
    assert not session.modified
    session["b"] = 1
    assert session.modified


def test_it_is_equal_to_itself_alone_and_may_be_in_a_set() -> None:
    """As Django's: two handles on one session are two."""
    session = stored(a=1)
    assert session == session
    assert session != other(session)
    assert len({session, session, other(session)}) == 2


def test_nested_changes_count() -> None:
    session = stored(cart=[])
    session["cart"].append("tea")
    assert session.modified
    session.save()
    assert other(session)["cart"] == ["tea"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_setdefault_returns_the_live_value(is_async: bool) -> None:
    session = stored(a=1)
    default: Any = session.setdefault if not is_async else lambda *args: run(session.asetdefault(*args))
    assert default("a", 2) == 1
    assert not session.modified
    default("cart", []).append("tea")
    assert session.modified
    session.save()
    assert other(session).load() == {"a": 1, "cart": ["tea"]}


def test_every_async_twin() -> None:
    """Django derives none of them that keeps the session's id and lifetime; each does what its twin does."""

    async def use() -> None:
        session = SessionStore()
        await session.aset("a", 1)
        await session.aupdate({"b": 2})
        assert await session.aget("a") == 1
        assert await session.apop("b") == 2
        assert await session.ahas_key("a")
        assert list(await session.akeys()) == ["a"]
        assert list(await session.avalues()) == [1]
        assert list(await session.aitems()) == [("a", 1)]
        await session.aset_test_cookie()
        assert await session.atest_cookie_worked()
        await session.adelete_test_cookie()
        await session.aset_expiry(300)
        assert await session.aget_expiry_age() == 300
        assert not await session.aget_expire_at_browser_close()
        assert await session.aget_expiry_date() > timezone.now()
        await session.asave()
        key = session.session_key
        assert await session.aexists(key)
        assert (await session.aload())["a"] == 1
        await session.acycle_key()
        assert session.session_key not in (None, key)
        assert not await session.aexists(key)
        again = SessionStore(session.session_key)
        assert await again.aget("a") == 1
        assert again.opened.expires_in is not None
        assert again.opened.expires_in <= timedelta(seconds=300)
        await again.adelete()
        assert not await session.aexists(session.session_key)
        await again.acreate()
        assert await session.aexists(again.session_key)
        key = again.session_key
        await again.aflush()
        assert again.session_key is None
        assert not await session.aexists(key)
        await SessionStore.aclear_expired()

    run(use())


def test_create_ends_the_session_that_was_there() -> None:
    session = stored(a=1)
    key = session.session_key
    session.create()
    assert session.session_key not in (None, key)
    assert session.modified
    assert not session.exists(key)
    assert session.load() == {}


def test_save_creates_or_updates_and_never_brings_back() -> None:
    session = stored(a=1)
    with pytest.raises(CreateError):
        session.save(must_create=True)
    late = other(session)
    late["a"] = 2
    session.delete()
    for _ in range(2):
        with pytest.raises(UpdateError):
            late.save()
    assert late.load() == {}
    assert session_manager().handle().count() == 0


def test_delete_leaves_the_values_here() -> None:
    """As in Django: ``flush()`` is the logout."""
    session = stored(a=1)
    assert session["a"] == 1
    session.delete()
    session.delete("unknown")
    assert session["a"] == 1
    with pytest.raises(UpdateError):
        session.save()


def test_flush_ends_it_now_and_what_follows_is_another_one() -> None:
    session = stored(a=1)
    key = session.session_key
    session.flush()
    assert (session.session_key, session.accessed, session.modified) == (None, True, True)
    assert not session.exists(key)
    session["b"] = 2
    session.save()
    assert session.load() == {"b": 2}
    assert session.session_key != key


def test_cycle_key_keeps_the_values_and_may_come_twice() -> None:
    session = stored(a=1)
    keys = [session.session_key]
    for _ in range(2):
        session.cycle_key()
        assert not session.exists(keys[-1])
        keys.append(session.session_key)
    assert len(set(keys)) == 3
    assert session.load() == {"a": 1}


def test_clear_keeps_the_key() -> None:
    session = stored(a=1)
    session.clear()
    assert session.modified
    session.save()
    assert (other(session).load(), session.is_empty()) == ({}, False)


@pytest.mark.parametrize(
    ("value", "idle", "persistent"),
    [
        pytest.param(300, 300, True, id="seconds"),
        pytest.param(0, 1209600, False, id="until the browser is closed"),
        pytest.param(None, 1209600, None, id="as the settings say"),
        pytest.param(timedelta(seconds=300), 300, True, id="for how long"),
        pytest.param(datetime(2100, 1, 1, tzinfo=UTC), None, True, id="until when"),
        pytest.param(10**12, None, True, id="longer than we live"),
    ],
)
def test_an_expiry_of_its_own(value: Any, idle: int | None, persistent: bool | None) -> None:
    """Both the store and the cookie follow it."""
    session = stored(a=1)
    session.set_expiry(5)
    session.set_expiry(value)
    session.save()
    again = other(session)
    left = again.expires_in
    assert left is not None
    if idle is not None:
        assert timedelta(seconds=idle - 5) < left <= timedelta(seconds=idle)
    else:
        assert left > timedelta(days=300)
    assert again.persistent is persistent
    assert again.get_expire_at_browser_close() is (persistent is False)


def test_a_date_counts_from_now_and_not_from_the_beginning_of_the_session() -> None:
    with freeze_time("2030-01-01") as frozen:
        session = stored(a=1)
        frozen.tick(timedelta(days=3))
        session.set_expiry(timedelta(seconds=300))
        session.save()
        assert other(session).expires_in == timedelta(seconds=300)
        for is_alive in (True, False):
            frozen.tick(timedelta(seconds=200))
            assert ("a" in other(session)) is is_alive


def test_what_expired_by_its_own_date_is_gone_at_once() -> None:
    """Whatever the store has: its limits are at least a second."""
    session = SessionStore()
    session["a"] = 1
    session.set_expiry(-timedelta(seconds=10))
    session.save()
    again = other(session)
    assert "a" not in again
    assert again.session_key is None


def test_naive_dates_without_time_zones() -> None:
    with project(USE_TZ=False):
        session = stored(a=1)
        session.set_expiry(timedelta(seconds=300))
        session.save()
        assert other(session)["a"] == 1


def test_clear_expired_is_the_sweep() -> None:
    for clear_expired, left in ((lambda: None, 1), (SessionStore.clear_expired, 0)):
        with freeze_time("2020-01-01"):
            stored(a=1)
        clear_expired()
        assert session_manager().handle().sweep() == left


def test_clear_expired_does_nothing_where_the_store_does_it() -> None:
    with project(SESSION_STORE_URL=PlainStore(MemoryStore())):
        SessionStore.clear_expired()


def test_a_session_cannot_be_used_for_the_first_time_when_it_is_over() -> None:
    session = stored(a=1)
    session.manager.commit(session.opened, status=200, is_final=True)
    with pytest.raises(HeadersSent):
        session["a"] = 2


def test_a_store_that_does_not_answer_raises() -> None:
    class Down(MemoryStore):
        def load(self, key: str) -> Any:
            raise StoreUnavailable("down")

    key = stored(a=1).session_key
    with project(SESSION_STORE_URL=Down()), pytest.raises(StoreUnavailable):
        SessionStore(key).get("a")
