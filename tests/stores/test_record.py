"""What a store keeps of one session."""

import dataclasses

import pytest

from wsgi_session import Record


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
        "persistent=None, format=1, version=None)"
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
