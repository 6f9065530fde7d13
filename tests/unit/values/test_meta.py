"""What the package notes about a session: read back as written, and of anything else nothing is so."""

import msgspec
import pytest

from wsgi_session._values.meta import NO_META, Meta, meta_in

FACTS = Meta(is_derived=True, is_unsent=True, is_login=True)
NUMBERED = Meta(is_remembered=True, number=3, renewed_at=1.5, is_used=True)


def test_facts_read_back_as_they_were_written() -> None:
    assert meta_in(FACTS.encode()) == FACTS
    assert meta_in(NUMBERED.encode()) == NUMBERED


def test_no_facts_take_no_room() -> None:
    assert NO_META.encode() == b""
    assert FACTS.but(is_derived=False, is_unsent=False, is_login=False).encode() == b""
    assert meta_in(b"") is NO_META


def test_one_fact_changes_alone() -> None:
    assert meta_in(FACTS.but(is_unsent=False).encode()) == Meta(is_derived=True, is_login=True)


@pytest.mark.parametrize("payload", [b"x", b"\xff", b"\x81\xa7derived", b"\x81\xa7derived\x01", b"\x80\x80"])
def test_of_what_cannot_be_read_nothing_is_so(payload: bytes) -> None:
    assert meta_in(payload) == NO_META


def test_a_fact_of_a_later_release_is_passed_over() -> None:
    assert meta_in(msgspec.msgpack.encode({"derived": True, "later": [1]})) == Meta(is_derived=True)


def test_facts_stay_out_of_error_pages() -> None:
    assert repr(FACTS) == "Meta(...)"
