"""The command line: what each command prints where, and what it says when it cannot."""

import contextlib
import errno
import importlib.util
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.command import run

import wsgi_session
from wsgi_session import Record
from wsgi_session._http.token import TokenSigner
from wsgi_session.cli.keygen import COMMANDS, KEYGEN_HELP, run_without_extras
from wsgi_session.stores import SQLiteStore

WEAK_SECRET = "too-short-to-be-a-secret"


def run_process(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, timeout=60)


# --- help, version, keygen -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ()], ids=["--help", "-h", "nothing"])
def test_help_names_every_command(arguments: tuple[str, ...]) -> None:
    """Whoever asks, or does not know what to ask, sees the commands."""
    assert {"ddl", "demo", "keygen", "sweep"} <= set(run(*arguments).output.split())


def test_version_is_the_packages() -> None:
    """``--version`` is one line: name and version."""
    result = run("--version")

    assert result.exit_code == 0
    assert result.stdout == f"wsgi-session, version {wsgi_session.__version__}\n"


def test_keygen_prints_a_secret_and_nothing_else() -> None:
    """Standard output is the secret alone, fit for ``$(wsgi-session keygen)``: 256 bits, and no space in it."""
    first, second = run("keygen"), run("keygen")

    secret = first.stdout.removesuffix("\n")
    assert first.exit_code == 0
    assert len(secret) == 43
    assert len(secret.split()) == 1
    assert secret != second.stdout.removesuffix("\n")
    assert TokenSigner(secret, purpose="session")


def test_keygen_says_how_to_use_and_roll_the_secret() -> None:
    """The hint goes to standard error: first old and new, then new and old. It repeats no secret."""
    result = run("keygen")

    assert "WSGI_SESSION_SECRET='old new'" in result.stderr
    assert result.stderr.index("'old new'") < result.stderr.index("'new old'")
    assert result.stdout.strip() not in result.stderr


def test_ddl_prints_what_an_administrator_runs() -> None:
    """The tables of an SQLStore, for the database and under the name that were asked for."""
    result = run("ddl", "postgresql", "--table", "shop_sessions")

    assert result.exit_code == 0
    assert "CREATE TABLE shop_sessions (" in result.stdout
    assert "BYTEA" in result.stdout


def test_ddl_prints_how_to_upgrade_a_table() -> None:
    """``--upgrade`` prints the statements for a table that is there, instead of those that create one."""
    result = run("ddl", "postgresql://ada@db.example/shop", "--table", "shop_sessions", "--upgrade")

    assert result.exit_code == 0
    assert "CREATE TABLE" not in result.stdout
    assert "ALTER TABLE shop_sessions RENAME COLUMN data TO frame;\n" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("nosuchdatabase",), "nosuchdatabase", id="database"),
        pytest.param(("mysql", "--table", "a b"), "table", id="table"),
    ],
)
def test_ddl_refuses_what_it_does_not_know(arguments: tuple[str, ...], said: str) -> None:
    """One line that names what is wrong, and no traceback."""
    result = run("ddl", *arguments)

    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


# --- sweep -----------------------------------------------------------------------------------------------------------


