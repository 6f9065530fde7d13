"""What an operator sees and does in the dashboard."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.client import SECRET
from support.dashboard_site import DATA, MOUNT, Browse, Visitor, make_dashboard, site_with
from support.plain_store import PlainStore

from wsgi_session import Cookie, Record, SessionManager
from wsgi_session._doctor import check_manager
from wsgi_session.contrib.audit import AuditLog
from wsgi_session.dashboard.pages import MAX_PAGE, PAGE_SIZE
from wsgi_session.dashboard.stats import MOST
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import Finding, MemoryStore, SQLiteStore, StoreReport
from wsgi_session.testing import FakeClock

LISTED_ID = re.compile(r"/end\?session=([0-9a-f]{64})")


def fill(manager: SessionManager, clock: FakeClock, count: int) -> None:
    now = clock()
    for number in range(count):
        record = Record(data=b"{}", created_at=now, seen_at=now, expires_at=now + 3600)
        manager.store.create(f"{number:064x}", record)


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# --- the overview ----------------------------------------------------------------------------------------------------


def test_the_overview_has_the_figures(browse: Browse, operator: Visitor, clock: FakeClock) -> None:
    """How many sessions there are, whose, how old and how large."""
    browse("ada")
    browse().open("/?anonymous=1")
    clock.advance(timedelta(minutes=59))
    operator.get("/")
    clock.advance(timedelta(minutes=3))
    browse("bob")

    page = operator.get("/")

    assert re.search(r'id="count">2<', page.text)
    shown = text_of(page.text)
    assert "Logged in 2 Anonymous 0" in shown
    assert "under an hour 1 under a day 1 under a week 0" in shown
    assert "(1 h 2 min ago)" in shown
    assert "Kind MemoryStore" in shown
    assert re.search(r"Latency \d+\.\d\d ms", shown)


def test_a_large_store_is_counted_only_on_request(operator: Visitor, manager: SessionManager, clock: FakeClock) -> None:
    """The page looks at the first thousand, and says so."""
    fill(manager, clock, MOST)

    page, counted = operator.get("/"), operator.get("/", count="all")

    assert "more than 1,000" in page.text
    assert "Count them all" in page.text
    assert re.search(r'id="count">1,001<', counted.text)


class ReportingStore(SQLiteStore):
    """A store in a file that has something else to report."""

    findings: tuple[Finding, ...] = ()

    def report(self) -> StoreReport:
        return StoreReport(server="a file of <this> machine", version="1.2.3", findings=self.findings)


@pytest.mark.parametrize(
    "findings",
    [
        pytest.param((), id="well"),
        pytest.param(
            (Finding(level="error", subject="maxmemory-policy", text="It evicts <b>.", remedy="CONFIG SET x y"),),
            id="wrong",
        ),
    ],
)
def test_the_store_and_the_doctor_report(tmp_path: Path, clock: FakeClock, findings: tuple[Finding, ...]) -> None:
    """Version and settings are on the page, and what is weak, each with its level and its remedy."""
    store = ReportingStore(tmp_path / "sessions.sqlite3", clock=clock)
    store.findings = findings
    with SessionManager(store, secret=SECRET, clock=clock) as manager:
        operator = Visitor(site_with(manager, make_dashboard(manager, clock=clock))).log_in("root")
        page = operator.get("/").text

    assert "a file of &lt;this&gt; machine" in page
    assert "1.2.3" in page
    assert ("Nothing is weak or wrong" in page) == (not findings)
    for finding in findings:
        assert "It evicts &lt;b&gt;." in page
        assert f"<code>{finding.remedy}</code>" in page
        assert f'<span class="badge {finding.level}">' in page


def test_the_doctor_looks_at_the_options(clock: FakeClock) -> None:
    """A cookie that may travel unencrypted is named, with the line to write."""
    cookie = Cookie(secure=False, name="session")
    with SessionManager(MemoryStore(clock=clock), secret=SECRET, cookie=cookie, clock=clock) as manager:
        operator = Visitor(site_with(manager, make_dashboard(manager, clock=clock))).log_in("root")
        page = operator.get("/").text

    assert [finding.subject for finding in check_manager(manager)] == re.findall(r"</span> <b>([^<]+)</b>", page)
    assert "cookie=Cookie(secure=True)" in page


class FailingStore(MemoryStore):
    """A store in memory that can be told to fail."""

    is_down = False

    def fail(self) -> None:
        if self.is_down:
            raise StoreUnavailable("the server at 192.0.2.7 did not answer. Start it.")

    def load(self, key: str) -> Record | None:
        self.fail()
        return super().load(key)

    def scan(self) -> Iterator[tuple[str, Record]]:
        self.fail()
        return super().scan()

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        self.fail()
        return super().scan_user(user_id)


@pytest.mark.parametrize("path", ["/", "/sessions", "/user?user=ada", "/end?user=ada", f"/end?session={'0' * 64}"])
def test_a_store_that_is_down_is_a_page_that_says_so(clock: FakeClock, path: str) -> None:
    """With 503, for an operator who is known without a session."""
    store = FailingStore(clock=clock)
    with SessionManager(store, secret=SECRET, clock=clock) as manager:
        dashboard = make_dashboard(manager, authorize=lambda environ: True, clock=clock)
        operator = Visitor(site_with(manager, dashboard)).log_in("root")
        store.is_down = True
        page = operator.open(MOUNT + path)

    assert page.status_code == 503
    assert "The store does not answer: the server at 192.0.2.7 did not answer. Start it." in page.text
    assert page.headers["Retry-After"] == "5"


# --- lists -----------------------------------------------------------------------------------------------------------


def test_the_list_shows_each_session_and_no_data(browse: Browse, operator: Visitor) -> None:
    """Whose it is, on which device, its times and its network, and which one is the operator's own."""
    browse("<ada>", label="<phone>")
    browse().open("/?anonymous=1")

    page = operator.get("/sessions").text

    assert len(LISTED_ID.findall(page)) == 3
    assert "&lt;ada&gt;" in page
    assert "/user?user=%3Cada%3E" in page
    assert "&lt;phone&gt;" in page
    assert "Anonymous" in page
    assert page.count("your own") == 1
    assert DATA not in page


