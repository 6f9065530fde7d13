"""Ends one session, all of a user, or all there are. A page asks before; only the form on it ends anything."""

from typing import Final
from urllib.parse import urlencode

from .. import SessionRegistry
from .._pages.answer import Answer, Form, read_form, read_query, see_other
from .row import rows_of
from .view import Request, error, page

__all__ = ["carry_out", "confirm", "done_in"]

_MALFORMED: Final = "This form is not one of the dashboard's."


def confirm(request: Request, registry: SessionRegistry) -> Answer:
    """Return the page that asks whether to end what the query names.

    Raises:
        NotSupported: The store cannot end that.
        EncodeError: No session can have this user.
    """
    match dict(read_query(request.environ)):
        case {"session": session_id}:
            summary = registry.get(session_id)
            if summary is None:
                return error(request, "404 Not Found", "There is no live session with this id. It may have ended.")
            rows = rows_of(request, [summary])
            return page(request, "confirm.html", what="session", which=summary.id, rows=rows, user=None)
        case {"user": user}:
            rows = rows_of(request, registry.sessions_of(user))
            return page(request, "confirm.html", what="user", which=user, rows=rows, user=user)
        case {"all": _}:
            iter(registry)  # raises NotSupported before anybody presses the button
            return page(request, "confirm.html", what="all", which="", rows=[], user=None)
        case _:
            return error(request, "400 Bad Request", _MALFORMED)


def carry_out(request: Request, registry: SessionRegistry) -> Answer:
    """End what the form names, then send the browser to a page that says so."""
    form = read_form(request.environ)
    what, which, session = form.get("what"), form.get("which", ""), request.session
    is_own, back = False, "/sessions"
    if what == "session":
        summary = registry.get(which)
        if summary is not None and summary.user_id is not None:
            back = f"/user?{urlencode({'user': summary.user_id})}"
        is_own = which == session.id
        count = int(registry.revoke(which))
    elif what == "user":
        is_own, back = which == session.user_id, f"/user?{urlencode({'user': which})}"
        count = registry.revoke_user(which)
    elif what == "all":
        is_own, count = True, registry.revoke_all()
    else:
        return error(request, "400 Bad Request", _MALFORMED)
    if is_own:
        # Whoever ended their own session is no operator any more: the next request would be refused.
        return page(request, "ended.html", count=count)
    return see_other(f"{request.root}{back}{'&' if '?' in back else '?'}done={count}")


def done_in(query: Form) -> int | None:
    """Return how many sessions were just ended, if the page comes after that."""
    count = query.get("done", "")
    return int(count) if count.isdecimal() and len(count) < 10 else None
