"""Moments as JSON and back, with what equality ignores."""

import json
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import TZPATH, ZoneInfo

import pytest
from hypothesis import given
from support.classes import CODEC, stored
from support.values import datetimes, shape, text, times

from wsgi_session._values.moment import moment_from_json, moment_to_json
from wsgi_session.errors import EncodeError

BERLIN = ZoneInfo("Europe/Berlin")
CET = timezone(timedelta(hours=1), "CET")
ZONE_FILE = next(path for folder in TZPATH if (path := Path(folder, "Europe/Berlin")).exists())

# Twice on this night it is half past two: the second time an hour later.
HALF_PAST_TWO = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001  naive on purpose


@given(datetimes | times)
def test_a_moment_comes_back_as_it_was(moment: datetime | time) -> None:
    """Its digits, its fold, its zone and what that is called."""
    read = moment_from_json(type(moment), moment_to_json(moment))

    assert shape(read) == shape(moment)
    assert read.tzname() == moment.tzname()


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("zone", [None, UTC, CET, BERLIN, ZoneInfo.no_cache("Europe/Berlin")])
def test_a_time_that_happens_twice_stays_the_one_it_was(zone: tzinfo | None, fold: int) -> None:
    """Equality does not look at ``fold``; without it, a time put into its zone is an hour off."""
    read = stored(HALF_PAST_TWO.replace(tzinfo=zone, fold=fold))

    assert read.fold == fold
    assert read.replace(tzinfo=BERLIN).utcoffset() == timedelta(hours=2 - fold)
    assert stored(time(2, 30, fold=fold)).fold == fold


def test_a_zone_stays_the_zone() -> None:
    """Half a year later it has another offset, as it had before it was stored."""
    moment = datetime(2026, 7, 1, 12, tzinfo=BERLIN)

    read = stored(moment)

    assert read.tzinfo is BERLIN
    assert (read + timedelta(days=180)).utcoffset() == timedelta(hours=1)


def test_an_offset_keeps_its_name() -> None:
    """``datetime.now().astimezone()`` has one."""
    assert stored(datetime(2026, 1, 31, tzinfo=CET)).tzname() == "CET"
    assert stored(time(12, tzinfo=CET)).tzname() == "CET"
    assert stored(time(12, tzinfo=timezone(timedelta(0), "Z"))).tzname() == "Z"


def test_what_iso_text_says_is_stored_as_iso_text() -> None:
    """Other tools can read it; only what the text has no word for is written beside it."""
    assert moment_to_json(datetime(2026, 1, 31, tzinfo=UTC)) == "2026-01-31T00:00:00+00:00"
    assert moment_to_json(HALF_PAST_TWO.replace(fold=1)) == {"text": "2026-10-25T02:30:00", "fold": 1}
    assert moment_to_json(HALF_PAST_TWO.replace(tzinfo=BERLIN)) == {
        "text": "2026-10-25T02:30:00",
        "zone": "Europe/Berlin",
    }
    assert moment_to_json(time(2, 30, tzinfo=CET)) == {"text": "02:30:00+01:00", "name": "CET"}


def test_what_earlier_releases_stored_is_read() -> None:
    """They wrote ISO text with the offset, whatever zone it was of."""
    payload = b'{"at":{"$datetime":"2026-07-01T12:00:00+02:00"},"t":{"$time":"12:00:00"}}'

    assert CODEC.decode(payload) == {
        "at": datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2))),
        "t": time(12),
    }


class Foreign(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1)


class OwnZone(ZoneInfo): ...


def zone_of_a_file(**options: Any) -> ZoneInfo:
    with ZONE_FILE.open("rb") as file:
        return ZoneInfo.from_file(file, **options)


