"""Rejects an unknown option of a constructor, and suggests the one that was probably meant; misses a required one."""

from functools import wraps
from typing import Any, Final, TypeVar

from ..errors import ConfigError

__all__ = ["checks_options"]

T = TypeVar("T")

_INSIDE: Final = {
    "cookie": (
        "Cookie",
        ("name", "path", "domain", "secure", "httponly", "samesite", "partitioned", "persistent", "rolling", "prefix"),
    ),
    "lifetime": ("Lifetime", ("idle", "absolute", "touch_every", "longest", "renew_every")),
}
"""Options that a middleware does not take itself, but through an object."""

_OWNED: Final = tuple(names for _, names in _INSIDE.values())

_OTHER_WORDS: Final = {
    "secretkey": "secret",
    "secrets": "secret",
    "url": "store",
    "uri": "store",
    "backend": "store",
    "engine": "store",
    "key": "environ_key",
    "maxage": "idle",
    "age": "idle",
    "timeout": "idle",
    "ttl": "idle",
    "expires": "idle",
    "expiry": "idle",
    "lifetime": "absolute",
    "maxlifetime": "absolute",
    "permanent": "persistent",
    "origins": "trusted_origins",
    "allowedorigins": "trusted_origins",
}
"""What other packages call an option, without underscores."""


def checks_options(cls: type[T]) -> type[T]:
    """Class decorator: let the constructor of *cls* raise ``ConfigError`` for an unknown or a missing keyword.

    The signature stays as it is, for type checkers and for ``help()``.
    """
    init = cls.__init__
    code = init.__code__
    known = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    required = frozenset(known[code.co_argcount - 1 :]) - (init.__kwdefaults__ or {}).keys()

    @wraps(init)
    def checked_init(self: Any, *args: Any, **options: Any) -> None:
        try:
            for name in options:
                if name not in known:
                    advice, all_names = _advice(name, known), ", ".join(known)
                    raise ConfigError(
                        f"{type(self).__name__} has no option {name!r}{advice}. Its options are {all_names}."
                    )
            if missing := required - options.keys():
                raise ConfigError(f"{type(self).__name__} needs the option {', '.join(sorted(missing))}.")
            init(self, *args, **options)
        finally:
            # Error trackers show local variables, and hide a secret only under its own name.
            del args, options

    cls.__init__ = checked_init  # type: ignore[method-assign]
    return cls


def _advice(name: str, known: tuple[str, ...]) -> str:
    """Return what to write instead, beginning with a colon; an empty text if no option is close."""
    from difflib import get_close_matches  # only a mistake needs it

    word = _squeezed(name)
    plain = word.removeprefix("session").removeprefix("cookie")
    for meant in (word, _OTHER_WORDS.get(word, ""), plain, _OTHER_WORDS.get(plain, "")):
        if (option := _find(meant, known)) is not None:
            return f": did you mean {option}?"
        for option, (owner, inner) in _INSIDE.items():
            found = None if inner == known else _find(meant, inner)
            if found is not None and option in known:
                return f": write {option}={owner}({found}=...)"
            if found is not None and known in _OWNED:
                return f": write {option}={owner}({found}=...) as an option of SessionMiddleware"
    close = get_close_matches(name, known, n=1)
    return f": did you mean {close[0]}?" if close else ""


def _find(meant: str, options: tuple[str, ...]) -> str | None:
    return next((option for option in options if _squeezed(option) == _squeezed(meant)), None)


def _squeezed(name: str) -> str:
    return name.lower().replace("_", "")
