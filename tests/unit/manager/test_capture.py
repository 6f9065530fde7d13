"""What a login notes of where it came from: names and a part of an address, if the operator wants that, and no more."""

from collections.abc import Callable
from typing import Any

import pytest
from support.client import SECRET, Client, session_app
from support.managed import Managed, cookie_of, managed
from support.plain_store import PlainStore
from werkzeug.middleware.proxy_fix import ProxyFix

from wsgi_session import NewDevice, Session, SessionManager, SessionMiddleware
from wsgi_session._manager import capture
from wsgi_session._session.identity import Client as Origin
from wsgi_session._session.identity import Device
from wsgi_session._values.meta import Meta, meta_in
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.stores import MemoryStore

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 "
    "Mobile/15E148 Safari/604.1"
)
ADDRESS = "192.0.2.77"


def log_in(session: Session) -> None:
    session.login("ada")


def noted_in(site: Managed) -> Meta:
    (record,) = site.records().values()
    return meta_in(record.meta)


def noted(captured: tuple[str, ...], user_agent: str | None = FIREFOX, address: str | None = ADDRESS) -> Meta:
    """Return what a login notes with this option."""
    site = managed(capture=captured)
    session = site.manager.open("", user_agent=user_agent, address=address)
    log_in(session)
    site.commit(session)
    return noted_in(site)


@pytest.mark.parametrize(
    ("captured", "expected"),
    [
        pytest.param((), (None, None, None), id="nothing"),
        pytest.param(("user_agent",), ("Firefox", "Linux", None), id="user agent"),
        pytest.param(("address",), (None, None, "192.0.2.0/24"), id="address"),
        pytest.param(["address", "user_agent"], ("Firefox", "Linux", "192.0.2.0/24"), id="both"),
    ],
)
def test_a_login_notes_what_the_option_names(captured: Any, expected: tuple[str | None, ...]) -> None:
    """By default nothing; never the whole text or the whole address."""
    meta = noted(captured)
    assert (meta.browser, meta.system, meta.address) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param("198.51.100.200", "198.51.100.0/24", id="IPv4"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48", id="IPv6"),
        pytest.param("::ffff:192.0.2.77", "192.0.2.0/24", id="IPv4 in IPv6"),
        pytest.param("fe80::1%eth0", "fe80::/48", id="link"),
        pytest.param("", None, id="empty"),
        pytest.param("unix:/run/app.sock", None, id="socket"),
        pytest.param("10.0.0.1, 10.0.0.2", None, id="list"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_an_address_is_cut_to_its_network(address: str | None, expected: str | None) -> None:
    """What is no address is nothing, and no error."""
    assert noted(("address",), address=address).address == expected


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        pytest.param(SAFARI, ("Mobile Safari", "iOS"), id="phone"),
        pytest.param("nonsense", (None, None), id="unknown"),
        pytest.param("", (None, None), id="empty"),
        pytest.param(None, (None, None), id="absent"),
        pytest.param("x" * 5000 + FIREFOX, (None, None), id="too far behind"),
    ],
)
def test_a_user_agent_is_cut_to_two_names(user_agent: str | None, expected: tuple[str | None, ...]) -> None:
    """What a client sends never raises."""
    meta = noted(("user_agent",), user_agent)
    assert (meta.browser, meta.system) == expected


