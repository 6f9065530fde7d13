"""Two limits and one comparison: all of it is arithmetic."""

import dataclasses
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.client import SECRET

from wsgi_session import Lifetime, Record, SessionManager
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
    assert Lifetime().limits.ends_at(started_at=0.0, seen_at=seen_at) == ends_at


def test_without_an_absolute_limit_use_extends_for_ever() -> None:
    """``absolute=None`` means that only ``idle`` ends a session."""
    lifetime = Lifetime(idle=timedelta(minutes=1), absolute=None)

    assert lifetime.limits.ends_at(started_at=0.0, seen_at=1e9) == 1e9 + 60
    assert lifetime.limits.absolute_end(0.0) == math.inf


@given(idle=durations, extra=durations, started_at=moments, used=st.lists(moments, min_size=1))
def test_no_use_moves_the_end_past_the_absolute_limit(
    idle: timedelta, extra: timedelta, started_at: float, used: list[float]
) -> None:
    """However often a session is used, its end only moves forward, and never past the absolute limit."""
    lifetime = Lifetime(idle=idle, absolute=idle + extra)

    ends = [lifetime.limits.ends_at(started_at=started_at, seen_at=seen_at) for seen_at in sorted(used)]

    assert ends == sorted(ends)
    assert max(ends) <= lifetime.limits.absolute_end(started_at)


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
    assert lifetime.limits.is_touch_due(seen_at=0.0, now=due_after_s)
    assert not lifetime.limits.is_touch_due(seen_at=0.0, now=due_after_s * 0.999)
    assert not lifetime.limits.is_touch_due(seen_at=0.0, now=-1e9), "a clock that went back is no reason to write"


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

    assert Lifetime().limits.is_refresh_due(started_at=start, seen_at=start + seen_at, now=start + now) is is_due


@given(
    touch_every_s=st.sampled_from([0.5, 10, 33, 50, 90, 99]),
    is_own=st.booleans(),
    uses=st.lists(
        st.tuples(
            st.sampled_from(["read", "write", "late write", "look"]),
            st.sampled_from(["of the longest pause", "of touch_every"]),
            st.sampled_from([0.01, 0.3, 0.7, 0.999]) | st.floats(0, 0.999),
        ),
        max_size=60,
    ),
)
@example(  # a write sends no cookie, a read comes too early for a touch, and then nothing does for long
    touch_every_s=10,
    is_own=False,
    uses=[
        ("write", "of touch_every", 0.999),
        ("read", "of touch_every", 0.999),
        ("write", "of the longest pause", 0.99),
    ],
)
@example(touch_every_s=10, is_own=False, uses=[("write", "of touch_every", 0.3)] * 60)
@example(  # the same within short pauses, where two touch_every are longer than idle
    touch_every_s=50,
    is_own=False,
    uses=[("write", "of the longest pause", 0.998)] * 2 + [("read", "of the longest pause", 0.998)] * 3,
)
def test_a_browser_in_use_keeps_its_cookie(
    touch_every_s: float, is_own: bool, uses: list[tuple[str, str, float]]
) -> None:
    """However reads and writes mix, the cookie ends less than ``touch_every`` before the session, and never in use.

    Nor does it end after the session, but for the rest of a second. This is the same for limits of all sessions and of
    one; looks that keep idle change nothing.

    A pause may last as long as ``idle`` less twice ``touch_every``: for so long a read may come too early for a touch,
    and a write for a cookie. Where ``touch_every`` is more than a third of ``idle``, it is half of what that leaves.
    """
    clock = FakeClock()
    limits, touch_every = Lifetime(idle=timedelta(seconds=100), absolute=None), timedelta(seconds=touch_every_s)
    if is_own:
        lifetime, touch_every_s = Lifetime(touch_every=touch_every), min(touch_every_s, 10)
    else:
        lifetime = dataclasses.replace(limits, touch_every=touch_every)
    longest_s = max(100 - 2 * touch_every_s, (100 - touch_every_s) / 2)
    manager = SessionManager(MemoryStore(clock=clock), secret=SECRET, lifetime=lifetime, clock=clock)
    cookie, ends = "", (math.inf, math.inf)
    for use, unit, part in [("begin", "of touch_every", 0.0), *uses]:
        pause_s = part * (longest_s if unit == "of the longest pause" else min(touch_every_s, longest_s))
        clock.advance(timedelta(seconds=0 if use == "look" else pause_s))
        assert clock() < ends[0], "the browser has lost its cookie"
        session = manager.open(cookie)
        assert session.is_new is (cookie == "")
        if use in ("begin", "write"):
            session.increment("writes")
        if use == "begin" and is_own:
            session.set_lifetime(limits)
        if use == "look":
            session.keep_idle()
        set_cookie = manager.commit(session, status=200).set_cookie
        if use == "late write":
            session.increment("writes")
        manager.commit(session, status=200, can_set_cookie=False, is_final=True)

        cookie_ends_at = ends[0]
        if set_cookie is not None:
            cookie, *_, max_age = set_cookie.split("; ")
            cookie_ends_at = clock() + int(max_age.removeprefix("Max-Age="))
        session_ends_at = manager.open(cookie).expires_at or math.inf
        assert session_ends_at - touch_every_s < cookie_ends_at < session_ends_at + 1
        assert use != "look" or ends == (cookie_ends_at, session_ends_at)
        ends = cookie_ends_at, session_ends_at


