"""What a store keeps of one session."""

import dataclasses

import pytest

from wsgi_session import Record
from wsgi_session.errors import EncodeError


@pytest.fixture
def record() -> Record:
    return Record(
        data=b'{"name":"Ada"}', created_at=1.0, seen_at=2.0, expires_at=3.0, user_id="ada", label="Ada's telephone"
    )


def test_a_record_cannot_be_changed(record: Record) -> None:
    """A store may hand out the very object that it keeps."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.seen_at = 9.0  # type: ignore[misc]  # that is the mistake
    with pytest.raises((AttributeError, TypeError)):
        record.more = 1  # type: ignore[attr-defined]


def test_sec_90_repr_leaves_out_data_and_user(record: Record) -> None:
    """Neither the values of a session nor whose it is reach a log by way of ``repr``."""
    assert repr(record) == (
        "Record(created_at=1.0, seen_at=2.0, expires_at=3.0, authenticated_at=None, idle_s=None, absolute_s=None, "
        "persistent=None, format=2, version=None)"
    )


def test_records_compare_without_their_version(record: Record) -> None:
    """The version says where a record was loaded from, not what it holds."""
    assert dataclasses.replace(record, version=7) == record
    assert dataclasses.replace(record, data=b"{}") != record


def test_a_renewed_record_is_the_same_session(record: Record) -> None:
    """Its limits move, its data may change; when it began and whose it is stays."""
    limits = {"seen_at": 8.0, "expires_at": 9.0}
    known = dataclasses.replace(record, authenticated_at=1.5, version=1)

    touched, written = known.renewed(**limits), known.renewed(**limits, data=b"{}", version=2)

    assert touched == dataclasses.replace(known, **limits)
    assert written == dataclasses.replace(known, **limits, data=b"{}")
    assert (touched.version, written.version) == (None, 2)
    assert known.renewed(**limits, data=b"").data == b""


@pytest.mark.parametrize(
    ("authenticated_at", "started_at"),
    [
        pytest.param(None, 1.0, id="nobody logged in: the creation"),
        pytest.param(5.0, 5.0, id="the login"),
        pytest.param(0.0, 0.0, id="a login at the epoch is a login"),
    ],
)
def test_the_absolute_limit_counts_from_login_or_creation(
    record: Record, authenticated_at: float | None, started_at: float
) -> None:
    """A login starts the absolute limit again."""
    assert dataclasses.replace(record, authenticated_at=authenticated_at).started_at == started_at


UNFIT_TEXTS = [
    pytest.param("x" * 256, id="256 characters"),
    pytest.param("\N{FOX FACE}" * 256, id="256 characters of 4 bytes"),
    pytest.param("secret\0", id="NUL"),
    pytest.param("\ud83e\udd8a", id="surrogates"),
    pytest.param(7, id="a number"),
]


@pytest.mark.parametrize("text", UNFIT_TEXTS)
@pytest.mark.parametrize("field", ["user_id", "label"])
def test_no_record_has_a_text_that_an_engine_might_cut_or_refuse(record: Record, field: str, text: str) -> None:
    """Whoever makes it, and whichever store it was for: the error names the field, and does not quote the text."""
    with pytest.raises(
        EncodeError, match=rf"^Record\.{field} must be None or a str of [01] to 255 characters"
    ) as caught:
        dataclasses.replace(record, **{field: text})
    assert not isinstance(text, str) or text not in str(caught.value)


def test_a_record_of_an_empty_user_is_refused(record: Record) -> None:
    """A user without a name is nobody, which is ``None``; a label may be empty."""
    with pytest.raises(EncodeError, match=r"Record\.user_id must be None or a str of 1 to"):
        record.of_user("", authenticated_at=1.0)
    assert dataclasses.replace(record, label="").label == ""


@pytest.mark.parametrize("text", ["a", "\N{FOX FACE}" * 255, "\ud7ff\ue000", "\n", " "])
def test_a_record_has_any_other_text(record: Record, text: str) -> None:
    """255 characters are Unicode code points, whatever they take as bytes."""
    known = dataclasses.replace(record, user_id=text, label=text)
    assert (known.user_id, known.label) == (text, text)
