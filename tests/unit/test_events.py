"""What happened to a session, to the log and to callbacks."""

import dataclasses
import logging
import pickle
import typing
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

import wsgi_session
from wsgi_session import (
    CookieRejected,
    Event,
    ReuseDetected,
    SessionCreated,
    SessionRevoked,
    SessionRotated,
    StoreFailed,
    ValueOverwritten,
    events,
)
from wsgi_session._common.dispatcher import _described
from wsgi_session.events import Dispatcher
from wsgi_session.testing import FakeClock

# Who a user is, for callbacks only.
UNTOLD = {"user_id"}

CLASS_VARS = {"name", "level", "remedy", "repetitive"}
KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event) and kind != Event]

# The name and the level are what log searches and alarms are made of: a change of them is announced.
PROMISED = {
    "breaker_closed": logging.WARNING,
    "breaker_opened": logging.WARNING,
    "clock_skew": logging.WARNING,
    "cookie_ambiguous": logging.WARNING,
    "csrf_rejected": logging.WARNING,
    "created": logging.DEBUG,
    "destroyed": logging.INFO,
    "evicted": logging.INFO,
    "expired": logging.INFO,
    "header_rejected": logging.WARNING,
    "loaded": logging.DEBUG,
    "logged_in": logging.INFO,
    "logged_out_others": logging.INFO,
    "new_device": logging.INFO,
    "overwritten": logging.WARNING,
    "rejected": logging.INFO,
    "renewed": logging.DEBUG,
    "reuse_detected": logging.WARNING,
    "revoked": logging.INFO,
    "rotated": logging.INFO,
    "save_conflict": logging.WARNING,
    "saved": logging.DEBUG,
    "store_error": logging.ERROR,
    "touched": logging.DEBUG,
}


def example(kind: type[Event]) -> dict[str, Any]:
    """Return something for every detail that *kind* has beyond its time."""
    hints = typing.get_type_hints(kind)
    samples: dict[Any, Any] = {str: "a\nb", float: 90.0, int: 3, tuple[str, ...]: ("cart", "a\nb")}
    return {
        field.name: "ab" * 32 if field.name in ("id", "old_id") else samples.get(hints[field.name], "gone")
        for field in dataclasses.fields(kind)
        if field.name != "at"
    }


@pytest.fixture
def heard() -> list[Event]:
    return []


def test_every_event_has_its_promised_name_and_level() -> None:
    """One name for each kind, and a level by which one can leave the log at WARNING."""
    assert {kind.name: kind.level for kind in KINDS} == PROMISED
    assert len(KINDS) == len(PROMISED)


def test_every_event_is_public_and_documented() -> None:
    """Callbacks distinguish events by class, so every class can be imported."""
    for kind in [Event, *KINDS]:
        assert kind.__name__ in events.__all__
        assert kind.__name__ in wsgi_session.__all__
        assert kind.__doc__
        assert not kind.__doc__.startswith(f"{kind.__name__}(")


def test_events_of_two_kinds_are_never_equal() -> None:
    """What happened is a part of the value, though the details be the same."""
    bare = [kind(at=1.0) for kind in KINDS if example(kind).keys() == {"id"}]

    assert len(set(bare)) == len(bare) > 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
