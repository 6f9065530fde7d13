"""A store from a URL: every scheme, every option, and errors that help without telling a password."""

import re
from pathlib import Path

import pytest

from wsgi_session.errors import ConfigError
from wsgi_session.stores import MemoryStore, SQLiteStore, Store, store_from_url
from wsgi_session.stores.url import DEFAULT_STORE_URL
from wsgi_session.testing import FakeClock


@pytest.fixture(autouse=True)
def start_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(store: Store) -> dict[str, object]:
    """Return the options of a store under the names that its constructor has."""
    if isinstance(store, SQLiteStore):
        file = store._file
        options = {"path": file.path, "synchronous": file.synchronous, "timeout": file.timeout_s}
        return {**options, "clock": store._clock}
    assert isinstance(store, MemoryStore)
    return {"max_sessions": store._max_sessions, "clock": store._clock}


@pytest.mark.parametrize(
    ("url", "path"),
    [
        pytest.param("sqlite:///sessions.sqlite3", "sessions.sqlite3", id="relative"),
        pytest.param("sqlite:///./sessions.sqlite3", "sessions.sqlite3", id="dot"),
        pytest.param("SQLite:///sessions.sqlite3", "sessions.sqlite3", id="scheme in capitals"),
        pytest.param("sqlite:///my%20file%23%3F%25.db", "my file#?%.db", id="quoted"),
        pytest.param("sqlite:///%C3%A9t%C3%A9.db", "été.db", id="not ascii"),
        pytest.param(DEFAULT_STORE_URL, "wsgi-session.sqlite3", id="the default"),
    ],
)
def test_a_relative_path_counts_from_the_start_directory(
    url: str, path: str, start_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three slashes name a file in the directory that the application starts in, wherever it goes later."""
    store = store_from_url(url)
    (start_directory / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")

    assert shown(store)["path"] == start_directory / path


def test_an_absolute_path_has_four_slashes(start_directory: Path) -> None:
    """Four slashes name a file by its absolute path."""
    store = store_from_url(f"sqlite:///{start_directory}/name.db")

    assert shown(store)["path"] == start_directory / "name.db"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        pytest.param("sqlite:///a.db", {"synchronous": "NORMAL", "timeout": 2.0}, id="sqlite defaults"),
        pytest.param("sqlite:///a.db?synchronous=FULL", {"synchronous": "FULL"}, id="synchronous"),
        pytest.param("sqlite:///a.db?timeout=0.5", {"timeout": 0.5}, id="timeout"),
        pytest.param("sqlite:///a.db?timeout=9&synchronous=FULL", {"timeout": 9.0, "synchronous": "FULL"}, id="both"),
        pytest.param("memory://", {"max_sessions": 100_000}, id="memory defaults"),
        pytest.param("memory:", {"max_sessions": 100_000}, id="memory without slashes"),
        pytest.param("memory:///", {"max_sessions": 100_000}, id="memory with three slashes"),
        pytest.param("memory://?max_sessions=12", {"max_sessions": 12}, id="max_sessions"),
    ],
)
def test_options_follow_the_question_mark(url: str, options: dict[str, object]) -> None:
    """Every option of a store can be given in its URL, and means what it means in the constructor."""
    clock = FakeClock()

    assert shown(store_from_url(url, clock=clock)).items() >= (options | {"clock": clock}).items()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param(7, "store must be a Store or a URL such as 'sqlite:///wsgi-session.sqlite3', got int.", id="int"),
        pytest.param("", "store has the unknown URL scheme ''; known are sqlite, memory, redis", id="empty"),
        pytest.param(
            "mongodb://db/app", "unknown URL scheme 'mongodb'; known are sqlite, memory, redis", id="unknown scheme"
        ),
        pytest.param("sessions.sqlite3", "unknown URL scheme ''; known are sqlite, memory, redis", id="a path"),
        pytest.param("sqlite://[/a.db", "store is not a valid URL; write it as in 'sqlite:////var", id="no URL"),
        pytest.param("sqlite://a.db", "a sqlite URL names no host", id="two slashes"),
        pytest.param("sqlite://", "SQLiteStore.path must name a file, got ''.", id="no file"),
        pytest.param("sqlite:///:memory:", "For sessions in memory use MemoryStore or memory://.", id=":memory:"),
        pytest.param("sqlite:///no/such/a.db", "does not exist. Create it, and let", id="no directory"),
        pytest.param("sqlite:///a.db#b", "a sqlite store URL has no fragment; write '#' in a path as '%23'.", id="#"),
        pytest.param(
            "sqlite:///a.db?sync=FULL",
            "unknown or repeated option 'sync' in a sqlite store URL; known are synchronous, timeout.",
            id="unknown option",
        ),
        pytest.param("sqlite:///a.db?time_out=1", "option 'time_out' (did you mean 'timeout'?) in a sqlite", id="typo"),
        pytest.param("sqlite:///a.db?timeout=1&timeout=2", "unknown or repeated option 'timeout'", id="twice"),
        pytest.param("sqlite:///a.db?timeout=", "'timeout' in a sqlite store URL must be of type float", id="empty"),
        pytest.param("sqlite:///a.db?timeout=soon", "'timeout' in a sqlite store URL must be of type float", id="text"),
        pytest.param("sqlite:///a.db?timeout=nan", "SQLiteStore.timeout must be more than 0", id="nan"),
        pytest.param("sqlite:///a.db?synchronous=OFF", "SQLiteStore.synchronous must be 'NORMAL' or 'FULL'", id="off"),
        pytest.param("memory://localhost", "a memory:// URL has no host and no path", id="memory with a host"),
        pytest.param("memory:///a", "a memory:// URL has no host and no path", id="memory with a path"),
        pytest.param("memory://?max_sessions=many", "must be of type int, got 'many'.", id="max_sessions no number"),
        pytest.param("memory://?max_sessions=0", "MemoryStore.max_sessions must be a positive int", id="bound of 0"),
        pytest.param("memory://?timeout=1", "known are max_sessions.", id="another store's option"),
    ],
)
def test_a_wrong_url_fails_at_start_up(url: str, text: str) -> None:
    """A URL that means nothing is a ``ConfigError`` that says what is allowed."""
    with pytest.raises(ConfigError, match=re.escape(text)):
        store_from_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@cache/0?nosuch=1",
        "redis+sentinel://app:hunter2@cache/0/1/2",
        "memcached://app:hunter2@cache",
        "mongodb://app:hunter2@db/app",
        "mysql+nosuch://app:hunter2@db/app",
        "sqlite://app:hunter2@db/app",
        "sqlite://app:hunter2@[db/app",
        "memory://app:hunter2@host",
        "memory:///hunter2",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    """Whatever is wrong with a URL, nothing of it that may be a password is told."""
    with pytest.raises(ConfigError) as caught:
        store_from_url(url)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_store_from_a_url_is_not_opened(start_directory: Path) -> None:
    """Nothing is made before the first request needs it."""
    store_from_url("sqlite:///a.db")

    assert list(start_directory.iterdir()) == []