@pytest.mark.parametrize("family", [pytest.param("<b>\u202e\0" + "x" * 90, id="odd"), pytest.param("é", id="nothing")])
def test_a_name_that_the_client_chose_is_short_and_plain(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    """Some patterns of the parser take the name from the text."""
    import ua_parser

    found = ua_parser.parse(FIREFOX).user_agent
    assert found is not None
    name = capture._name(ua_parser.UserAgent(family, *(None,) * 4))
    assert name is None if family == "é" else name == ("<b>" + "x" * 61)


def test_each_login_notes_its_own_and_a_logout_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation keeps it: it is the same device."""
    site = managed(capture=("user_agent", "address"), user_key="uid")
    session = site.manager.open("", user_agent=FIREFOX, address=ADDRESS)
    session["uid"] = "ada"
    cookie = cookie_of(site.commit(session))
    cookie = cookie_of(site.do(cookie, Session.rotate))
    assert (noted_in(site).browser, noted_in(site).address) == ("Firefox", "192.0.2.0/24")

    session = site.manager.open(cookie, user_agent=SAFARI, address="198.51.100.1")
    log_in(session)
    cookie = cookie_of(site.commit(session))
    assert (noted_in(site).browser, noted_in(site).address) == ("Mobile Safari", "198.51.100.0/24")

    session = site.manager.open(cookie, user_agent=SAFARI, address=ADDRESS)
    del session["uid"]
    session["theme"] = "dark"
    site.commit(session)
    assert (noted_in(site).browser, noted_in(site).system, noted_in(site).address) == (None, None, None)


def test_open_value_passes_them_on() -> None:
    """For frameworks that keep the value of the cookie themselves."""
    site = managed(capture=("address",))
    for value in (None, site.begin(a=1).partition("=")[2]):
        session = site.manager.open_value(value, address=ADDRESS)
        log_in(session)
        site.commit(session)
    assert {meta_in(record.meta).address for record in site.records().values()} == {"192.0.2.0/24"}


@pytest.mark.parametrize(
    ("wrap", "expected"),
    [
        pytest.param(lambda app: app, "192.0.2.0/24", id="bare"),
        pytest.param(ProxyFix, "203.0.113.0/24", id="ProxyFix"),
    ],
)
def test_only_the_servers_word_on_the_address_counts(wrap: Callable[[Any], Any], expected: str) -> None:
    """Anybody can send a header; ``ProxyFix`` around us believes the proxy that it was told of."""
    middleware = SessionMiddleware(session_app(log_in), "memory://", secret=SECRET, capture=("user_agent", "address"))
    environ = {"REMOTE_ADDR": ADDRESS, "HTTP_X_FORWARDED_FOR": "203.0.113.9", "HTTP_USER_AGENT": FIREFOX}
    Client(wrap(middleware)).request(environ=environ)

    (record,) = (record for _, record in middleware.manager.store.scan())  # type: ignore[attr-defined]
    assert (meta_in(record.meta).browser, meta_in(record.meta).address) == ("Firefox", expected)


def test_who_does_not_capture_looks_at_nothing() -> None:
    """A request pays for what is used: the environ is not even asked."""

    class Watched(dict[str, Any]):
        asked: list[str] = []  # noqa: RUF012

        def get(self, key: str, default: Any = None) -> Any:
            self.asked.append(key)
            return super().get(key, default)

    app = SessionMiddleware(session_app(log_in), "memory://", secret=SECRET)
    environ = Watched(Client(app).environ())
    list(app(environ, lambda *_: lambda _: None))  # type: ignore[arg-type, return-value]
    assert not {"HTTP_USER_AGENT", "REMOTE_ADDR"} & set(Watched.asked)
    assert not app.manager.captures


def test_it_stays_out_of_sight() -> None:
    """Error pages show local variables."""
    assert ADDRESS not in repr(Origin(FIREFOX, ADDRESS))
    assert "Firefox" not in repr(Device("Firefox", "Linux", ADDRESS)) + repr(noted(("user_agent",)))


@pytest.mark.parametrize("value", ["user_agent", ("agent",), None, 1, {"address"}, ("address", None)])
def test_what_is_no_list_of_names_is_refused(value: Any) -> None:
    """At start-up, with what is allowed."""
    with pytest.raises(ConfigError, match=r"capture must be a tuple of 'user_agent' and 'address', or empty; got "):
        SessionManager("memory://", secret=SECRET, capture=value)


def test_a_missing_parser_is_said_at_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it. The address needs none."""
    monkeypatch.setattr(capture, "find_spec", lambda name: None)
    SessionManager("memory://", secret=SECRET, capture=("address",))
    with pytest.raises(ConfigError, match=r"pip install 'wsgi-session-middleware\[devices\]'"):
        SessionManager("memory://", secret=SECRET, capture=("address", "user_agent"))


# --- a new device ----------------------------------------------------------------------------------------------------


def log_in_with(manager: SessionManager, user_agent: str | None, cookie: str = "", user: str = "ada.l") -> str:
    session = manager.open(cookie, user_agent=user_agent)
    session.login(user)
    return cookie_of(manager.commit(session, status=200))


def test_a_new_browser_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """One that no other live session of the user has. The session itself is no news, and neither is an unknown one."""
    caplog.set_level("INFO", "wsgi_session")
    told: list[NewDevice] = []
    manager = SessionManager(
        "memory://",
        secret=SECRET,
        capture=("user_agent",),
        on_event=lambda event: told.append(event) if isinstance(event, NewDevice) else None,
    )

    cookie = log_in_with(manager, FIREFOX)
    assert [event.user_id for event in told] == ["ada.l"]
    cookie = log_in_with(manager, FIREFOX, cookie)
    log_in_with(manager, FIREFOX)
    log_in_with(manager, None)
    assert len(told) == 1

    log_in_with(manager, SAFARI, cookie)
    log_in_with(manager, FIREFOX, user="bob")
    assert [event.user_id for event in told] == ["ada.l", "ada.l", "bob"]
    assert "new_device" in caplog.text
    assert "ada.l" not in caplog.text + repr(told)


def test_a_store_that_finds_nobody_tells_of_no_device() -> None:
    """It would tell of one at each login."""
    told: list[str] = []
    options = {"secret": SECRET, "on_event": lambda event: told.append(event.name)}
    log_in_with(SessionManager(PlainStore(MemoryStore()), capture=("user_agent",), **options), FIREFOX)
    assert told == ["created", "logged_in"]


def test_a_store_that_fails_then_does_not_undo_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stored by then, and the browser has to learn of it."""
    manager = SessionManager("memory://", secret=SECRET, capture=("user_agent",))

    def fail(user_id: str) -> Any:
        raise StoreUnavailable("it does not answer")

    monkeypatch.setattr(manager.store, "scan_user", fail)
    assert manager.open(log_in_with(manager, FIREFOX)).user_id == "ada.l"
