"""What the errors of Redis, Valkey and Memcached say: the reason and the remedy, and nothing that may be a value."""

import errno
import importlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pymemcache.exceptions
import pytest
from support.places import PASSWORD
from support.services import Server, Services, free_port, wait

from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import MemcachedStore, RedisStore, Store
from wsgi_session.stores._parts.reasons import CONNECTION_REASONS, Reason, connection_reason
from wsgi_session.stores.memcached import replies as memcached_replies
from wsgi_session.stores.redis import replies as redis_replies
from wsgi_session.stores.redis.replies import DRIVER_REASONS, REPLIES
from wsgi_session.testing.hooks import new_key

redis = pytest.importorskip("redis", reason="redis-py is not installed (pip install redis)")

DOCS = Path(__file__).parents[3] / "docs" / "store-errors.md"
SECRET = "something-private"

server = pytest.mark.server
libraries = pytest.mark.parametrize("library", ["redis", "valkey"])


@pytest.fixture(scope="module")
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def said_by(store: Store) -> str:
    """Return what the store says of what it cannot do; it must keep the password."""
    with closing(store), pytest.raises(StoreUnavailable) as failure:
        store.load(new_key())
    assert PASSWORD not in str(failure.value)
    return str(failure.value)


# --- the page --------------------------------------------------------------------------------------------------------


def rows(reasons: Mapping[str, Reason]) -> list[str]:
    """Return the rows of a table, one for each reason with all its names."""
    names: dict[Reason, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(f"`{name}`")
    return [f"| {', '.join(names[reason])} | {reason.what} | {reason.remedy} |" for reason in names]


@pytest.mark.parametrize(
    ("heading", "reasons"),
    [
        pytest.param("a reply of Redis or Valkey", REPLIES | DRIVER_REASONS, id="redis"),
        pytest.param("a reply of Memcached", memcached_replies.REPLIES, id="memcached"),
        pytest.param("a connection", CONNECTION_REASONS, id="connections"),
    ],
)
def test_the_page_has_every_cause(heading: str, reasons: Mapping[str, Reason]) -> None:
    """What an operator reads in the log is in the table of the documentation, word for word, and nothing else is."""
    _, _, after = DOCS.read_text(encoding="utf-8").partition(f"| {heading} | what it means | what helps |\n")
    table, _, _ = after.partition("\n\n")

    assert table.splitlines()[1:] == rows(reasons)


# --- replies ---------------------------------------------------------------------------------------------------------


@libraries
@pytest.mark.parametrize("code", [*REPLIES, "NEWCODE"])
def test_a_reply_is_told_by_its_code(library: str, code: str, require: Any) -> None:
    """With either driver, which have classes for some; the rest of the reply may hold a key or a value."""
    require.module(library, install=f"pip install {library}")
    parser = importlib.import_module(f"{library}._parsers.base").BaseParser
    rest = {"MOVED": f"1 {SECRET}:1", "ASK": f"1 {SECRET}:1", "NOAUTH": f"Authentication required. {SECRET}"}
    said = redis_replies.reason_of(parser.parse_error(f"{code} {rest.get(code, SECRET)}"))

    assert said == f"{code}: {REPLIES.get(code, REPLIES['ERR'])}"
    assert SECRET not in said


@libraries
def test_a_reply_without_a_code_is_not_quoted(library: str, require: Any) -> None:
    """A proxy may say anything."""
    require.module(library, install=f"pip install {library}")
    errors = importlib.import_module(f"{library}.exceptions")

    for text in (SECRET, SECRET.upper().replace("-", "_"), "", f"Something {SECRET}"):
        assert redis_replies.reason_of(errors.ResponseError(text)) == f"ERR: {REPLIES['ERR']}"


def test_a_cause_that_nobody_knows_is_told_by_its_class() -> None:
    """Its text stays in the chain."""
    assert redis_replies.reason_of(ValueError(SECRET)) == "ValueError. The chained cause says more."


def memcached_error(kind: str, *said: object) -> Exception:
    error: Exception = getattr(pymemcache.exceptions, kind)(*said)
    return error


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        pytest.param(
            memcached_error("MemcacheServerError", b"out of memory storing"), "SERVER_ERROR out of memory", id="full"
        ),
        pytest.param(
            memcached_error("MemcacheServerError", b"object too large for cache"),
            "SERVER_ERROR object too large for cache",
            id="too large",
        ),
        pytest.param(memcached_error("MemcacheServerError", SECRET.encode()), "SERVER_ERROR", id="another failure"),
        pytest.param(memcached_error("MemcacheServerError"), "SERVER_ERROR", id="no text"),
        pytest.param(memcached_error("MemcacheClientError", SECRET.encode()), "CLIENT_ERROR", id="client error"),
        pytest.param(memcached_error("MemcacheUnknownCommandError", b"gets"), "ERROR", id="unknown command"),
        pytest.param(memcached_error("MemcacheUnexpectedCloseError"), "closed", id="closed"),
        pytest.param(memcached_error("MemcacheUnknownError", SECRET), "other", id="no answer of Memcached"),
        pytest.param(KeyError(SECRET), "other", id="the driver is confused"),
    ],
)
def test_a_reply_of_memcached_is_told_by_its_kind(error: Exception, reply: str) -> None:
    """Its own words are told only where they are one of its fixed texts."""
    said = memcached_replies.reason_of(error)

    assert said == f"{type(error).__name__}: {memcached_replies.REPLIES[reply]}"
    assert SECRET not in said