def test_a_device_is_named_by_its_label_or_by_its_browser(browse: Browse, operator: Visitor) -> None:
    """As the login noted that, with the network it came from."""
    visitor = browse()
    visitor.headers = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
    visitor.log_in("ada")
    page = operator.get("/user", user="ada").text
    visitor.log_in("ada", label="The phone")

    assert "<b>Firefox on Linux</b>" in page
    assert "From 192.0.2.0/24." in page
    assert "<b>The phone</b>" in operator.get("/user", user="ada").text


def test_one_can_turn_the_pages(operator: Visitor, manager: SessionManager, clock: FakeClock) -> None:
    """Fifty to a page; all pages together have every session once."""
    fill(manager, clock, 2 * PAGE_SIZE)

    pages = [operator.get("/sessions", page=number).text for number in ("1", "2", "3")]

    ids = [LISTED_ID.findall(page) for page in pages]
    assert list(map(len, ids)) == [PAGE_SIZE, PAGE_SIZE, 1]
    assert len({one for page in ids for one in page}) == 2 * PAGE_SIZE + 1
    assert ["?page=1" in page for page in pages] == [False, True, False]
    assert ["?page=3" in page for page in pages] == [False, True, False]
    assert "no live session on this page" in operator.get("/sessions", page="4").text


def test_the_last_page_says_where_to_find_the_others(
    operator: Visitor, manager: SessionManager, clock: FakeClock
) -> None:
    """Each page walks over those before it, so there is an end."""
    fill(manager, clock, MAX_PAGE * PAGE_SIZE)

    page = operator.get("/sessions", page="999").text

    assert f"Page {MAX_PAGE}<" in page
    assert "wsgi-session list" in page
    assert f"?page={MAX_PAGE + 1}" not in page


@pytest.mark.parametrize("number", ["0", "-1", "x", "²", "99999"])
def test_a_page_that_is_no_number_is_the_first(operator: Visitor, number: str) -> None:
    """What stands in the address never fails."""
    assert operator.get("/sessions", page=number).status_code == 200


def test_a_user_is_found_with_every_device(browse: Browse, operator: Visitor) -> None:
    """Nobody else's; a user who is not there, or could not be, is a page that says so."""
    browse("ada", label="phone")
    browse("ada", label="laptop")
    browse("bob", label="desk")

    page = operator.get("/user", user="ada").text

    assert len(LISTED_ID.findall(page)) == 2
    assert "2 live sessions" in page
    assert "desk" not in page
    assert "not logged in anywhere" in operator.get("/user", user="eve").text
    assert operator.get("/user").status_code == 200
    refused = operator.get("/user", user="a" * 256)
    assert (refused.status_code, "No session can have this user" in refused.text) == (400, True)


