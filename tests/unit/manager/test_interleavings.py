"""A rotation, a write and a logout at the same time: every order in which the store may serve their calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
from support.managed import Managed, managed
from support.schedule import every_order
from support.thoroughness import is_thorough_on

from wsgi_session import Session

# Three requests have a thousand orders, each with a thread for every request.
pytestmark = pytest.mark.timeout(600)
MOST_REQUESTS = 3 if is_thorough_on(13) else 2

Verb = Callable[[Session], Any]


def rotate(session: Session) -> None:
    if "user" in session:
        session.rotate()


def write(session: Session) -> None:
    if "user" in session:
        session.increment("hits")


def rotate_twice(session: Session) -> None:
    """Rotate, save, and rotate again: nobody is given the id in between."""
    if "user" in session:
        session.rotate()
        session.save()
        session.rotate()


def log_in(session: Session) -> None:
    if "user" in session:
        session["uid"] = "bob"


def destroy(session: Session) -> None:
    session.destroy()


@dataclass
class Tab:
    """One request after another, each with the cookie that the last one got."""

    site: Managed
    cookie: str
    verbs: Sequence[Verb]
    session: Session | None = None
    """The session of the first request, if it was read before the others began."""
    answers: list[str | None] = field(default_factory=list)

    def __call__(self) -> list[str | None]:
        """Send all requests, and return the ``Set-Cookie`` of each answer."""
        for verb in self.verbs:
            session, self.session = self.session or self.site.open(self.cookie), None
            verb(session)
            answer = self.site.commit(session).set_cookie
            self.answers.append(answer)
            if answer is not None:
                self.cookie = answer.partition(";")[0]
        return self.answers


def runs_of(tabs: Sequence[Sequence[Verb]], **options: Any) -> Any:
    """Yield the site and the tabs after each run, whatever was read before the others began."""
    # With three tabs, the first one's read alone makes the difference: all orders of three reads are too many.
    for are_read in product((True, False), repeat=min(len(tabs), 2)):
        are_read += (True,) * (len(tabs) - len(are_read))
        made: list[tuple[Managed, list[Tab]]] = []

        def prepare(are_read: Any = are_read, made: Any = made) -> Any:
            site = managed(**options)
            cookie = site.begin(user="ada")
            opened = [Tab(site, cookie, verbs) for verbs in tabs]
            for tab, is_read in zip(opened, are_read, strict=True):
                if is_read:
                    tab.session = site.open(cookie)
                    len(tab.session)
            made.append((site, opened))
            return site.spy, opened

        for order, results in every_order(prepare):
            assert not [result for result in results if isinstance(result, BaseException)], order
            yield order, *made.pop()


def short_enough(races: dict[str, Any]) -> list[str]:
    return [name for name, tabs in races.items() if len(tabs) <= MOST_REQUESTS]


LOGOUTS = {
    "rotate, destroy": [[rotate], [destroy]],
    "rotate twice, destroy": [[rotate_twice], [destroy]],
    "write, rotate, destroy": [[write], [rotate], [destroy]],
    "rotate, rotate, destroy": [[rotate], [rotate], [destroy]],
    "rotate then rotate, destroy": [[rotate, rotate], [destroy]],
    "rotate then write, destroy": [[rotate, write], [destroy]],
    "write then rotate, destroy": [[write, rotate], [destroy]],
}


@pytest.mark.parametrize("is_merging", [False, True], ids=["plain", "merging"])
@pytest.mark.parametrize("name", short_enough(LOGOUTS))
def test_a_logout_ends_what_rotated_meanwhile(name: str, *, is_merging: bool) -> None:
    """Once a logout under any id of a session was answered, nothing of it lives, and no cookie leads anywhere."""
    count = 0
    for order, site, tabs in runs_of(LOGOUTS[name], is_merging=is_merging):
        count += 1
        assert site.records() == {}, order
        assert "Max-Age=0" in str(tabs[-1].answers[0]), order
        assert [dict(site.open(tab.cookie)) for tab in tabs] == [{}] * len(tabs), order
        assert "created" not in site.happened[1:], order
        assert site.happened.count("destroyed") == 1, order
    assert count > 5


LOGINS = {
    "log in, destroy": [[log_in], [destroy]],
    "rotate then log in, destroy": [[rotate, log_in], [destroy]],
    "log in then rotate, destroy": [[log_in, rotate], [destroy]],
    "log in then write, destroy": [[log_in, write], [destroy]],
    "write, log in, destroy": [[write], [log_in], [destroy]],
    "rotate, log in, destroy": [[rotate], [log_in], [destroy]],
}


@pytest.mark.parametrize("is_merging", [False, True], ids=["plain", "merging"])
@pytest.mark.parametrize("name", short_enough(LOGINS))
def test_a_logout_ends_no_login_of_meanwhile(name: str, *, is_merging: bool) -> None:
    """The login and its cookie stay, whether the logout was first or not: never a cookie that leads nowhere."""
    lives = set()
    for order, site, tabs in runs_of(LOGINS[name], is_merging=is_merging, user_key="uid"):
        *others, logout = tabs
        records = site.records()
        is_logged_out = "Max-Age=0" in str(logout.answers[0])
        assert is_logged_out or logout.answers == [None], order
        assert site.happened.count("destroyed") == is_logged_out, order
        (login,) = (tab for tab in others if log_in in tab.verbs)
        # If the logout was first, the login may have read that there is no session to log in to.
        is_logged_in = login.answers[login.verbs.index(log_in)] is not None
        assert is_logged_in or is_logged_out, order
        assert len(records) == is_logged_in, order
        assert not records or dict(site.open(login.cookie))["uid"] == "bob", order
        lives.add((is_logged_out, is_logged_in))
    assert lives == {(True, False), (True, True), (False, True)}


@pytest.mark.parametrize("is_merging", [False, True], ids=["plain", "merging"])
def test_a_revocation_ends_what_rotates_meanwhile(*, is_merging: bool) -> None:
    """The same of an operator who ends the session by the id that it had."""
    made: list[Managed] = []

    def prepare() -> Any:
        site = managed(is_merging=is_merging)
        cookie = site.begin(user="ada")
        key = site.key_of(cookie)
        made.append(site)
        return site.spy, [Tab(site, cookie, [rotate, rotate]), lambda: site.manager.handle().revoke(key)]

    for order, results in every_order(prepare):
        assert results[1] is True, order
        assert made.pop().records() == {}, order


RACES = {
    "rotate, rotate": [[rotate], [rotate]],
    "write, rotate": [[write], [rotate]],
    "rotate twice, rotate": [[rotate_twice], [rotate]],
    "rotate then write, write": [[rotate, write], [write]],
}


@pytest.mark.parametrize("is_merging", [False, True], ids=["plain", "merging"])
@pytest.mark.parametrize("name", RACES)
def test_one_session_comes_out_of_a_race(name: str, *, is_merging: bool) -> None:
    """Of many rotations one wins: one session is left, the last cookie that was sent leads there, no other one does.

    Every write that was stored is in it, and only a rotation that won sends a cookie.
    """
    for order, site, tabs in runs_of(RACES[name], is_merging=is_merging):
        ((key, _),) = site.records().items()
        sent = [tab for tab in tabs if any(tab.answers)]
        assert [site.key_of(tab.cookie) for tab in sent] == [key], order
        assert dict(site.open(sent[0].cookie)).get("hits", 0) == site.happened.count("saved"), order
        assert all(tab.answers in ([None], [None, None]) for tab in tabs if tab not in sent), order