# --- connections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CONNECTION_REASONS if name.startswith("E") and "EAI" not in name])
def test_every_error_number_has_its_reason(name: str) -> None:
    """Whatever the operating system says."""
    assert connection_reason(OSError(getattr(errno, name), SECRET)) == CONNECTION_REASONS[name]


def with_attributes(error: OSError, **attributes: object) -> OSError:
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(
    ("error", "name"),
    [
        pytest.param(socket.gaierror(socket.EAI_AGAIN, SECRET), "EAI_AGAIN", id="no DNS"),
        pytest.param(socket.gaierror(socket.EAI_FAIL, SECRET), "EAI_NONAME", id="another failure of DNS"),
        pytest.param(TimeoutError(SECRET), "ETIMEDOUT", id="time-out without a number"),
        pytest.param(OSError(SECRET), "OSError", id="no number"),
        pytest.param(OSError(errno.EISCONN, SECRET), "OSError", id="another number"),
        *(
            pytest.param(
                with_attributes(OSError(1, SECRET), verify_code=code), f"certificate {code}", id=f"code {code}"
            )
            for code in (9, 10, 18, 19, 20, 21, 62, 64)
        ),
        pytest.param(with_attributes(OSError(1, SECRET), verify_code=23), "certificate", id="another certificate"),
        pytest.param(with_attributes(OSError(1), reason="TLSV1_ALERT_UNKNOWN_CA"), "TLSV1_ALERT_UNKNOWN_CA", id="CA"),
        pytest.param(with_attributes(OSError(1), reason="SOMETHING_ELSE"), "TLS", id="another failure of TLS"),
        pytest.param(ssl.SSLEOFError(8, SECRET), "SSLEOFError", id="TLS broken off"),
    ],
)
def test_what_is_no_plain_error_number_has_its_reason_too(error: OSError, name: str) -> None:
    """Names, time-outs and TLS."""
    assert connection_reason(error) == CONNECTION_REASONS[name]


def test_what_is_no_error_of_the_system_has_none() -> None:
    """Others know it."""
    assert connection_reason(ValueError(SECRET)) is None


def no_server() -> str:
    return f"127.0.0.1:{free_port()}"


Make = Callable[[str], Store]
MAKERS: list[Any] = [
    pytest.param(lambda at: RedisStore(f"redis://:{PASSWORD}@{at}", timeout=0.5), id="redis"),
    pytest.param(lambda at: RedisStore(f"redis+sentinel://:{PASSWORD}@{at}/main", timeout=0.5), id="sentinel"),
    pytest.param(lambda at: RedisStore(f"redis+cluster://:{PASSWORD}@{at}", timeout=0.5), id="cluster"),
    pytest.param(lambda at: MemcachedStore(at, timeout=0.5), id="memcached"),
]


@pytest.mark.parametrize("make", MAKERS)
def test_where_nothing_listens(make: Make) -> None:
    """The reason is told whoever was asked; of sentinels, that none of them knew."""
    said = said_by(make(no_server()))

    assert ("ConnectionRefusedError: nothing listens there" in said) or "no sentinel names a primary" in said


@pytest.mark.parametrize("make", [MAKERS[0], MAKERS[2], MAKERS[3]])
def test_where_nothing_answers(make: Make) -> None:
    """A port that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        said = said_by(make(f"127.0.0.1:{listener.getsockname()[1]}"))

    assert "no answer came in time" in said


@pytest.mark.parametrize("make", [MAKERS[0], MAKERS[2], MAKERS[3]])
def test_a_name_that_nobody_knows(make: Make) -> None:
    """A machine without a network may not even be able to ask."""
    said = said_by(make("no-such-host.invalid"))

    assert "gaierror: its name " in said


@pytest.mark.parametrize("make", [MAKERS[0], MAKERS[3]])
def test_where_connections_are_closed_at_once(make: Make) -> None:
    """As by a server that takes no more, or one that expects TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with listener.accept()[0] as connection:
                connection.recv(1)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass

        threading.Thread(target=hang_up, daemon=True).start()
        said = said_by(make(f"127.0.0.1:{listener.getsockname()[1]}"))

    assert "it closed the connection" in said


def test_a_socket_file_that_is_not_there(tmp_path: Path) -> None:
    """The path is wrong, or the server does not run."""
    for store in (RedisStore(f"unix://{tmp_path}/none"), MemcachedStore(f"unix:{tmp_path}/none")):
        assert "FileNotFoundError: there is no such socket file" in said_by(store)


