"""An option that there is not is a mistake of configuration: it says so at the start, with the one that was meant."""

import dataclasses
import inspect
import traceback
from typing import Any

import pytest
from support.client import SECRET

from wsgi_session import Cookie, Lifetime, SessionManager, SessionMiddleware
from wsgi_session._common.options import _INSIDE
from wsgi_session.csrf import CSRFMiddleware
from wsgi_session.errors import ConfigError
from wsgi_session.importers import FlaskCookie
from wsgi_session.stores import MemcachedStore, MemoryStore, RedisStore, SQLiteStore, SQLStore


def app(environ: Any, start_response: Any) -> Any:
    raise NotImplementedError


CLASSES: dict[Any, tuple[Any, ...]] = {
    SessionMiddleware: (app,),
    CSRFMiddleware: (app,),
    SessionManager: (),
    Cookie: (),
    Lifetime: (),
    MemoryStore: (),
    SQLiteStore: ("a.db",),
    SQLStore: ("sqlite:///a.db",),
    RedisStore: ("redis://localhost",),
    MemcachedStore: ("localhost:11211",),
}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_option_that_there_is_not_is_refused(cls: Any) -> None:
    """By everything that is configured; the text names the option, not its value, and those that there are."""
    with pytest.raises(ConfigError) as caught:
        cls(*CLASSES[cls], hunter2_option="hunter2-value")

    text = str(caught.value)
    assert text.startswith(f"{cls.__name__} has no option 'hunter2_option'")
    assert "hunter2-value" not in text
    options = list(inspect.signature(cls).parameters)
    assert text.endswith(f"Its options are {', '.join(options)}.")


@pytest.mark.parametrize(
    ("cls", "option", "advice"),
    [
        (Cookie, "same_site", "did you mean samesite?"),
        (Cookie, "SameSite", "did you mean samesite?"),
        (Cookie, "http_only", "did you mean httponly?"),
        (Cookie, "secured", "did you mean secure?"),
        (Cookie, "cookie_name", "did you mean name?"),
        (Cookie, "permanent", "did you mean persistent?"),
        (Cookie, "max_age", "write lifetime=Lifetime(idle=...) as an option of SessionMiddleware."),
        (Cookie, "idle", "write lifetime=Lifetime(idle=...) as an option of SessionMiddleware."),
        (Lifetime, "max_age", "did you mean idle?"),
        (Lifetime, "timeout", "did you mean idle?"),
        (Lifetime, "lifetime", "did you mean absolute?"),
        (Lifetime, "touchevery", "did you mean touch_every?"),
        (Lifetime, "rolling", "write cookie=Cookie(rolling=...) as an option of SessionMiddleware."),
        (SessionMiddleware, "cookie_name", "write cookie=Cookie(name=...)."),
        (SessionMiddleware, "session_cookie_samesite", "write cookie=Cookie(samesite=...)."),
        (SessionMiddleware, "http_only", "write cookie=Cookie(httponly=...)."),
        (SessionMiddleware, "secure", "write cookie=Cookie(secure=...)."),
        (SessionMiddleware, "secret_key", "did you mean secret?"),
        (SessionMiddleware, "secrets", "did you mean secret?"),
        (SessionMiddleware, "url", "did you mean store?"),
        (SessionMiddleware, "backend", "did you mean store?"),
        (SessionMiddleware, "key", "did you mean environ_key?"),
        (SessionMiddleware, "max_age", "write lifetime=Lifetime(idle=...)."),
        (SessionMiddleware, "session_timeout", "write lifetime=Lifetime(idle=...)."),
        (SessionMiddleware, "absolute", "write lifetime=Lifetime(absolute=...)."),
        (SessionMiddleware, "on_events", "did you mean on_event?"),
        (SessionManager, "cookie_path", "write cookie=Cookie(path=...)."),
        (CSRFMiddleware, "allowed_origins", "did you mean trusted_origins?"),
        (CSRFMiddleware, "cookie_name", "write cookie=Cookie(name=...)."),
        (CSRFMiddleware, "header", "did you mean header_name?"),
        (RedisStore, "time_out", "did you mean timeout?"),
        (MemoryStore, "max_session", "did you mean max_sessions?"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_the_option_that_was_meant_is_named(cls: Any, option: str, advice: str) -> None:
    """Another spelling, another package's word, or an option that lives in an object of its own."""
    with pytest.raises(ConfigError) as caught:
        cls(*CLASSES[cls], **{option: 1})

    assert f"has no option {option!r}: {advice}" in str(caught.value).replace(". Its options", ".")


@pytest.mark.parametrize(("cls", "option"), [(RedisStore, "path"), (MemoryStore, "samesite"), (SQLStore, "domain")])
def test_without_a_close_name_there_is_no_advice(cls: Any, option: str) -> None:
    """A store has nothing to do with cookies."""
    with pytest.raises(ConfigError, match=rf"^{cls.__name__} has no option '{option}'\. Its options are "):
        cls(*CLASSES[cls], **{option: 1})


def test_what_lives_in_an_object_of_its_own_is_known() -> None:
    """The advice speaks of the options that there are."""
    fields = {
        cls.__name__: tuple(field.name for field in dataclasses.fields(cls) if field.init) for cls in (Cookie, Lifetime)
    }

    assert dict(_INSIDE.values()) == fields


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: SessionMiddleware(secret=SECRET), id="no application"),  # type: ignore[call-arg]
        pytest.param(lambda: Cookie("session"), id="by position"),  # type: ignore[misc]
        pytest.param(lambda: MemoryStore(7), id="a store's, by position"),  # type: ignore[misc]
        pytest.param(lambda: SQLiteStore("a.db", path="b.db"), id="twice"),  # type: ignore[misc]
    ],
)
def test_a_wrong_call_is_a_type_error_as_ever(call: Any) -> None:
    """What is no matter of options stays Python's to say."""
    with pytest.raises(TypeError):
        call()


