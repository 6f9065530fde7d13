"""What a browser, or somebody else, may send: nothing of it raises, and only what we signed reaches the store."""

import hashlib
from typing import Any

import pytest
from itsdangerous import Signer, TimestampSigner
from support.client import OTHER_SECRET, SECRET
from support.visitor import Visitor, visitor_of

from wsgi_session import Cookie, CookieRejected, Session
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock

NAME = "__Host-session"

# Whatever the store is: it is not what these tests are about.
in_memory = pytest.mark.parametrize("store", ["memory"], indirect=True)


@pytest.fixture
def returning(visitor: Visitor) -> Visitor:
    """A visitor who has a session already."""
    visitor.visit(lambda session: session.set("a", 1))
    return visitor


def value_of(visitor: Visitor) -> str:
    return visitor.jar[NAME]


def assert_leads_nowhere(visitor: Visitor, header: str) -> None:
    """A visit with this ``Cookie`` header sees no session, costs no store call, and gets a new id if it writes."""
    records = visitor.spy.count()
    visit = visitor.another().visit(lambda session: (dict(session), session.is_new, session.id), cookie=header)
    assert visit.value == ({}, True, None)
    assert (visit.status, visit.calls, visit.cookies) == (200, [], [])

    writer = visitor.another()
    assert writer.visit(lambda session: session.set("b", 2), cookie=header).calls == ["create"]
    assert writer.jar[NAME] not in header
    assert visitor.spy.count() == records + 1


@pytest.mark.parametrize(
    "value",
    ["chosen-by-an-attacker", "A" * 43, f"{'A' * 43}.{'A' * 43}", "0" * 64],
    ids=["words", "token", "token and signature", "key"],
)
def test_row_080_an_id_that_was_not_issued_is_never_adopted(visitor: Visitor, value: str) -> None:
    """An unknown id leads to a fresh session under a fresh id: no fixation."""
    assert_leads_nowhere(visitor, f"{NAME}={value}")


def test_row_080_an_id_that_is_dead_is_never_adopted_again(returning: Visitor) -> None:
    """An id that we issued once and that is dead does not come back when somebody writes with it."""
    dead = returning.cookie
    returning.visit(lambda session: session.destroy())

    writer = returning.another()
    visit = writer.visit(lambda session: session.set("b", 2), cookie=dead)

    assert visit.calls == ["load", "create"]
    assert writer.jar[NAME] not in dead
    assert returning.visit(dict, cookie=dead).value == {}
    assert "rejected" in returning.happened()


MALFORMED = {
    "row_081-words": "not a token",
    "row_081-dots": "...",
    "row_081-only-a-dot": ".",
    "row_081-percent": "%00%0d%0a",
    "row_081-json": '{"id": 1}',
    "row_081-pickle": "gASVAAAAAAAAAAB9lC4=",
    "row_081-unbalanced-quote": '"' + "A" * 43,
    "row_081-backslashes": '"\\377\\000\\134"',
    "row_082-newline": "abc\r\nSet-Cookie: a=b",
    "row_082-null": "abc\x00def",
    "row_082-escape": "\x1b[31m",
    "row_082-delete": "\x7f" * 43,
    "row_082-escaped-newline": '"abc\\015\\012def"',
    "row_083-latin-1": "\xff\xfe",
    "row_083-half-utf-8": "\xc3",
    "row_083-utf-8": "é".encode().decode("latin-1"),
    "row_083-outside-latin-1": "\u20ac",
    "row_083-surrogate": "\udcff",
    "row_084-one-character": "a",
    "row_084-too-short": f"{'A' * 42}.{'A' * 43}",
    "row_084-too-long": f"{'A' * 44}.{'A' * 43}",
    "row_084-huge": "A" * 100_000,
    "row_085-slash": "../../etc/passwd",
    "row_085-backslash": "..\\..\\boot.ini",
    "row_085-slash-in-the-right-length": f"{'/' * 43}.{'A' * 43}",
}


@in_memory
@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in MALFORMED.items()])
def test_a_malformed_cookie_reads_as_none(returning: Visitor, value: str) -> None:
    """Whatever the bytes are, the request is answered, without asking the store and without a session."""
    assert_leads_nowhere(returning, f"{NAME}={value}")


@in_memory
@pytest.mark.parametrize(
    "noise", ["\xff=\xfe", "\xa0", "bad\xc3=1", "x=\u20ac", "\udcff=1", "a\x00b=c", "\x1b=1"], ids=ascii
)
def test_row_083_bytes_in_a_neighbour_hide_nothing(returning: Visitor, noise: str) -> None:
    """A cookie of somebody else that is no text at all does not log the user out."""
    for header in (f"{noise}; {returning.cookie}", f"{returning.cookie}; {noise}"):
        assert returning.visit(dict, cookie=header).value == {"a": 1}


@pytest.mark.parametrize("attribute", ["id", "is_new", "created_at", "expires_at"])
def test_row_086_the_id_is_not_for_the_application_to_choose(returning: Visitor, attribute: str) -> None:
    """Neither the id nor the times can be assigned, and trying changes nothing."""

    def view(session: Session) -> Any:
        before = getattr(session, attribute)
        with pytest.raises(AttributeError):
            setattr(session, attribute, "mine")
        return before == getattr(session, attribute)

    visit = returning.visit(view)

    assert visit.value is True
    assert visit.calls == ["load"]


