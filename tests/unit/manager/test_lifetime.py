"""Two limits and one comparison: all of it is arithmetic."""

import dataclasses
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.client import SECRET

from wsgi_session import Lifetime, SessionManager
from wsgi_session.errors import ConfigError
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

moments = st.floats(0, 4e9)
durations = st.timedeltas(timedelta(microseconds=1), timedelta(days=36_500))


def test_the_defaults_are_an_hour_and_a_day() -> None:
    """The defaults stay within what NIST SP 800-63B asks for at AAL2."""
    assert Lifetime() == Lifetime(idle=timedelta(hours=1), absolute=timedelta(hours=24), touch_every=None)


@pytest.mark.parametrize(
    ("seen_at", "ends_at"),
    [
        pytest.param(0.0, 3_600.0, id="idle limit first"),
        pytest.param(82_800.0, 86_400.0, id="both at once"),
        pytest.param(86_000.0, 86_400.0, id="use does not extend absolute"),
    ],
)
def test_the_earlier_limit_wins(seen_at: float, ends_at: float) -> None:
    """A session ends at whichever limit comes first."""
    assert Lifetime().ends_at(started_at=0.0, seen_at=seen_at) == ends_at


def test_without_an_absolute_limit_use_extends_for_ever() -> None:
    """``absolute=None`` means that only ``idle`` ends a session."""
    lifetime = Lifetime(idle=timedelta(minutes=1), absolute=None)

    assert lifetime.ends_at(started_at=0.0, seen_at=1e9) == 1e9 + 60
    assert lifetime.absolute_end(0.0) == math.inf


@given(idle=durations, extra=durations, started_at=moments, used=st.lists(moments, min_size=1))
def test_no_use_moves_the_end_past_the_absolute_limit(
    idle: timedelta, extra: timedelta, started_at: float, used: list[float]
) -> None:
    """However often a session is used, its end only moves forward, and never past the absolute limit."""
    lifetime = Lifetime(idle=idle, absolute=idle + extra)

    ends = [lifetime.ends_at(started_at=started_at, seen_at=seen_at) for seen_at in sorted(used)]

    assert ends == sorted(ends)
    assert max(ends) <= lifetime.absolute_end(started_at)


@pytest.mark.parametrize(
    ("lifetime", "due_after_s"),
    [
        pytest.param(Lifetime(), 60.0, id="at most a minute"),
        pytest.param(Lifetime(idle=timedelta(seconds=100)), 10.0, id="a tenth of idle"),
        pytest.param(Lifetime(touch_every=timedelta(minutes=30)), 1800.0, id="as configured"),
        pytest.param(Lifetime(touch_every=timedelta(microseconds=1)), 1e-6, id="always"),
    ],
)
def test_a_read_moves_the_idle_limit_only_now_and_then(lifetime: Lifetime, due_after_s: float) -> None:
    """A touch is due from the given time on, and not a moment before."""
    assert lifetime.is_touch_due(seen_at=0.0, now=due_after_s)
    assert not lifetime.is_touch_due(seen_at=0.0, now=due_after_s * 0.999)
    assert not lifetime.is_touch_due(seen_at=0.0, now=-1e9), "a clock that went back is no reason to write"


@pytest.mark.parametrize(
    ("seen_at", "now", "is_due"),
    [
        pytest.param(0.0, 59.9, False, id="in the first slot"),
        pytest.param(0.0, 60.0, True, id="the second slot begins"),
        pytest.param(59.9, 60.0, True, id="a moment later, but in another slot"),
        pytest.param(60.0, 119.9, False, id="in the second slot"),
        pytest.param(30.0, 3_600.0, True, id="much later"),
        pytest.param(60.0, 59.9, False, id="a clock that went back"),
    ],
)
def test_a_write_refreshes_the_cookie_once_in_each_slot_since_the_start(
    seen_at: float, now: float, is_due: bool
) -> None:
    """What counts is the start of the session, not the last use: a busy writer would never be due."""
    start = 1_000_000_007.0

    assert Lifetime().is_refresh_due(started_at=start, seen_at=start + seen_at, now=start + now) is is_due


