"""What ``set_lifetime`` chooses, and what it refuses."""

import math
from datetime import timedelta
from typing import Any

import pytest

from wsgi_session import Lifetime, Record
from wsgi_session._session.own_limits import OwnLimits, choose_limits

RECORD = Record(data=b"{}", created_at=1.0, seen_at=2.0, expires_at=3.0, idle_s=4.0, absolute_s=5.0, persistent=True)
MONTH = Lifetime(idle=timedelta(days=1), absolute=timedelta(days=30))


@pytest.mark.parametrize(
    ("lifetime", "limits"),
    [
        pytest.param(MONTH, (86_400.0, 30 * 86_400.0), id="both"),
        pytest.param(Lifetime(absolute=timedelta(minutes=5)), (300.0, 300.0), id="absolute alone"),
        pytest.param(Lifetime(idle=timedelta(1), absolute=None), (86_400.0, timedelta.max.total_seconds()), id="none"),
        pytest.param(None, (None, None), id="those of all again"),
    ],
)
def test_what_a_lifetime_chooses(lifetime: Lifetime | None, limits: tuple[float | None, float | None]) -> None:
    """Both limits, or none; a missing absolute limit is a number that every store can keep."""
    chosen = choose_limits(lifetime, ..., earlier=None)

    assert (chosen.idle_s, chosen.absolute_s) == limits


@pytest.mark.parametrize(
    ("calls", "persistent"),
    [
        pytest.param([...], True, id="left out"),
        pytest.param([False], False, id="given"),
        pytest.param([None], None, id="as configured"),
        pytest.param([False, ...], False, id="given, then left out"),
        pytest.param([False, None], None, id="given, then as configured"),
    ],
)
def test_persistence_that_is_left_out_stays(calls: list[Any], persistent: bool | None) -> None:
    """As the request chose it earlier, else as it is stored; nothing but limits and persistence changes."""
    earlier: OwnLimits | None = None
    for call in calls:
        earlier = choose_limits(MONTH, call, earlier=earlier)

    assert earlier is not None
    assert earlier.given_to(RECORD) == Record(
        data=b"{}",
        created_at=1.0,
        seen_at=2.0,
        expires_at=math.inf,
        idle_s=86_400.0,
        absolute_s=30 * 86_400.0,
        persistent=persistent,
    )


@pytest.mark.parametrize("wrong", [timedelta(days=30), 3600, "30 days", True, Lifetime], ids=repr)
def test_only_a_lifetime_is_a_lifetime(wrong: Any) -> None:
    """The text says what to write instead."""
    with pytest.raises(
        TypeError, match=r"set_lifetime\(\) takes a Lifetime, such as Lifetime\(idle=.*or None"
    ) as caught:
        choose_limits(wrong, ..., earlier=None)

    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize("wrong", [1, 0, "yes", NotImplemented], ids=repr)
def test_only_a_flag_is_persistence(wrong: Any) -> None:
    """Numbers and texts are no flags."""
    with pytest.raises(TypeError, match=r"set_lifetime\(persistent=\.\.\.\) is True, False, or None") as caught:
        choose_limits(MONTH, wrong, earlier=None)

    assert repr(wrong) in str(caught.value)