@pytest.mark.parametrize("position", [0, 20, 42, 44, 60, 86])
def test_row_087_a_bad_signature_is_not_looked_up(returning: Visitor, position: int) -> None:
    """One character changed, in the token or in the signature: no store call, and the event says why."""
    value = value_of(returning)
    other = "B" if value[position] != "B" else "C"

    assert_leads_nowhere(returning, f"{NAME}={value[:position]}{other}{value[position + 1 :]}")
    assert {event.reason for event in returning.events if isinstance(event, CookieRejected)} == {"signature"}


@in_memory
@pytest.mark.parametrize(
    "signer",
    [
        pytest.param(Signer(OTHER_SECRET), id="another secret"),
        pytest.param(Signer(SECRET), id="another salt and algorithm"),
        pytest.param(Signer(SECRET, salt=NAME, digest_method=hashlib.sha256), id="the name as salt"),
        pytest.param(
            Signer(SECRET, salt=NAME, key_derivation="hmac", digest_method=hashlib.sha256), id="derived by hmac"
        ),
        pytest.param(Signer(SECRET, digest_method=hashlib.sha512), id="sha512"),
        pytest.param(TimestampSigner(SECRET), id="with a time"),
        pytest.param(Signer(SECRET, sep=":"), id="another separator"),
    ],
)
def test_row_088_a_signature_made_in_another_way_is_refused(returning: Visitor, signer: Signer) -> None:
    """Knowing a live token is not enough, even with the very secret: salt, purpose and algorithm are part of it."""
    token = value_of(returning).partition(".")[0]

    assert_leads_nowhere(returning, f"{NAME}={signer.sign(token).decode()}")


def test_row_089_a_signature_for_another_cookie_is_refused(store: Store, clock: FakeClock) -> None:
    """A value that was issued under one cookie name is worth nothing under another one, with the same secret."""
    shop = visitor_of(store, clock=clock, cookie=Cookie(name="shop"))
    shop.visit(lambda session: session.set("a", 1))
    visitor = visitor_of(shop.spy, clock=clock)

    assert_leads_nowhere(visitor, f"{NAME}={shop.jar['__Host-shop']}")


@in_memory
@pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(lambda value: value + "=", id="padding"),
        pytest.param(lambda value: value + "A", id="one more"),
        pytest.param(lambda value: value[:-1], id="one less"),
        pytest.param(lambda value: value[44:] + "." + value[:43], id="turned round"),
        pytest.param(lambda value: value.swapcase(), id="other case"),
        pytest.param(lambda value: value.replace(".", "%2E"), id="encoded"),
        pytest.param(lambda value: value[:43] + "." + value[:43], id="token as signature"),
        pytest.param(lambda value: value[:43] + ".", id="no signature"),
    ],
)
def test_row_090_a_tampered_cookie_is_a_fresh_session(returning: Visitor, tamper: Any) -> None:
    """There is one spelling of a cookie; every other one is nobody's."""
    assert_leads_nowhere(returning, f"{NAME}={tamper(value_of(returning))}")


def test_row_091_what_is_unsigned_is_refused(returning: Visitor) -> None:
    """Neither the bare token nor the public id, which anybody may see in a log, opens the session."""
    public_id = returning.visit(lambda session: session.id).value

    assert_leads_nowhere(returning, f"{NAME}={value_of(returning).partition('.')[0]}")
    assert_leads_nowhere(returning, f"{NAME}={public_id}")


@pytest.mark.parametrize("live_at", range(4))
def test_row_092_the_live_one_of_several_twins_is_found(returning: Visitor, live_at: int) -> None:
    """Cookies of our name that a neighbouring host planted do not hide the real one, wherever it stands."""
    twins = [f"{NAME}=planted{number}" for number in range(3)]
    twins.insert(live_at, returning.cookie)

    visit = returning.visit(dict, cookie="; ".join(twins))

    assert visit.value == {"a": 1}
    assert visit.calls == ["load"]


def test_row_092_of_two_live_twins_none_is_believed(returning: Visitor) -> None:
    """Which of two live sessions is the user's own cannot be known: none is used, and the event says so."""
    planted = returning.another()
    planted.visit(lambda session: session.set("a", "planted"))

    visit = returning.visit(dict, cookie=f"{planted.cookie}; {returning.cookie}")

    assert visit.value == {}
    assert visit.cookies == []
    assert returning.happened()[-1] == "cookie_ambiguous"
    assert returning.spy.count() == 2


@pytest.mark.parametrize(
    "header",
    [f"{NAME}=; {{}}", f"{{}}; {NAME}=", f"{NAME}; {{}}", f'{NAME}=""; {{}}', f"{{}}; {NAME}", "{}; {}"],
    ids=["before", "after", "without =", "quoted", "name alone", "twice the same"],
)
def test_row_093_an_empty_twin_hides_nothing(returning: Visitor, header: str) -> None:
    """A twin without a value is passed over."""
    assert returning.visit(dict, cookie=header.format(returning.cookie, returning.cookie)).value == {"a": 1}


def test_row_094_separators_in_values_survive(visitor: Visitor) -> None:
    """Tokens with ``-`` and ``_`` at any place, and neighbours with ``=``, ``--`` and quotes, disturb nothing."""
    for number in range(20):
        one = visitor.another()
        one.visit(lambda session, number=number: session.set("number", number))
        header = f'a=b--c=d==; q="x;y\\"z"; {one.cookie}; e="="'

        assert visitor.visit(dict, cookie=header).value == {"number": number}