def test_too_many_fields_are_none(operator: Visitor) -> None:
    """A query that is not the dashboard's own is read as empty."""
    assert "Sessions of" not in operator.get("/user", user="ada", **dict.fromkeys("abcdefgh", "1")).text


# --- ending ----------------------------------------------------------------------------------------------------------


def test_one_session_ends(browse: Browse, operator: Visitor) -> None:
    """It is asked for first; then the user's page says so, and the user's other devices go on."""
    phone, laptop = browse("ada", label="phone"), browse("ada", label="laptop")
    ids = LISTED_ID.findall(operator.get("/user", user="ada").text)
    shown = [one for one in ids if "phone" in operator.get("/end", session=one).text]

    answer = operator.end("session", *shown)

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/ops/sessions/user?user=ada&done=1"
    assert "1 session ended." in operator.open(answer.headers["Location"]).text
    assert (phone.who(), laptop.who()) == ("You are None.", "You are ada.")


def test_an_anonymous_session_ends(browse: Browse, operator: Visitor, manager: SessionManager) -> None:
    """Back to the list of all, since nobody's page could show it."""
    browse().open("/?anonymous=1")
    (anonymous,) = (summary.id for summary in manager.handle() if summary.user_id is None)

    assert "Anonymous" in operator.get("/end", session=anonymous).text
    answer = operator.end("session", anonymous)

    assert answer.headers["Location"] == "/ops/sessions/sessions?done=1"
    assert manager.handle().count() == 1


def test_what_is_gone_already_is_no_error(browse: Browse, operator: Visitor, manager: SessionManager) -> None:
    """Another operator was faster: the page says so."""
    browse("ada")
    (session,) = LISTED_ID.findall(operator.get("/user", user="ada").text)
    token = operator.token(session=session)
    manager.handle().revoke(session)

    answer = operator.end("session", session, csrf_token=token)

    assert "There was nothing left to end." in operator.open(answer.headers["Location"]).text
    assert operator.get("/end", session=session).status_code == 404
    assert operator.get("/end", session="*").status_code == 404


def test_all_sessions_of_a_user_end(browse: Browse, operator: Visitor) -> None:
    """On every device, and nobody else's."""
    phone, laptop, other = browse("ada & co"), browse("ada & co"), browse("bob")
    asked = operator.get("/end", user="ada & co").text

    answer = operator.end("user", "ada & co")

    assert asked.count("<li><div>") == 2
    assert answer.headers["Location"] == "/ops/sessions/user?user=ada+%26+co&done=2"
    assert "2 sessions ended." in operator.open(answer.headers["Location"]).text
    assert [visitor.who() for visitor in (phone, laptop, other)] == ["You are None."] * 2 + ["You are bob."]
    assert "not logged in anywhere at this moment" in operator.get("/end", user="ada & co").text


def test_all_sessions_end(browse: Browse, operator: Visitor, manager: SessionManager) -> None:
    """The operator's, too: the answer says so at once, since the next request is refused."""
    ada = browse("ada")
    browse().open("/?anonymous=1")

    answer = operator.end("all")

    assert answer.status_code == 200
    assert "3 sessions ended." in answer.text
    assert ada.who() == "You are None."
    assert operator.get("/").status_code == 403
    assert manager.handle().count() == 0


@pytest.mark.parametrize("what", ["session", "user"])
def test_an_operator_can_end_their_own_session(operator: Visitor, manager: SessionManager, what: str) -> None:
    """It is answered at once, as when all end."""
    (own,) = manager.handle()

    answer = operator.end(what, own.id if what == "session" else "root")

    assert "Your own was among them." in answer.text
    assert operator.get("/").status_code == 403


@pytest.mark.parametrize("form", [{"what": "everything"}, {"what": ""}], ids=["unknown", "empty"])
def test_a_form_that_is_not_ours_ends_nothing(operator: Visitor, manager: SessionManager, form: dict[str, str]) -> None:
    """It has the token, but asks for what there is not."""
    answer = operator.end(csrf_token=operator.token(all="yes"), **form)

    assert answer.status_code == 400
    assert manager.handle().count() == 1


