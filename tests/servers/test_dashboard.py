"""The example with the dashboard in Flask, in two processes."""

import re
from pathlib import Path

import pytest
from support.servers import EXAMPLES, Browser, Server, gunicorn

pytestmark = pytest.mark.server

DASHBOARD = "/ops/sessions"


def logged_in(server: Server, user: str) -> Browser:
    browser = Browser(server)
    browser.open_forms("/login")
    assert browser.post("/login", user=user, password="open sesame").status == 303
    return browser


def test_an_operator_ends_a_session_of_another_process(tmp_path: Path) -> None:
    """Nobody else gets in; the user whose session ended is logged out in every process."""
    with gunicorn("shop:app", "--workers=2", directory=EXAMPLES / "dashboard", home=tmp_path) as server:
        ada, grace = logged_in(server, "ada"), logged_in(server, "grace")
        assert DASHBOARD.encode() not in ada.get("/").body
        for stranger in (ada, Browser(server)):
            refused = stranger.get(f"{DASHBOARD}/user?user=ada")
            assert (refused.status, refused.body) == (403, b"Forbidden.\n")
        assert f'href="{DASHBOARD}/"'.encode() in grace.get("/").body
        assert "no-store" in grace.get(f"{DASHBOARD}/").all("Cache-Control")[0]

        page = grace.get(f"{DASHBOARD}/user?user=ada").body.decode()
        (link,) = re.findall(r'href="(/ops/sessions/end\?session=\w+)"', page)
        assert ada.post(f"{DASHBOARD}/end", what="all").status == 403
        grace.open_forms(link)
        ended = grace.post(f"{DASHBOARD}/end")

        assert (ended.status, ended.all("Location")) == (303, [f"{DASHBOARD}/user?user=ada&done=1"])
        for _ in range(4):  # both processes answer
            assert b"Hello" not in ada.get("/").body
            assert b"Hello, grace!" in grace.get("/").body
    assert not server.said("Traceback|CRITICAL")