def named(name: str) -> timezone:
    return timezone(timedelta(hours=1), name)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(time(1, tzinfo=Foreign()), "test_moment.Foreign", id="a time in a foreign zone"),
        pytest.param(time(1, tzinfo=BERLIN), "store a datetime", id="a time in a zone with a summer time"),
        *(
            pytest.param(datetime(2026, 1, 31, tzinfo=zone), reason, id=name)
            for name, (zone, reason) in {
                "a foreign zone": (Foreign(), "test_moment.Foreign"),
                "a ZoneInfo of one's own": (OwnZone("Europe/Berlin"), "test_moment.OwnZone"),
                "a zone without a key": (zone_of_a_file(), "from a file"),
                "a zone with a false key": (zone_of_a_file(key="Europe/Rome"), "from a file"),
                "a surrogate as name": (named("\ud800"), "a name that"),
                "a name of a class of its own": (named(type("Name", (str,), {})("CET")), "a name that"),
            }.items()
        ),
    ],
)
def test_a_zone_that_would_not_come_back_is_refused(value: Any, reason: str) -> None:
    """At the line that sets it, with the remedy."""
    with pytest.raises(EncodeError, match=r"^session\['at'\]\[0\] is ") as caught:
        CODEC.encode({"at": [value]})

    assert reason in str(caught.value)
    assert "store " in str(caught.value)


NOON = "2026-01-31T12:00:00"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"text": NOON}, id="text alone"),
        pytest.param({"text": NOON, "fold": 0}, id="no fold"),
        pytest.param({"text": NOON, "fold": 2}, id="a fold beyond both"),
        pytest.param({"text": NOON, "fold": "1"}, id="a fold of text"),
        pytest.param({"text": NOON, "fold": 1, "new": 1}, id="something unknown"),
        pytest.param({"text": NOON, "zone": "No/Where"}, id="a zone of nowhere"),
        pytest.param({"text": NOON, "zone": "Europe"}, id="a folder of zones"),
        pytest.param({"text": NOON, "zone": "../../../etc/passwd"}, id="a file elsewhere"),
        pytest.param({"text": NOON, "zone": "/etc/localtime"}, id="a file at the root"),
        pytest.param({"text": NOON, "zone": "tzdata.zi"}, id="a file that is no zone"),
        pytest.param({"text": NOON, "zone": "x" * 5000}, id="an endless zone"),
        pytest.param({"text": NOON, "zone": "a\0b"}, id="a zone with NUL"),
        pytest.param({"text": NOON, "zone": ""}, id="a zone without a name"),
        pytest.param({"text": NOON, "zone": ["UTC"]}, id="a zone of a list"),
        pytest.param({"text": NOON, "zone": None}, id="a zone of null"),
        pytest.param({"text": f"{NOON}+01:00", "zone": "Europe/Berlin"}, id="a zone and an offset"),
        pytest.param({"text": NOON, "name": "CET"}, id="a name of no offset"),
        pytest.param({"text": f"{NOON}+01:00", "name": 1}, id="a name of a number"),
        pytest.param({"text": f"{NOON}+01:00", "name": "A", "zone": "UTC"}, id="a name and a zone"),
        pytest.param({"text": "20260131T120000", "fold": 1}, id="another spelling"),
        pytest.param({"text": 1, "fold": 1}, id="text of a number"),
        pytest.param([], id="a list"),
        pytest.param(None, id="null"),
    ],
)
@pytest.mark.parametrize("kind", ["datetime", "time"])
def test_sec_70_a_moment_that_was_never_written_is_not_ours(kind: str, content: Any) -> None:
    """Whatever somebody planted in the store reads as no session, and opens no file but those of time zones."""
    if kind == "time" and isinstance(content, dict) and isinstance(content.get("text"), str):
        content = content | {"text": content["text"].partition("T")[2]}
    payload = json.dumps({"key": {f"${kind}": content}}).encode()

    assert CODEC.decode(payload) is None


@given(text)
def test_any_text_may_be_the_name_of_an_offset(name: str) -> None:
    """Python does not ask what it is."""
    assert stored(datetime(2026, 1, 31, tzinfo=named(name))).tzname() == name
