"""``wsgi-session doctor``: what it loads, what it prints, and how it ends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import run
from support.wsgi_site import served

from wsgi_session import Cookie, SessionMiddleware
from wsgi_session._http.token import make_token

SECRET = make_token()
EXAMPLES = Path(__file__).parents[3] / "examples"

# Their frameworks have no limit of their own on a session that is in use.
FRAMEWORKS_LIMITS = {"Lifetime.absolute", "Lifetime.idle"}

PROGRAM = """
import os
from wsgi_session import Cookie, SessionMiddleware

def app(environ, start_response):
    environ["session"].increment("visits")
    start_response("200 OK", [])
    return []

def make_app(cookie="session", *, secure=True):
    return SessionMiddleware(app, cookie=Cookie(name=cookie, secure=secure))

class sites:
    shop = make_app()

application = make_app()
number = 7
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a program, in which the command is run as a server is started."""
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("WSGI_SESSION_SECRET", SECRET)
    yield tmp_path
    for name in ("program", "failing"):
        sys.modules.pop(name, None)


def run_process(*arguments: str, directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own, whose Python leaves the current directory out of its path."""
    return subprocess.run(
        [sys.executable, "-m", "wsgi_session", "doctor", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONSAFEPATH": "1"} | environment,
        cwd=directory,
    )


@pytest.mark.parametrize("target", ["program", "program:application", "program:make_app()", "program:sites.shop"])
def test_nothing_found_is_success(target: str) -> None:
    """However the application is named."""
    result = run("doctor", target)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "Nothing found.\n", "")


def test_a_finding_is_printed_with_the_line_to_write() -> None:
    """And is a failure, so that CI stops."""
    result = run("doctor", "program:make_app('shop', secure=False)")

    assert result.exit_code == 1
    assert result.stdout.startswith("error: Secure: The cookie 'shop' also goes over plain http: ")
    assert "\n    cookie=Cookie(secure=True);" in result.stdout


def test_findings_come_as_json_too() -> None:
    """One object a line."""
    result = run("doctor", "--json", "program:make_app(secure=False)")

    (finding,) = map(json.loads, result.stdout.splitlines())
    assert (finding["level"], finding["subject"]) == ("error", "Secure")
    assert set(finding) == {"level", "subject", "text", "remedy"}
    assert run("doctor", "--json", "program").stdout == ""


@pytest.mark.parametrize(
    ("level", "status"), [("info", 1), ("warning", 0), ("error", 0), ("never", 0)], ids=lambda value: str(value)
)
def test_the_level_that_fails_can_be_chosen(level: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not as bad is printed all the same."""
    monkeypatch.setenv("WSGI_SESSION_SECRET", " ".join(make_token() for _ in range(3)))

    result = run("doctor", "--fail-on", level, "program")

    assert result.exit_code == status
    assert result.stdout.startswith("info: secret: ")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        pytest.param("nosuch:app", "nosuch:app: ModuleNotFoundError: No module named 'nosuch'", id="no module"),
        pytest.param("program:nosuch", "AttributeError: module 'program' has no attribute 'nosuch'", id="no name"),
        pytest.param("program:number", "is an object of type int, which is not callable", id="no application"),
        pytest.param("program:1 +", "is neither a name nor a call", id="no expression"),
        pytest.param("program:app + app", "is neither a name nor a call", id="a sum"),
        pytest.param("program:make_app(cookie=' ')", "ConfigError: Cookie.name must be", id="a wrong option"),
        pytest.param("failing", "failing: RuntimeError at ", id="an error of its own"),
        pytest.param("http://127.0.0.1:1/", "did not answer", id="no site"),
    ],
)
def test_what_cannot_be_checked_ends_with_status_2(directory: Path, target: str, said: str) -> None:
    """One line; what an application's own error says may be secret."""
    (directory / "failing.py").write_text("\nraise RuntimeError('postgresql://ada:hidden@db/shop')\n")

    result = run("doctor", target)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "hidden" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_without_a_target_the_environment_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret and the store there; without a secret there is nothing to judge."""
    monkeypatch.setenv("WSGI_SESSION_STORE", "memory://")
    found = run("doctor")
    monkeypatch.delenv("WSGI_SESSION_SECRET")
    without = run("doctor")

    assert (found.exit_code, found.stdout.split(": ")[:2]) == (1, ["warning", "memory://"])
    assert without.exit_code == 2
    assert "wsgi-session keygen" in without.stderr


def test_a_site_is_asked_by_its_url() -> None:
    """With the pages, headers and the name of the cookie that are given."""
    asked = []

    def app(environ, start_response):  # type: ignore[no-untyped-def]
        asked.append((environ["PATH_INFO"], environ.get("HTTP_X_KEY")))
        if environ["PATH_INFO"] == "/login":
            environ["session"]["seen"] = True
        start_response("200 OK", [])
        return []

    site = SessionMiddleware(app, "memory://", secret=SECRET, cookie=Cookie(name="shop", httponly=False))
    with served(site) as url:
        result = run("doctor", url, "--path", "/login", "--header", "X-Key: open: sesame", "--cookie", "shop")

    assert result.exit_code == 1
    assert result.stdout.startswith("error: HttpOnly: ")
    assert set(asked) == {("/", "open: sesame"), ("/login", "open: sesame")}


def test_a_header_that_is_none_is_refused_and_not_shown() -> None:
    """It may be a secret."""
    result = run("doctor", "http://127.0.0.1:1/", "--header", "hidden")

    assert result.exit_code == 2
    assert "write it as 'Name: value'" in result.stderr
    assert "hidden" not in result.stderr


def test_a_secret_in_the_program_is_found_in_a_process_of_its_own(directory: Path) -> None:
    """The current directory comes first on the path, also where Python was told to leave it out."""
    (directory / "program.py").write_text(PROGRAM + f"application = SessionMiddleware(app, secret={SECRET!r})\n")

    ended = run_process("program", directory=directory)

    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.startswith("error: secret: ")
    assert "program.py, line " in ended.stdout
    assert SECRET not in ended.stdout


@pytest.mark.parametrize(
    ("place", "target", "expected"),
    [
        pytest.param(".", "plain", set(), id="plain"),
        pytest.param(".", "flask_app:app", set(), id="flask"),
        pytest.param("bottle", "shop", set(), id="bottle"),
        pytest.param("falcon", "shop", set(), id="falcon"),
        pytest.param("pyramid", "shop", set(), id="pyramid"),
        pytest.param("dashboard", "shop:app", set(), id="dashboard"),
        pytest.param("flask_login", "teashop:create_app()", FRAMEWORKS_LIMITS, id="flask_login"),
        pytest.param("django_project", "shop.wsgi", set(), id="django_project"),
        pytest.param("django_admin", "office.wsgi", FRAMEWORKS_LIMITS, id="django_admin"),
    ],
)
def test_the_examples_are_sound(directory: Path, place: str, target: str, expected: set[str]) -> None:
    """Their sessions are found, in each framework, and there is nothing to warn of."""
    where = {"WSGI_SESSION_STORE": f"sqlite:///{directory}/s.sqlite3", "FLASK_USERS_DATABASE": f"{directory}/u.sqlite3"}
    keys = {"FLASK_SECRET_KEY": make_token(), "DJANGO_SECRET_KEY": make_token()}

    # Pyramid imports modules that are on their way out, and Python says so.
    ended = run_process(target, "--json", directory=EXAMPLES / place, PYTHONWARNINGS="ignore", **where, **keys)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert {json.loads(line)["subject"] for line in ended.stdout.splitlines()} == expected
