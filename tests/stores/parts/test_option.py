"""Options that several stores have: what is allowed, and what an error says."""

import math
from urllib.parse import urlsplit

import pytest

from wsgi_session.errors import ConfigError
from wsgi_session.stores._parts.option import checked_timeout, is_port, options_in


@pytest.mark.parametrize("timeout", [1e-9, 2, 2.5, 60])
def test_a_timeout_is_a_number_of_seconds(timeout: float) -> None:
    """Up to a minute; a whole number counts as one."""
    checked = checked_timeout("AStore", timeout)

    assert (type(checked), checked) == (float, timeout)


@pytest.mark.parametrize("timeout", [0, -1, 60.1, math.inf, math.nan, True, "2", None])
def test_everything_else_is_no_timeout(timeout: object) -> None:
    """The error names the option, what is allowed, and what it got."""
    with pytest.raises(ConfigError) as refused:
        checked_timeout("AStore", timeout)

    assert str(refused.value) == f"AStore.timeout must be more than 0 and at most 60 seconds, got {timeout!r}."


@pytest.mark.parametrize(
    ("number", "is_one"), [(0, False), (1, True), (65535, True), (65536, False), (-1, False)], ids=str
)
def test_a_port_has_16_bits(number: int, is_one: bool) -> None:
    """Of which none stands for any."""
    assert is_port(number) is is_one


def test_the_options_of_a_url_come_in_its_order() -> None:
    """Each as a name and a text, also an empty one."""
    parts = urlsplit("any://host?size=3&name=&path=%2Fa")

    assert list(options_in(parts, ("name", "path", "size"))) == [("size", "3"), ("name", ""), ("path", "/a")]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        pytest.param("colour=1", " 'colour'", id="unknown"),
        pytest.param("names=1", " 'names' (did you mean 'name'?)", id="misspelt"),
        pytest.param("name=1&name=1", " 'name'", id="given twice"),
        pytest.param("s3cret@host", "", id="perhaps a password"),
        pytest.param("o-d%20d=1", "", id="no name"),
    ],
)
def test_an_unknown_option_is_told_if_that_is_safe(query: str, told: str) -> None:
    """With the one that may have been meant, and what else the store advises."""
    with pytest.raises(ConfigError) as refused:
        list(options_in(urlsplit(f"any://host?{query}"), ("name", "size"), advice=" Ask."))

    assert str(refused.value) == f"unknown or repeated option{told} in a any store URL; known are name, size. Ask."