def test_sweep_removes_what_expired_long_ago(tmp_path: Path) -> None:
    """It prints how many, and only that; ``--grace 0`` takes also what has just expired."""
    url = f"sqlite:///{tmp_path}/sessions.sqlite3"
    store, now = SQLiteStore(tmp_path / "sessions.sqlite3"), time.time()
    for key, life_s in ((1, -1000.0), (2, -310.0), (3, -100.0), (4, 1000.0)):
        record = Record(data=b"", created_at=now, seen_at=now, expires_at=now + life_s)
        store.create(f"{key:064}", record)
    store.close()

    results = [run("sweep", "--store", url), run("sweep", "--grace", "0", env={"WSGI_SESSION_STORE": url})]

    assert [(result.exit_code, result.stdout, result.stderr) for result in results] == [(0, "2\n", ""), (0, "1\n", "")]
    assert store.count() == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("--store", "nosuch://"), "--store: ", id="no store"),
        pytest.param(("--store", "memory://"), "lives in the application's process", id="memory"),
        pytest.param(("--store", "memcached://127.0.0.1:1"), "remove expired sessions themselves", id="memcached"),
        pytest.param(("--store", "redis://127.0.0.1:1"), "remove expired sessions themselves", id="redis"),
        pytest.param(
            ("--store", "postgresql+psycopg://u:hidden@127.0.0.1:1/d"), "--store: the postgresql server", id="no answer"
        ),
    ],
)
def test_a_sweep_that_cannot_be_done_says_why(arguments: tuple[str, ...], said: str) -> None:
    """One line, no traceback, and no password."""
    result = run("sweep", *arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert "hidden" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_sweep_needs_to_know_where() -> None:
    """It makes no file of its own in whatever directory cron runs it; a negative grace is refused, too."""
    without = run("sweep", env={"WSGI_SESSION_STORE": ""})
    negative = run("sweep", "--store", "memory://", "--grace", "-1")

    assert (without.exit_code, negative.exit_code) == (2, 2)
    assert "'--store'" in without.stderr
    assert "'--grace'" in negative.stderr


def test_the_package_is_a_command() -> None:
    """``python -m wsgi_session`` is ``wsgi-session``."""
    result = run_process("-m", "wsgi_session", "--version")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("wsgi-session, version ")


# --- what is not installed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "command", "extra"),
    [
        pytest.param("click", "ddl", "cli", id="click"),
        pytest.param("gunicorn", "demo", "demo", id="gunicorn"),
        pytest.param("jinja2", "demo", "demo", id="jinja2"),
        pytest.param("rich", "demo", "cli", id="rich"),
    ],
)
def test_a_missing_extra_is_named_with_its_remedy(missing: str, command: str, extra: str) -> None:
    """Installed without extras, the command ends with status 1 and the line that installs what it needs."""
    program = f"import sys; sys.modules[{missing!r}] = None; from wsgi_session.cli import main; main()"

    result = run_process("-c", program, command)

    assert result.returncode == 1
    assert result.stdout == ""
    assert missing in result.stderr
    assert f'python -m pip install ".[{extra}]"' in result.stderr
    assert f"wsgi-session-middleware[{extra}]" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def core_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with the package and what it cannot do without, as ``pip install .`` makes it: no extra is there."""
    place = tmp_path_factory.mktemp("core")
    for name in ("wsgi_session", "werkzeug", "itsdangerous", "msgspec", "markupsafe"):
        source = Path(str(importlib.util.find_spec(name).origin)).parent  # type: ignore[union-attr]
        (place / name).symlink_to(source, target_is_directory=True)
    return place


def run_core(core_alone: Path, command: str) -> "subprocess.CompletedProcess[str]":
    """Run *command* in a shell that knows ``wsgi-session`` as it is installed without extras."""
    program = core_alone / "wsgi-session"
    program.write_text(f"#!{sys.executable} -S\nfrom wsgi_session.cli import main\nmain()\n")
    program.chmod(0o700)
    environment = {"PATH": f"{core_alone}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": f"{core_alone}"}
    return subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)


def test_without_extras_keygen_makes_a_secret(core_alone: Path) -> None:
    """The line of the README never exports an empty secret."""
    result = run_core(core_alone, 'export WSGI_SESSION_SECRET="$(wsgi-session keygen)"; echo "$WSGI_SESSION_SECRET"')

    assert TokenSigner(result.stdout.removesuffix("\n"), purpose="session")
    assert result.stderr == run("keygen").stderr


@pytest.mark.parametrize("arguments", ["", "-h", "--help"])
def test_without_extras_help_names_every_command(core_alone: Path, arguments: str) -> None:
    """With what each one does, and whether it needs an extra."""
    result = run_core(core_alone, f"wsgi-session {arguments}")

    assert result.returncode == 0
    assert [f"  {name:<8}{text}" for name, text in COMMANDS.items()] == [
        line.removesuffix(" Needs an extra.") for line in result.stdout.splitlines()[-len(COMMANDS) :]
    ]


def test_without_extras_the_help_of_keygen_prints_no_secret(core_alone: Path) -> None:
    """It is the same text as with them."""
    result = run_core(core_alone, "wsgi-session keygen --help")

    assert result.returncode == 0
    assert result.stdout == f"Usage: wsgi-session keygen\n\n{KEYGEN_HELP}\n"
    assert " ".join(run("keygen", "--help").stdout.split()).startswith(
        f"Usage: wsgi-session keygen [OPTIONS] {KEYGEN_HELP}"
    )


def test_without_extras_the_version_is_the_packages(core_alone: Path) -> None:
    """Word for word as with them."""
    assert run_core(core_alone, "wsgi-session --version").stdout == run("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "Usage: wsgi-session COMMAND", id="nothing"),
        pytest.param(["--help"], "Usage: wsgi-session COMMAND", id="help"),
        pytest.param(["keygen"], "", id="keygen"),
        pytest.param(["keygen", "-h"], KEYGEN_HELP, id="help of keygen"),
        pytest.param(["--version"], wsgi_session.__version__, id="version"),
        pytest.param(["ddl"], None, id="what needs an extra"),
    ],
)
def test_what_needs_no_extra(arguments: list[str], said: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks for something else is told that it was not done."""
    assert run_without_extras(arguments) == (said is not None)
    assert (said or "") in capsys.readouterr().out


def test_without_click_a_secret_is_no_failure() -> None:
    """The status is 0, and standard output the secret alone."""
    result = run_process(
        "-c", "import sys; sys.modules['click'] = None; from wsgi_session.cli import main; main()", "keygen"
    )

    assert (result.returncode, len(result.stdout)) == (0, 44)


