"""A page of thirty parts at the moment at which the cookie is renewed, and a stolen copy of the cookie from before."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.places import MakePlace, memcached, redis
from support.servers import TESTS, Browser, gunicorn
from support.services import Services

pytestmark = pytest.mark.server

PARTS = 30


@pytest.mark.parametrize(
    "make_place",
    [pytest.param(None, id="sqlite"), pytest.param(redis, id="redis"), pytest.param(memcached, id="memcached")],
)
def test_a_page_is_served_whole_and_a_copy_ends_the_session(
    make_place: MakePlace | None, services: Services, tmp_path: Path
) -> None:
    """Two processes of eight threads: all parts are the user's, and one of them has the cookie."""
    place = {} if make_place is None else {"WSGI_SESSION_STORE": f"{make_place(services).url}?timeout=30"}
    options = ["--workers=2", "--worker-class=gthread", "--threads=8"]
    ahead = tmp_path / "ahead"
    ahead.write_text("0", encoding="ascii")

    with gunicorn("support.renewed_app", *options, directory=TESTS, home=tmp_path, AHEAD=str(ahead), **place) as server:
        browser = Browser(server)
        browser.get("/login")
        copies = [Browser(server, dict(browser.jar)) for _ in range(PARTS)]
        thief = Browser(server, dict(browser.jar))

        ahead.write_text("100", encoding="ascii")
        with ThreadPoolExecutor(PARTS) as pool:
            answers = list(pool.map(lambda copy: copy.get("/part"), copies[: PARTS // 2]))
            answers += pool.map(lambda copy: copy.get("/write"), copies[PARTS // 2 :])
        assert [answer.body.split()[0] for answer in answers] == [b"ada"] * PARTS
        (renewed,) = [copy for copy, answer in zip(copies, answers, strict=True) if answer.cookies]
        assert renewed.get("/").body == b"ada %d" % (PARTS // 2)

        ahead.write_text("200", encoding="ascii")
        assert thief.get("/").body == b"None 0"
        assert renewed.get("/").body == b"ada %d" % (PARTS // 2)

        ahead.write_text("900", encoding="ascii")
        assert thief.get("/").body == b"None 0"
        assert renewed.get("/").body == b"None 0"
        assert len(server.said("reuse_detected")) == 1
        assert not server.said("Traceback|CRITICAL")