class TestEveryEvent:
    def test_has_a_field_for_everything_that_it_names(self, kind: type[Event]) -> None:
        """A detail is written down once, and is part of the constructor, the comparison and the line of the log."""
        assert {field.name for field in dataclasses.fields(kind)} == typing.get_type_hints(kind).keys() - CLASS_VARS

    def test_can_be_copied(self, kind: type[Event]) -> None:
        """An event travels to another process, and can be changed on the way: as another one."""
        event = kind(at=1.0, **example(kind))

        assert pickle.loads(pickle.dumps(event)) == event
        assert dataclasses.replace(event, at=2.0) == kind(at=2.0, **example(kind))
        assert repr(event).startswith(f"{kind.__name__}(at=1.0, id=")

    def test_is_a_frozen_value(self, kind: type[Event]) -> None:
        """An event can be kept and compared, and nobody can change it on its way."""
        event = kind(at=1.0, **example(kind))

        for field in dataclasses.fields(kind):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(event, field.name, None)
        assert not hasattr(event, "__dict__")
        assert event == kind(at=1.0, **example(kind))
        assert hash(event) == hash(kind(at=1.0, **example(kind)))

    def test_is_one_line(self, kind: type[Event]) -> None:
        """Whatever is in it, a line end cannot fake a line of the log (SEC-91)."""
        line = _described(kind(at=1.0, **example(kind)))

        assert line.split(" ")[0] == kind.name
        assert line.isprintable()
        assert "at=" not in line.split(" ")
        for name in example(kind):
            assert (f" {name}=" in line) is (name not in UNTOLD)

    def test_reaches_the_callback_and_the_log(
        self, kind: type[Event], heard: list[Event], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Both get it once, the log at its level, with the time of the clock."""
        caplog.set_level(logging.DEBUG, "wsgi_session")
        Dispatcher(heard.append, FakeClock(5.0)).emit(kind, **example(kind))

        assert heard == [kind(at=5.0, **example(kind))]
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("wsgi_session", kind.level)
        assert record.getMessage() == f"session {_described(heard[0])}"

    def test_is_not_even_made_when_nobody_listens(self, kind: type[Event], caplog: pytest.LogCaptureFixture) -> None:
        """Without a callback and below the level of the log, no time is read and nothing constructed."""
        caplog.set_level(kind.level + 1, "wsgi_session")

        def clock() -> float:
            raise AssertionError("nobody needs the time")

        Dispatcher(None, clock).emit(kind, nonsense=object())

        assert caplog.records == []

    def test_is_logged_though_there_is_no_callback(self, kind: type[Event], caplog: pytest.LogCaptureFixture) -> None:
        """The log alone is enough of a listener."""
        caplog.set_level(kind.level, "wsgi_session")
        Dispatcher().emit(kind, **example(kind))

        assert [record.levelno for record in caplog.records] == [kind.level]

    def test_reaches_the_callback_though_it_is_not_logged(
        self, kind: type[Event], heard: list[Event], caplog: pytest.LogCaptureFixture
    ) -> None:
        """The callback hears everything, whatever the level of the log is."""
        caplog.set_level(logging.CRITICAL, "wsgi_session")
        Dispatcher(heard.append).emit(kind, **example(kind))

        assert [type(event) for event in heard] == [kind]
        assert caplog.records == []


def test_a_callback_that_raises_is_logged_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What a listener does wrong is no reason to fail a request."""

    def on_event(event: Event) -> None:
        raise RuntimeError("the listener is broken")

    Dispatcher(on_event).emit(SessionCreated, id="ab" * 32)

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "on_event raised for the event 'created'; the session is not affected."
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], RuntimeError)


def test_a_callback_can_still_stop_the_process() -> None:
    """What is no ``Exception`` is meant for somebody else."""

    def on_event(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Dispatcher(on_event).emit(SessionCreated)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        pytest.param(SessionCreated(at=1.0), "created", id="nothing but a name"),
        pytest.param(SessionCreated(at=1.0, id="ab"), "created id='ab'", id="an id"),
        pytest.param(SessionRotated(at=1.0, id="b", old_id="a"), "rotated id='b' old_id='a'", id="two ids"),
        pytest.param(
            ReuseDetected(at=1.0, id="b", renewed_at=2.0, seen_at=3.0, user_id="ada"),
            f"reuse_detected id='b' renewed_at=2.0 seen_at=3.0. {ReuseDetected.remedy}",
            id="no user",
        ),
        pytest.param(SessionRevoked(at=1.0, count=3), "revoked count=3", id="no id, a count"),
        pytest.param(
            StoreFailed(at=1.0, operation="load", error="locked"),
            "store_error operation='load' error='locked'",
            id="texts",
        ),
    ],
)
def test_the_line_of_an_event(event: Event, line: str) -> None:
    """Its name, then what it carries; what is not known is left out."""
    assert _described(event) == line