# --- real servers that refuse ----------------------------------------------------------------------------------------


@pytest.fixture
def own(services: Services) -> Iterator[Server]:
    own = services.redis("redis")
    yield own
    own.stop()


def ask(server: Server, *commands: str) -> None:
    with redis.Redis(port=server.port) as client:
        for command in commands:
            client.execute_command(*command.split())


@server
def test_a_wrong_and_a_missing_password(own: Server) -> None:
    """The two are told apart, and each is told every time: the server does answer, so it is not spared."""
    ask(own, "CONFIG SET requirepass another")
    wrong = RedisStore(f"redis://:{PASSWORD}@127.0.0.1:{own.port}")
    assert "WRONGPASS: it does not accept" in said_by(wrong)

    with closing(RedisStore(f"redis://127.0.0.1:{own.port}")) as store:
        for _ in range(7):
            with pytest.raises(StoreUnavailable, match="NOAUTH: it requires a password"):
                store.load(new_key())


@server
def test_a_server_that_takes_no_more_connections(own: Server, opened: ExitStack) -> None:
    """The reply has no code of its own."""
    for _ in range(3):
        opened.enter_context(socket.create_connection(("127.0.0.1", own.port))).sendall(b"PING\r\n")
    ask(own, "CONFIG SET maxclients 1")

    assert "it accepts no more connections" in said_by(RedisStore(f"redis://127.0.0.1:{own.port}"))


@server
def test_a_server_that_runs_a_script_without_end(own: Server) -> None:
    """Somebody else's."""
    ask(own, "CONFIG SET busy-reply-threshold 1")
    with socket.create_connection(("127.0.0.1", own.port)) as other:
        other.sendall(b'EVAL "while true do end" 0\r\n')

        def is_busy() -> bool:
            with closing(RedisStore(f"redis://127.0.0.1:{own.port}")) as store:
                return "BUSY: it runs a script that does not end" in said_by(store)

        wait(is_busy, "the script")
    own.kill()


@server
def test_a_cluster_without_its_slots(services: Services) -> None:
    """Nobody has the key."""
    node = services.redis("redis", "--cluster-enabled", "yes", "--cluster-port", free_port())

    assert "CLUSTERDOWN: the cluster has no node" in said_by(RedisStore(f"redis://127.0.0.1:{node.port}"))
    node.stop()


@server
def test_a_cluster_that_is_none(own: Server) -> None:
    """A cluster's URL for one server."""
    assert "it is not a node of a cluster. Use a redis:// URL" in said_by(
        RedisStore(f"redis+cluster://127.0.0.1:{own.port}")
    )


@server
def test_sentinels_that_do_not_know_the_service(own: Server) -> None:
    """Nor does anything that is no sentinel."""
    said = said_by(RedisStore(f"redis+sentinel://127.0.0.1:{own.port}/main"))

    assert "no sentinel names a primary" in said or "ERR: " in said


def certificate(directory: Path, openssl: str, name: str) -> tuple[Path, Path]:
    """Make a certificate for *name* and its key, signed by itself."""
    made, key = directory / "certificate.pem", directory / "key.pem"
    options = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName={name}".split()
    subprocess.run([openssl, *options, "-keyout", key, "-out", made], check=True, capture_output=True)
    return made, key


@server
def test_what_fails_in_tls(services: Services, require: Any, tmp_path: Path) -> None:
    """A certificate that nobody signed, one for another name, one that the server misses, and no TLS at all."""
    openssl = require.program("openssl", install="apt-get install openssl")
    made, key = certificate(tmp_path, openssl, "DNS:localhost")
    files = ["--tls-cert-file", made, "--tls-key-file", key, "--tls-ca-cert-file", made]
    strict_port, easy_port = free_port(), free_port()
    strict = services.redis("redis", "--tls-port", strict_port, *files)
    easy = services.redis("redis", "--tls-port", easy_port, *files, "--tls-auth-clients", "no")
    at = partial("rediss://{}:{}?ssl_ca_certs={}".format)

    assert "SSLCertVerificationError: no trusted authority" in said_by(RedisStore(f"rediss://localhost:{easy_port}"))
    assert "its certificate is for another name" in said_by(RedisStore(at("127.0.0.1", easy_port, made)))
    # With TLS 1.3 a client hears of this after the handshake, or loses the connection before.
    missing = said_by(RedisStore(at("localhost", strict_port, made)))
    assert any(
        text in missing for text in ("it requires a client certificate", "it aborted the TLS", "was cut", "it closed")
    )
    assert "it does not speak TLS on this port" in said_by(RedisStore(at("127.0.0.1", services.memcached().port, made)))
    ended = said_by(RedisStore(f"redis://127.0.0.1:{easy_port}"))
    assert any(text in ended for text in ("it closed the connection", "the connection was cut"))
    for one in (strict, easy):
        one.stop()