def test_a_subclass_is_called_by_its_own_name() -> None:
    """Its own constructor is its own affair."""

    class ShopStore(MemoryStore):
        pass

    class OtherStore(MemoryStore):
        def __init__(self, *, shop: str) -> None:
            super().__init__(max_sessions=len(shop))

    assert repr(OtherStore(shop="ab")) == "MemoryStore(max_sessions=2)"
    with pytest.raises(ConfigError, match=r"^ShopStore has no option 'shop'"):
        ShopStore(shop="ab")  # type: ignore[call-arg]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_signature_stays_the_constructors_own(cls: Any) -> None:
    """For ``help()``, editors and documentation."""
    parameters = inspect.signature(cls).parameters.values()

    assert parameters
    assert {parameter.kind for parameter in parameters}.isdisjoint(
        {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    )


@pytest.mark.parametrize("wrong", [{"cookie": 3}, {"cookies": 3}], ids=["value", "name"])
def test_an_error_keeps_the_secret_under_no_other_name(wrong: dict[str, Any]) -> None:
    """Error trackers show the local variables of each frame, and hide only what is called ``secret``."""
    options: dict[str, Any] = {"store": MemoryStore(), "secret": SECRET, **wrong}
    with pytest.raises(ConfigError) as caught:
        SessionMiddleware(app, **options)

    shown = [
        name
        for frame, _ in traceback.walk_tb(caught.value.__traceback__)
        if "wsgi_session." in frame.f_globals["__name__"]
        for name, value in frame.f_locals.copy().items()
        if name not in ("self", "secret") and SECRET in repr(value)
    ]
    assert shown == []


def test_a_required_option_that_is_missing_is_named() -> None:
    """As any other mistake: as a ``ConfigError``, while the application starts."""
    with pytest.raises(ConfigError, match=r"^FlaskCookie needs the option switched_at, until\.$"):
        FlaskCookie(secret=SECRET)  # type: ignore[call-arg]