@given(
    touch_every_s=st.sampled_from([0.5, 10, 33, 50, 90, 99]),
    uses=st.lists(
        st.tuples(
            st.sampled_from(["read", "write"]),
            st.sampled_from(["of the longest pause", "of touch_every"]),
            st.sampled_from([0.01, 0.3, 0.7, 0.999]) | st.floats(0, 0.999),
        ),
        max_size=60,
    ),
)
@example(  # a write sends no cookie, a read comes too early for a touch, and then nothing does for long
    touch_every_s=10,
    uses=[
        ("write", "of touch_every", 0.999),
        ("read", "of touch_every", 0.999),
        ("write", "of the longest pause", 0.99),
    ],
)
@example(touch_every_s=10, uses=[("write", "of touch_every", 0.3)] * 60)
@example(  # the same within short pauses, where two touch_every are longer than idle
    touch_every_s=50,
    uses=[("write", "of the longest pause", 0.998)] * 2 + [("read", "of the longest pause", 0.998)] * 3,
)
def test_a_browser_in_use_keeps_its_cookie(touch_every_s: float, uses: list[tuple[str, str, float]]) -> None:
    """However reads and writes mix, the cookie ends less than ``touch_every`` before the session, and never in use.

    A pause may last as long as ``idle`` less twice ``touch_every``: for so long a read may come too early for a touch,
    and a write for a cookie. Where ``touch_every`` is more than a third of ``idle``, it is half of what that leaves.
    """
    clock = FakeClock()
    longest_s = max(100 - 2 * touch_every_s, (100 - touch_every_s) / 2)
    lifetime = Lifetime(idle=timedelta(seconds=100), absolute=None, touch_every=timedelta(seconds=touch_every_s))
    manager = SessionManager(MemoryStore(clock=clock), secret=SECRET, lifetime=lifetime, clock=clock)
    cookie, cookie_ends_at = "", math.inf
    for use, unit, part in [("write", "of touch_every", 0.0), *uses]:
        pause_s = part * (longest_s if unit == "of the longest pause" else min(touch_every_s, longest_s))
        clock.advance(timedelta(seconds=pause_s))
        assert clock() < cookie_ends_at, "the browser has lost its cookie"
        session = manager.open(cookie)
        assert session.is_new is (cookie == "")
        if use == "write":
            session.increment("writes")
        set_cookie = manager.commit(session, status=200).set_cookie
        if set_cookie is not None:
            cookie, *_, max_age = set_cookie.split("; ")
            cookie_ends_at = clock() + int(max_age.removeprefix("Max-Age="))
        session_ends_at = manager.open(cookie).expires_at or math.inf
        assert cookie_ends_at > session_ends_at - touch_every_s


@pytest.mark.parametrize("option", ["idle", "absolute", "touch_every"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(3600, id="a bare number"),
        pytest.param("1h", id="text"),
        pytest.param(timedelta(0), id="zero"),
        pytest.param(timedelta(microseconds=-1), id="negative"),
        pytest.param(True, id="a flag"),
    ],
)
def test_a_limit_is_a_positive_timedelta(option: str, value: Any) -> None:
    """Durations are never bare numbers; the text names the option, what it was and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        Lifetime(**{option: value})

    assert f"Lifetime.{option} must be a positive datetime.timedelta" in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("absolute", "idle"),
    [
        pytest.param(timedelta(minutes=30), timedelta(minutes=30), id="shorter than an hour"),
        pytest.param(timedelta(hours=1), timedelta(hours=1), id="an hour"),
        pytest.param(timedelta(days=30), timedelta(hours=1), id="a month"),
        pytest.param(None, timedelta(hours=1), id="no absolute limit"),
    ],
)
def test_an_idle_limit_that_was_not_given_is_an_hour_at_most(absolute: timedelta | None, idle: timedelta) -> None:
    """The default contradicts no absolute limit, and a long one does not lengthen it."""
    lifetime = Lifetime(absolute=absolute)

    assert lifetime == Lifetime(idle=None, absolute=absolute) == Lifetime(idle=idle, absolute=absolute)
    assert lifetime.idle == idle
    assert lifetime.ends_at(started_at=0.0, seen_at=0.0) == idle.total_seconds()


def test_touch_every_is_held_against_the_idle_limit_that_counts() -> None:
    """Also where that is the absolute one."""
    with pytest.raises(ConfigError, match=r"shorter than Lifetime.idle \(0:20:00\)"):
        Lifetime(absolute=timedelta(minutes=20), touch_every=timedelta(minutes=30))


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        pytest.param(
            {"idle": timedelta(hours=24, microseconds=1)},
            {"idle": timedelta(hours=24)},
            ["Lifetime.idle (1 day, 0:00:00.000001)", "Lifetime.absolute (1 day, 0:00:00)", "Shorten idle"],
            id="idle longer than absolute",
        ),
        pytest.param(
            {"touch_every": timedelta(hours=1)},
            {"touch_every": timedelta(minutes=59)},
            ["Lifetime.touch_every (1:00:00)", "Lifetime.idle (1:00:00)", "Shorten touch_every"],
            id="touch_every not shorter than idle",
        ),
    ],
)
def test_limits_that_contradict_each_other_are_refused(
    wrong: dict[str, timedelta], right: dict[str, timedelta], words: list[str]
) -> None:
    """A limit that could never take effect is a mistake; the nearest one that can is not."""
    with pytest.raises(ConfigError) as caught:
        Lifetime(**wrong)

    assert [word for word in words if word not in str(caught.value)] == []
    assert Lifetime(**right)


def test_a_lifetime_is_made_of_what_it_was_given() -> None:
    """Whatever is worked out once is none of its fields."""
    lifetime = Lifetime(idle=timedelta(minutes=5))
    lifetime.ends_at(started_at=0.0, seen_at=0.0)

    assert Lifetime(**dataclasses.asdict(lifetime)) == lifetime
    assert dataclasses.replace(lifetime, idle=timedelta(minutes=1)).ends_at(started_at=0.0, seen_at=0.0) == 60.0
