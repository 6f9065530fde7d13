"""Django's signed cookies and rows, made by Django."""

import base64
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.former import (
    KEY,
    OLDER_KEY,
    PERIOD,
    PLAIN,
    START,
    SWITCHED_AT,
    at,
    django_cookie,
    django_row,
    django_with_sessions,
)

from wsgi_session.errors import StoreUnavailable
from wsgi_session.importers import DjangoCookie, DjangoRows

COOKIE = DjangoCookie(secret=[KEY, OLDER_KEY], **PERIOD)
ROWS = DjangoRows(secret=[KEY, OLDER_KEY], **PERIOD)


@pytest.fixture(autouse=True)
def django(tmp_path: Path) -> Iterator[None]:
    with django_with_sessions(tmp_path / "django.sqlite3"):
        yield


def former_cookie(values: dict[str, Any], *, key: str = KEY, made_at: float = START) -> str:
    from django.test import override_settings

    with override_settings(SECRET_KEY=key), at(made_at):
        return django_cookie(values)


def former_row(values: dict[str, Any], *, key: str = KEY, made_at: float = START, expiry: Any = None) -> str:
    from django.test import override_settings

    with override_settings(SECRET_KEY=key), at(made_at):
        return django_row(values, expiry=expiry)


@pytest.mark.parametrize("key", [KEY, OLDER_KEY])
@pytest.mark.parametrize("make", [former_cookie, former_row])
def test_values_come_back(move: Any, make: Any, key: str) -> None:
    for values in ({"_auth_user_id": "7", "_auth_user_backend": "b", "_auth_user_hash": "h"}, PLAIN | {"x": "y" * 999}):
        moved = move(COOKIE, ROWS, user_key="_auth_user_id")
        session = moved.manager.open(f"sessionid={make(values, key=key)}")

        assert dict(session) == values
        assert (session.user_id, session.authenticated_at) == (values.get("_auth_user_id"), None)


def test_a_row_goes_with_the_move(move: Any) -> None:
    from django.contrib.sessions.models import Session

    moved, cookie, other = move(ROWS), former_row({"a": 1}), former_row({"b": 2})

    assert moved.read(f"sessionid={cookie}") == {"a": 1}
    assert [row.session_key for row in Session.objects.all()] == [other]


@pytest.mark.parametrize(
    ("expiry", "persistent", "ends_after"),
    [
        pytest.param(0, False, 3600, id="with the browser"),
        pytest.param(0.0, False, 3600, id="with the browser, as a fraction"),
        pytest.param(300, None, 300, id="seconds"),
        pytest.param(90.5, None, 90.5, id="and a fraction of one"),
        pytest.param(timedelta(minutes=10), None, 540, id="a moment"),
    ],
)
def test_an_expiry_of_its_own_comes_along(move: Any, expiry: Any, persistent: Any, ends_after: float) -> None:
    """``set_expiry()``: a short session does not become a long one."""
    moved, cookie = move(ROWS), former_row({"a": 1}, expiry=expiry)
    moved.clock.advance(timedelta(minutes=1))
    session = moved.manager.open(f"sessionid={cookie}")

    assert session["a"] == 1
    assert (session.persistent, session.expires_at) == (persistent, moved.clock() + ends_after)


def test_an_expired_session_stays_so(move: Any) -> None:
    moved, row, short = move(COOKIE, ROWS), former_row({"a": 1}, expiry=300), former_cookie({"_session_expiry": -5})
    old = former_cookie({"a": 1}, made_at=START - 14 * 86400 - 1)
    late = former_cookie({"a": 1}, made_at=SWITCHED_AT.timestamp() + 1)
    moved.clock.advance(timedelta(minutes=5))

    for cookie in (row, short, old, late, "0" * 32):
        assert moved.read(f"sessionid={cookie}") == {}
    reasons = [reason for reason in moved.rejected if reason != "signature"]
    assert reasons == ["expired", "expired", "expired", "late", "unknown"]


def test_without_time_zones(move: Any) -> None:
    """``USE_TZ = False``: the table has local times."""
    from django.test import override_settings

    with override_settings(USE_TZ=False):
        moved, cookie = move(ROWS), former_row({"a": 1}, expiry=300)
        moved.clock.advance(timedelta(seconds=299))
        assert moved.read(f"sessionid={cookie}")["a"] == 1


def test_forged_cookies_are_none(move: Any) -> None:
    moved, cookie = move(COOKIE), former_cookie({"a": 1})
    payload, dated, signature = cookie.split(":")
    for forged in (
        *(
            former_cookie({"a": 1}, key="dev2"),
            f"{payload}:{dated}:{signature[:-1]}",
            f"{payload}x:{dated}:{signature}",
        ),
        *("", ":", "::", f"{payload}:{dated}", cookie.swapcase(), f"{payload}:0:{signature}"),
    ):
        assert moved.read(f"sessionid={forged}") == {}

    assert set(moved.rejected) == {"signature"}
    assert moved.read(f"sessionid={cookie}") == {"a": 1}


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"[1]", id="no object"),
        pytest.param(b"\x80\x04}.", id="a pickle"),
        pytest.param(b'{"_session_expiry":"tomorrow"}', id="no moment"),
        pytest.param(b'{"_session_expiry":-1%s}' % (b"0" * 400), id="no number of seconds"),
        pytest.param(b'{"_session_expiry":1%s}' % (b"0" * 400), id="too many seconds"),
        pytest.param(b'{"_session_expiry":NaN}', id="seconds that are no number"),
        pytest.param(b'{"_session_expiry":Infinity}', id="seconds without end"),
        pytest.param(zlib.compress(b'{"a":"' + b"x" * 65536 + b'"}'), id="a bomb"),
    ],
)
def test_what_django_never_wrote_is_no_session(move: Any, payload: bytes) -> None:
    from django.contrib.sessions.models import Session
    from django.core.signing import TimestampSigner

    text = "." * payload.startswith(b"x") + base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
    moved, key = move(COOKIE, ROWS), former_row({"a": 1})
    with at():
        cookie = TimestampSigner(salt=COOKIE.salt).sign(text)
        Session.objects.update(session_data=TimestampSigner(salt=ROWS.salt).sign(text))

    assert moved.read(f"sessionid={cookie}") == moved.read(f"sessionid={key}") == {}
    assert [reason for reason in moved.rejected if reason != "signature"] == ["unreadable", "unreadable"]
    assert Session.objects.count() == 1


def test_a_row_that_somebody_else_wrote_is_none(move: Any) -> None:
    """Who can write to the table has no key."""
    from django.contrib.sessions.models import Session

    moved, key = move(ROWS), former_row({"a": 1}, key="dev2")
    assert moved.read(f"sessionid={key}") == {}
    Session.objects.update(session_data="x" * 131073)
    assert moved.read(f"sessionid={key}") == {}
    assert moved.rejected == ["unreadable", "unreadable"]


def test_a_database_that_fails_is_no_logout(move: Any) -> None:
    from django.db import connection

    moved, key = move(ROWS), former_row({"a": 1})
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_session RENAME TO elsewhere")

    with pytest.raises(StoreUnavailable, match="OperationalError"):
        moved.read(f"sessionid={key}")
