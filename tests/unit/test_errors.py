"""The tree of errors is what callers catch by."""

import re

import pytest

from wsgi_session import errors


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        pytest.param(errors.SessionError, (Exception,), id="SessionError"),
        pytest.param(errors.ConfigError, (errors.SessionError, ValueError), id="ConfigError"),
        pytest.param(errors.EncodeError, (errors.SessionError, TypeError), id="EncodeError"),
        pytest.param(errors.SessionTooLarge, (errors.EncodeError,), id="SessionTooLarge"),
        pytest.param(errors.HeadersSent, (errors.SessionError, RuntimeError), id="HeadersSent"),
        pytest.param(errors.StoreUnavailable, (errors.SessionError,), id="StoreUnavailable"),
        pytest.param(errors.StoreConflict, (errors.SessionError,), id="StoreConflict"),
        pytest.param(errors.NotSupported, (errors.SessionError, NotImplementedError), id="NotSupported"),
    ],
)
def test_an_error_is_caught_as_each_of_its_bases(error: type[Exception], bases: tuple[type, ...]) -> None:
    """Every error is a ``SessionError``, and also what Python itself would raise for the same mistake."""
    assert error.__bases__ == bases
    assert error.__doc__


def test_the_tree_at_the_top_is_the_real_one() -> None:
    """The drawing names every error, under its parent and with the builtin it also is."""
    drawn: dict[str, tuple[int, str]] = {}
    line = r"^    ([ │├└─]*)([A-Z]\w+)(?: \((\w+)\))?"
    for indent, name, builtin in re.findall(line, errors.__doc__ or "", re.MULTILINE):
        drawn[name] = (len(indent) // 4, builtin)

    assert sorted(drawn) == sorted(errors.__all__)
    for name, (depth, builtin) in drawn.items():
        kind = getattr(errors, name)
        assert len([base for base in kind.__mro__ if issubclass(base, errors.SessionError)]) == depth + 1
        assert [base.__name__ for base in kind.__bases__ if not issubclass(base, errors.SessionError)] == (
            [builtin] if builtin else ["Exception"] if depth == 0 else []
        )
