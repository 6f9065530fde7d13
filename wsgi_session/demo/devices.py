"""The page "Your devices": the sessions of the user who is logged in, and the buttons that end them."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from .. import Session, SessionSummary, get_session
from .._pages.answer import Answer, Form, see_other
from ..errors import NotSupported
from .answers import page, plain
from .journal import Journal

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

__all__ = ["OTHERS", "PASSWORD", "REMEMBER", "Devices"]

PASSWORD: Final = "tea"  # noqa: S105  the page tells it
"""Everybody's password: the demo has no accounts."""

RECENT: Final = timedelta(minutes=5)
"""For how long the password need not be given again."""

REMEMBER: Final = timedelta(minutes=2)
"""For how long a user who ticks "remember me" stays logged in: short enough to watch it end."""

OTHERS: Final = "others"
"""In the place of one session's id: all but this one."""


class Devices:
    """The page and its forms, to be served by the site.

    Args:
        clock: Returns the time in Unix seconds.
        journal: Knows of sessions that ended because somebody had a copy of their cookie.
    """

    def __init__(self, clock: Callable[[], float], journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self.pages: dict[str, Callable[[WSGIEnvironment, Form], Answer]] = {
            "/devices": self._page,
            "/devices/left": self._left,
        }
        self.forms: dict[str, Callable[[Session, Form], Answer]] = {"/devices/end": self._end}

    def _page(self, environ: "WSGIEnvironment", query: Form) -> Answer:
        session = get_session(environ)
        if session.user_id is None:
            return page("logged_out.html")
        try:
            devices = session.devices()
        except NotSupported:
            devices = None
        return page(
            "devices.html",
            environ=environ,
            session=session,
            devices=devices,
            alarms=self._journal.alarms_of(session.user_id),
            now=self._clock(),
            left=_seconds_left(session),
            password=PASSWORD,
            others=OTHERS,
            done=query.get("done", ""),
            ask=query.get("ask", ""),
        )

    def _left(self, environ: "WSGIEnvironment", _query: Form) -> Answer:
        session = get_session(environ)
        # To look how much is left must not add to it.
        session.keep_idle()
        return plain(str(_seconds_left(session) if session.user_id is not None else 0))

    def _end(self, session: Session, form: Form) -> Answer:
        which = form.get("id", "")
        if form.get("password") == PASSWORD:
            session.confirm("password")
        elif not session.authenticated_within(RECENT, factor="password"):
            wrong = "&done=wrong" if "password" in form else ""
            known = which if which == OTHERS or which in {device.id for device in _devices_of(session)} else ""
            return see_other(f"/devices?ask={known}{wrong}#confirm" if known else "/devices")
        if which == OTHERS:
            if _devices_of(session):
                session.log_out_others()
            return see_other("/devices?done=others")
        return see_other("/devices?done=ended" if session.log_out_device(which) else "/devices")


def _devices_of(session: Session) -> list[SessionSummary]:
    try:
        return session.devices()
    except NotSupported:
        return []


def _seconds_left(session: Session) -> int:
    left = session.expires_in
    return 0 if left is None else max(0, round(left.total_seconds()))