@pytest.mark.parametrize("option", ["idle", "absolute", "touch_every", "longest", "renew_every"])
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
    assert lifetime.limits.ends_at(started_at=0.0, seen_at=0.0) == idle.total_seconds()


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
        pytest.param(
            {"renew_every": timedelta(seconds=59)},
            {"renew_every": timedelta(seconds=60)},
            ["Lifetime.renew_every (0:00:59)", "at least 0:01:00", "Lengthen it"],
            id="renew_every shorter than the grace",
        ),
        pytest.param(
            {"renew_every": timedelta(minutes=9), "touch_every": timedelta(minutes=10)},
            {"renew_every": timedelta(minutes=10), "touch_every": timedelta(minutes=10)},
            ["Lifetime.renew_every (0:09:00)", "at least 0:10:00"],
            id="renew_every shorter than touch_every",
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
    lifetime.limits.ends_at(started_at=0.0, seen_at=0.0)

    assert Lifetime(**dataclasses.asdict(lifetime)) == lifetime
    assert dataclasses.replace(lifetime, idle=timedelta(minutes=1)).limits.ends_at(started_at=0.0, seen_at=0.0) == 60.0


# --- limits of one session -------------------------------------------------------------------------------------------

DAY_S = 86_400.0


def own(**limits: float) -> Record:
    return Record(data=b"", created_at=0.0, seen_at=0.0, expires_at=0.0, **limits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("longest", "record", "limits"),
    [
        pytest.param(timedelta(days=400), own(), (3600, DAY_S), id="none"),
        pytest.param(timedelta(minutes=1), own(), (3600, DAY_S), id="none, below the ceiling or not"),
        pytest.param(timedelta(days=400), own(idle_s=60, absolute_s=600), (60, 600), id="shorter"),
        pytest.param(timedelta(days=400), own(idle_s=DAY_S, absolute_s=9 * DAY_S), (DAY_S, 9 * DAY_S), id="longer"),
        pytest.param(timedelta(days=7), own(idle_s=9 * DAY_S, absolute_s=30 * DAY_S), (7 * DAY_S, 7 * DAY_S), id="cut"),
        pytest.param(timedelta(days=7), own(idle_s=60, absolute_s=30 * DAY_S), (60, 7 * DAY_S), id="one cut"),
        pytest.param(None, own(idle_s=9e9, absolute_s=8e13), (9e9, 8e13), id="no ceiling"),
        pytest.param(timedelta(days=400), own(idle_s=60), (60, DAY_S), id="idle alone"),
        pytest.param(timedelta(days=400), own(absolute_s=600), (3600, 600), id="absolute alone"),
    ],
)  # fmt: skip
def test_the_limits_of_one_session(longest: timedelta | None, record: Record, limits: tuple[float, float]) -> None:
    """Its own, in both directions, but never beyond the ceiling of today; what it has none of is as configured."""
    found = Lifetime(longest=longest).limits_of(record)

    assert (found.idle_s, found.absolute_s) == limits


@pytest.mark.parametrize(
    ("touch_every", "idle_s", "due_after_s"),
    [
        pytest.param(None, 30 * DAY_S, 60.0, id="a minute"),
        pytest.param(None, 100.0, 10.0, id="a tenth of its own idle"),
        pytest.param(timedelta(minutes=5), 30 * DAY_S, 300.0, id="as seldom as configured"),
        pytest.param(timedelta(minutes=5), 600.0, 60.0, id="or a tenth of its own idle"),
        pytest.param(timedelta(seconds=1), 30 * DAY_S, 1.0, id="as often as configured"),
    ],
)
def test_how_often_own_limits_are_moved(touch_every: timedelta | None, idle_s: float, due_after_s: float) -> None:
    """A ``touch_every`` that was chosen for another idle limit never logs out somebody who only reads."""
    limits = Lifetime(touch_every=touch_every).limits_of(own(idle_s=idle_s, absolute_s=99 * DAY_S))

    assert limits.is_touch_due(seen_at=0.0, now=due_after_s)
    assert not limits.is_touch_due(seen_at=0.0, now=due_after_s * 0.999)
    assert limits.refresh_every_s <= limits.touch_every_s <= limits.idle_s / 10