@pytest.mark.parametrize("command", ["ddl postgresql", "demo", "nonsense", "keygen --nonsense"])
def test_without_extras_every_other_command_names_the_extra(core_alone: Path, command: str) -> None:
    """It fails, with the remedy and nothing on standard output."""
    result = run_core(core_alone, f"wsgi-session {command}")

    assert (result.returncode, result.stdout) == (1, "")
    assert 'python -m pip install ".[cli]"' in result.stderr
    assert "Traceback" not in result.stderr


def test_a_module_that_no_extra_has_is_no_missing_extra() -> None:
    """A broken installation is not explained away."""
    program = "import sys; sys.modules['importlib.resources'] = None; from wsgi_session.cli import main; main()"

    result = run_process("-c", program, "demo")

    assert result.returncode == 1
    assert "ModuleNotFoundError" in result.stderr
    assert "pip install" not in result.stderr


# --- demo: what it refuses -------------------------------------------------------------------------------------------


def refusal(*arguments: str, env: dict[str, str] | None = None) -> str:
    """Return the one line with which the demo refuses to start."""
    result = run("demo", *arguments, env=env)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_taken_port_is_named_with_the_option_that_changes_it() -> None:
    """The second demo on one port says so in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        message = refusal("--port", port)

    assert f"port {port} is taken" in message
    assert "--port" in message


@pytest.mark.parametrize(
    ("number", "said"),
    [
        pytest.param(errno.EACCES, "port 80 needs privileges", id="privileged"),
        pytest.param(errno.EPERM, "port 80 needs privileges", id="forbidden"),
        pytest.param(errno.EMFILE, "cannot listen on 127.0.0.1, port 80", id="anything else"),
    ],
)
def test_a_refused_port_says_why(number: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the system says no with becomes one line that names the option."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "create_server", refuse)

    message = refusal("--port", "80")

    assert said in message
    assert "--port" in message


@pytest.mark.parametrize(
    ("host", "said"),
    [
        pytest.param("192.0.2.1", "not an address of this machine", id="another machine's"),
        pytest.param("a..b", "is unknown", id="no name at all"),
    ],
)
def test_an_impossible_host_says_why(host: str, said: str) -> None:
    """So does an address that is not ours."""
    message = refusal("--host", host, "--port", "0")

    assert said in message
    assert "--host" in message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("--store", "cassandra://x"), "unknown URL scheme 'cassandra'", id="unknown store"),
        pytest.param(("--store", "sqlite:////no/such/place/x"), "does not exist", id="missing directory"),
        pytest.param(("--store", "memory://"), "--workers 1", id="memory of two processes"),
    ],
)
def test_an_impossible_store_is_refused(arguments: tuple[str, ...], said: str) -> None:
    """The demo does not start on a store that it could not use; the text says what to change."""
    message = refusal(*arguments)

    assert "--store" in message
    assert said in message


def test_a_store_that_does_not_answer_is_refused() -> None:
    """Nothing listens there: the demo says so at the start, and not at each request. It shows no password."""
    pytest.importorskip("redis")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    message = refusal("--port", "0", "--store", f"redis://:hunter2@127.0.0.1:{port}/0")

    assert message.startswith("Error: --store: ")
    assert f"127.0.0.1:{port}" in message
    assert "hunter2" not in message


def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A page that only reads would be served; a session could not begin."""
    path = tmp_path / "full.sqlite3"
    SQLiteStore(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE wsgi_sessions (something_else)")

    message = refusal("--port", "0", "--store", f"sqlite:///{path}")

    assert message.startswith("Error: --store: ")


def test_a_weak_secret_is_refused_and_not_shown() -> None:
    """A secret from the environment is held to the same rules, and is never printed."""
    message = refusal(env={"WSGI_SESSION_SECRET": WEAK_SECRET})

    assert "WSGI_SESSION_SECRET" in message
    assert WEAK_SECRET not in message


def test_the_demo_needs_unix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where gunicorn cannot run, that is what the message says."""
    monkeypatch.delattr(os, "fork")

    assert "Unix" in refusal()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        pytest.param("--port", "65536", id="a port too high"),
        pytest.param("--port", "http", id="a port that is no number"),
        pytest.param("--workers", "0", id="no worker"),
    ],
)
def test_a_bad_option_is_named(option: str, value: str) -> None:
    """A value that is not allowed is a usage error, with the option's name and range."""
    result = run("demo", option, value)

    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.stderr


def test_the_site_is_part_of_the_package() -> None:
    """Templates, style, script and icon lie where an installed package finds them."""
    demo = Path(wsgi_session.__file__).parent / "demo"

    names = {file.name for file in demo.rglob("*.*")}

    assert {"page.html", "error.html", "layout.html", "demo.css", "demo.js"} <= names