def test_overwritten_names_the_keys_and_what_to_write_instead(caplog: pytest.LogCaptureFixture) -> None:
    """The log at its default level says that a change may be lost, of which key, and the remedy."""
    Dispatcher(clock=FakeClock()).emit(ValueOverwritten, id="ab", keys=("cart", "hits"))

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for words in ("'cart'", "'hits'", "may be lost", "increment(", "append(", "apply("):
        assert words in record.getMessage()


def test_overwritten_is_logged_once_a_minute_for_each_key(heard: list[Event], caplog: pytest.LogCaptureFixture) -> None:
    """A busy counter does not fill the log, and hides no other key. The callback hears all of them."""
    clock = FakeClock()
    dispatcher = Dispatcher(heard.append, clock)
    for keys in [("cart",), ("cart",), ("cart", "hits"), ("hits", "cart")]:
        dispatcher.emit(ValueOverwritten, id="ab", keys=keys)
    clock.advance(timedelta(seconds=60))
    dispatcher.emit(ValueOverwritten, id="cd", keys=("cart",))

    logged = [record.getMessage().partition(". ")[0].partition("keys=")[2] for record in caplog.records]
    assert logged == ["('cart',)", "('hits',)", "('cart',)"]
    assert [event.keys for event in heard if isinstance(event, ValueOverwritten)] == [
        ("cart",), ("cart",), ("cart", "hits"), ("hits", "cart"), ("cart",)
    ]  # fmt: skip


def test_several_callbacks_are_called_in_their_order() -> None:
    """One that raises does not keep the event from the next."""
    heard: list[str] = []

    def fail(event: Event) -> None:
        heard.append("first")
        raise ValueError("broken")

    Dispatcher([fail, lambda event: heard.append(event.name)]).emit(SessionCreated)

    assert heard == ["first", "created"]


class Counter:
    """As the metrics are: it wants no event if it can do without."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, object]] = []

    def __call__(self, event: Event) -> None:
        self.counted.append((event.name, event))

    def count_event(self, kind: type[Event], details: Mapping[str, Any]) -> None:
        self.counted.append((kind.name, dict(details)))


def test_for_those_that_only_count_no_event_is_made() -> None:
    """They get what would have been in it."""
    counters = Counter(), Counter()

    Dispatcher([*counters]).emit(CookieRejected, reason="malformed")

    assert [counter.counted for counter in counters] == [[("rejected", {"reason": "malformed"})]] * 2


def test_beside_another_callback_a_counter_gets_the_event() -> None:
    """Both get the same one, in their order."""
    counter, heard = Counter(), list[Event]()

    Dispatcher([counter, heard.append]).emit(SessionCreated)

    assert counter.counted == [("created", heard[0])]


def test_where_it_is_logged_a_counter_gets_the_event(caplog: pytest.LogCaptureFixture) -> None:
    """It has to be made anyway."""
    counter = Counter()

    with caplog.at_level(logging.DEBUG, "wsgi_session"):
        Dispatcher(counter).emit(SessionCreated)

    assert [type(event) for _, event in counter.counted] == [SessionCreated]


def test_a_counter_that_raises_is_logged_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The next one counts."""
    broken, counter = Counter(), Counter()
    broken.counted = None  # type: ignore[assignment]

    Dispatcher([broken, counter]).emit(SessionCreated)

    assert len(counter.counted) == 1
    assert "on_event raised for the event 'created'" in caplog.text


def test_a_callback_that_has_any_attribute_is_called() -> None:
    """As a mock in an application's tests."""

    class Anything:
        def __init__(self) -> None:
            self.heard: list[Event] = []

        def __call__(self, event: Event) -> None:
            self.heard.append(event)

        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    callback = Anything()

    Dispatcher(callback).emit(SessionCreated)

    assert [event.name for event in callback.heard] == ["created"]
