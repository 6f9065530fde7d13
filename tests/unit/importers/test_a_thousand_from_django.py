"""A thousand users of Django's, logged in, of whom nobody is logged out."""

from pathlib import Path
from typing import Any

import pytest
from support.former import KEY, PERIOD, PLAIN, at, django_cookie, django_row, django_with_sessions
from support.managed import cookie_of

from wsgi_session.importers import DjangoCookie, DjangoRows

USERS = 1000


@pytest.mark.parametrize(("importer", "make"), [(DjangoRows, django_row), (DjangoCookie, django_cookie)])
def test_nobody_is_logged_out(move: Any, clock: Any, tmp_path: Path, importer: Any, make: Any) -> None:
    """Every value equal, by the old cookie and by the new one, and the old one refused a minute later."""
    with django_with_sessions(tmp_path / "django.sqlite3"):
        moved = move(importer(secret=KEY, **PERIOD), user_key="_auth_user_id")
        users = [PLAIN | {"_auth_user_id": str(number), "_auth_user_hash": "h" * 64} for number in range(USERS)]
        with at():
            olds = [f"sessionid={make(user)}" for user in users]

        visits = [moved.visit(old) for old in olds]
        news = [cookie_of(outcome) for _, outcome in visits]
        assert [values for values, _ in visits] == users
        clock.now += 60
        assert [moved.read(old) for old in olds] == [{}] * USERS
        for new, user in zip(news, users, strict=True):
            session = moved.manager.open(new)
            assert (dict(session), session.user_id) == (user, user["_auth_user_id"])
        assert moved.manager.handle().count() == USERS
        if importer is DjangoRows:
            from django.contrib.sessions.models import Session

            assert Session.objects.count() == 0
