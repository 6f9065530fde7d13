"""A session that a framework's application emptied ends, but not what another request stored in it meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from support.managed import Managed, managed

from wsgi_session import Session
from wsgi_session.errors import StoreUnavailable


@pytest.fixture(params=[False, True], ids=["update", "update_or_load"])
def site(request: pytest.FixtureRequest) -> Managed:
    return managed(is_merging=request.param, user_key="uid")


def emptied(site: Managed, cookie: str, empty: Callable[[Session], Any] = lambda session: session.pop("a")) -> Session:
    session = site.open(cookie)
    session.end_when_empty()
    empty(session)
    return session


def test_it_ends_in_one_call_of_the_store(site: Managed) -> None:
    """As ``destroy()`` does, with the event and the erased cookie."""
    session = emptied(site, site.begin())

    calls = site.calls_of(lambda: site.commit(session))

    assert calls == ["delete"]
    assert site.records() == {}
    assert site.events[-1].name == "destroyed"
    assert session.is_modified


def test_the_cookie_is_erased(site: Managed) -> None:
    assert site.commit(emptied(site, site.begin())).erase


def test_what_another_request_stored_meanwhile_stays(site: Managed) -> None:
    """Two requests that change different keys both win: a message that was shown does not take the cart with it."""
    cookie = site.begin()
    session = emptied(site, cookie)
    site.write(cookie, cart=1)

    outcome = site.commit(session)

    assert outcome.set_cookie is None
    assert site.read(cookie) == {"cart": 1}


@pytest.mark.parametrize(
    "empty",
    [
        pytest.param(lambda session: session.clear(), id="clear"),
        pytest.param(lambda session: [session.popitem() for _ in range(2)], id="logout"),
    ],
)
def test_a_logout_takes_everything_along(site: Managed, empty: Callable[[Session], Any]) -> None:
    """``clear()`` removes what others stored, and who logs out does, too."""
    cookie = site.begin(a=1, uid="ada")
    session = emptied(site, cookie, empty)
    site.write(cookie, cart=1)

    assert site.commit(session).erase
    assert site.records() == {}


def test_one_that_ended_meanwhile_is_no_second_end(site: Managed) -> None:
    """As any change of a session that is gone."""
    cookie = site.begin()
    session = emptied(site, cookie)
    site.do(cookie, lambda other: other.destroy())

    assert site.commit(session).set_cookie is None
    assert session.is_gone


def test_a_store_that_does_not_answer_ends_nothing(site: Managed) -> None:
    """The request fails, and its response has no cookie."""
    cookie = site.begin()
    session = emptied(site, cookie)

    def before(method: str, key: str) -> None:
        raise StoreUnavailable("away")

    site.spy.before = before
    with pytest.raises(StoreUnavailable):
        site.commit(session)

    site.spy.before = lambda method, key: None
    assert site.commit(session).set_cookie is None
    assert site.read(cookie) == {"a": 1}
