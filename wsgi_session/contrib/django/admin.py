"""The admin's page of sessions: staff see whose there are, and end them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from heapq import nlargest
from itertools import islice
from typing import Any, NamedTuple

from django.contrib import messages  # type: ignore[import-untyped]  # Django ships no types
from django.contrib.admin import ModelAdmin, register  # type: ignore[import-untyped]
from django.contrib.auth import SESSION_KEY, get_user_model  # type: ignore[import-untyped]
from django.core.exceptions import PermissionDenied, ValidationError  # type: ignore[import-untyped]
from django.db.models import QuerySet  # type: ignore[import-untyped]
from django.http import HttpResponse, HttpResponseRedirect  # type: ignore[import-untyped]
from django.template.response import TemplateResponse  # type: ignore[import-untyped]
from django.urls import path  # type: ignore[import-untyped]

from ..._manager.registry import SessionRegistry
from ..._session.identity import is_user_id
from ..._session.summary import SessionSummary
from ...errors import NotSupported
from .._listing import counted
from .managers import session_manager
from .models import Session
from .store import SessionStore

__all__ = ["SessionAdmin"]

_MOST = 100
"""How many sessions a page shows."""


class _Row(NamedTuple):
    """What the page says of one session. Of its values only whose it is."""

    id: str
    begun: datetime
    seen: datetime
    ends: datetime
    user: str
    is_own: bool


@register(Session)
class SessionAdmin(ModelAdmin):  # type: ignore[misc]  # no types there
    """Lists the sessions in the store, or those of one user, and ends them. Nothing can be added or changed.

    Who may: superusers, and staff with the permissions ``wsgi_session.view_session`` and, to end sessions,
    ``wsgi_session.delete_session``. Nobody, if ``SESSION_ENGINE`` is another one.
    """

    change_list_template = "admin/wsgi_session/session/change_list.html"

    def get_urls(self) -> list[Any]:
        """Return the one page that there is."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.changelist_view), name=name)]

    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002  Django's signature
        """Return that nobody may."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        """Return that nobody may."""
        return False

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        """Return whether the user may, and these are the sessions that the site has."""
        return isinstance(request.session, SessionStore) and super().has_view_permission(request, obj)

    def changelist_view(self, request: Any, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show sessions, or end those that a form names.

        Raises:
            django.core.exceptions.PermissionDenied: The user may not.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        registry = session_manager().handle()
        asked = request.GET.get("user", "").strip()
        user_id = _id_of(asked) if asked else None
        try:
            if request.method == "POST":
                self._end(request, registry)
                return HttpResponseRedirect(request.get_full_path())
            found = _found(registry, user_id)
        except NotSupported:
            found = None
        context = {
            **self.admin_site.each_context(request),
            "title": f"Sessions of {asked}" if asked else "Sessions",
            "opts": self.opts,
            "rows": None if found is None else _rows(found[:_MOST], request.session.id),
            "most": _MOST,
            "has_more": found is not None and len(found) > _MOST,
            "asked": asked,
            "user_id": user_id,
            "is_own": user_id == request.session.get(SESSION_KEY),
            "has_delete_permission": self.has_delete_permission(request),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, self.change_list_template, context)

    def _end(self, request: Any, registry: SessionRegistry) -> None:
        """End the session, or all others of the user, that the form of *request* names."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        user_id = request.POST.get("user")
        if is_user_id(user_id):
            count = registry.revoke_user(user_id, keep=request.session)
        else:
            count = int(registry.revoke(request.POST.get("id", "")))
        self.message_user(request, f"{counted(count)} ended.", messages.SUCCESS if count else messages.WARNING)


def _found(registry: SessionRegistry, user_id: str | None) -> list[SessionSummary]:
    """Return the sessions to show, last used first, and one more than fit if there are more.

    Without a user, the first that the store has to offer will do.
    """
    found: Iterable[SessionSummary] = islice(registry, _MOST + 1)
    if user_id is not None:
        found = registry.sessions_of(user_id) if is_user_id(user_id) else []
    return nlargest(_MOST + 1, found, key=lambda summary: summary.seen_at)


def _rows(found: list[SessionSummary], own_id: str | None) -> list[_Row]:
    names = _names({summary.user_id for summary in found if summary.user_id is not None})
    return [
        _Row(
            summary.id,
            _moment(summary.created_at),
            _moment(summary.seen_at),
            _moment(summary.expires_at),
            names.get(summary.user_id, ""),
            summary.id == own_id,
        )
        for summary in found
    ]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _id_of(name: str) -> str:
    """Return the id of the user with this *name*; without one it is taken for an id, as of a user who was deleted."""
    model = get_user_model()
    user: Any = QuerySet(model).filter(**{model.USERNAME_FIELD: name}).first()
    return name if user is None else str(user.pk)


def _names(user_ids: set[str]) -> dict[str | None, str]:
    """Return the names of users by their ids; of those who are unknown, the id."""
    names: dict[str | None, str] = {user_id: user_id for user_id in user_ids}
    try:
        users = QuerySet(get_user_model()).in_bulk(user_ids)
    except (ValueError, ValidationError):  # one is no id of this model: the site had another one
        return names
    return names | {str(user_id): user.get_username() for user_id, user in users.items()}