@pytest.mark.parametrize("done", ["x", "-1", "1" * 10, "²"])
def test_a_made_up_message_is_not_shown(operator: Visitor, done: str) -> None:
    """The number comes from the address, so anything but one is left out."""
    assert 'role="status"' not in operator.get("/sessions", done=done).text


# --- a store that can do less ----------------------------------------------------------------------------------------


@pytest.fixture
def limited(clock: FakeClock) -> Visitor:
    """Return an operator whose store can neither list sessions nor find those of a user, as Memcached."""
    store = PlainStore(MemoryStore(clock=clock))
    manager = SessionManager(store, secret=SECRET, clock=clock)
    return Visitor(site_with(manager, make_dashboard(manager, clock=clock))).log_in("root")


@pytest.mark.parametrize("path", ["/", "/sessions", "/user"])
def test_a_store_that_cannot_list_says_so(limited: Visitor, path: str) -> None:
    """Each page names the ability and the stores that have it."""
    page = limited.get(path, user="ada")

    assert page.status_code == 200
    assert "stores that have it: MemoryStore, SQLiteStore, RedisStore, SQLStore" in page.text


@pytest.mark.parametrize(("what", "which"), [("all", ""), ("user", "ada")])
def test_a_store_that_cannot_end_them_gives_the_remedy(limited: Visitor, what: str, which: str) -> None:
    """A new prefix or a new secret ends everything there."""
    asked = limited.get("/end", **{what: which or "yes"})
    answer = limited.end(what, which, csrf_token=limited.token(session=limited.open("/?id").text))

    for page in (asked, answer):
        assert page.status_code == 501
        assert "prefix=" in page.text
        assert "wsgi-session keygen" in page.text
    assert limited.who() == "You are root."


def test_such_a_store_still_ends_one_session(limited: Visitor) -> None:
    """By its id, which the log has."""
    session_id = limited.open("/?id").text

    answer = limited.end("session", session_id)

    assert "1 session ended." in answer.text
    assert limited.who() == "You are None."


# --- events ----------------------------------------------------------------------------------------------------------


def test_events_are_counted_by_the_hour(clock: FakeClock, tmp_path: Path) -> None:
    """Each chart is a picture with a title and a description, and a table with the same numbers."""
    audit = tmp_path / "sessions.jsonl"
    with SessionManager(MemoryStore(clock=clock), secret=SECRET, clock=clock, on_event=AuditLog(audit)) as manager:
        app = site_with(manager, make_dashboard(manager, clock=clock, audit=audit))
        Visitor(app).log_in("too-early")
        clock.advance(timedelta(hours=24))
        for _ in range(3):
            Visitor(app).log_in("ada")
        clock.advance(timedelta(minutes=50))
        operator = Visitor(app).log_in("root")
        Visitor(app).log_in("bob")
        operator.end("user", "ada")
        page = operator.get("/events").text
        operator.end("all")
        after = Visitor(app).log_in("root").get("/events").text

    assert "<code>revoked</code> 5" in after  # the last event was about two of them
    assert '<h2 id="chart-1">Logins: 5</h2>' in page
    assert "5 in the last day, at most 3 in an hour." in page
    logins, _, rest = page.partition("</section>")
    assert re.findall(r'<td class="number">(\d+)</td>', logins) == ["0"] * 22 + ["3", "2"]
    assert re.findall(r"<rect [^>]* height=\"(\d+)\"><title>[\d:]+: (\d+)</title>", logins) == [
        ("100", "3"),
        ("67", "2"),
    ]
    assert "<code>revoked</code> 3" in rest
    assert "ada" not in page
    assert page.count("<svg") == page.count("<desc") == page.count("<table>") == 6


def test_without_the_audit_file_the_page_says_how_to_switch_it_on(operator: Visitor) -> None:
    """With the lines to write."""
    page = operator.get("/events")

    assert page.status_code == 200
    assert "not switched on" in page.text
    assert 'SessionManager(..., on_event=AuditLog("/var/log/shop/sessions.jsonl"))' in page.text


def test_an_audit_file_that_is_not_there_is_named(manager: SessionManager, clock: FakeClock, tmp_path: Path) -> None:
    """Nobody writes it yet, or this process may not read it."""
    audit = tmp_path / "nobody" / "writes.jsonl"
    operator = Visitor(site_with(manager, make_dashboard(manager, clock=clock, audit=audit))).log_in("root")

    page = operator.get("/events")

    assert page.status_code == 200
    assert "writes.jsonl" in page.text
    assert "cannot be read: No such file or directory." in page.text
