"""The promises about loading a record, and about what a store cannot read."""

from contextlib import suppress
from dataclasses import FrozenInstanceError
from datetime import timedelta

from ..events import Dispatcher, Event, ReportsEvents
from ..stores._parts.reporting import reporting_to
from ..stores.contract import Store, SupportsScan, SupportsSweep
from ..stores.record import Record
from .clock import FakeClock
from .hooks import LIFE, LIFE_S, OWN, Hooks, assert_same, new_key, new_record, read

__all__ = ["ReadPromises"]

HOSTILE_BYTES = (
    b"\x00",
    b"\x00\xff\xfe" * 7,
    b"\r\nflush_all\r\n",
    b"*1\r\n$8\r\nFLUSHALL\r\n",
    b"'; DROP TABLE wsgi_sessions; --",
    b"%s %(key)s {} ${key} \\",
    b"\x80\x05K\x01.",  # pickled 1
    b"null",
    b"0",
    b"  spaces around  \n",
)
ODD_TEXTS = (
    "0",
    "Zoë 🦊 日本語",
    "Zoe\u0308",  # not the one character that looks the same
    "' OR 1=1 --",
    "a\r\nb",
    "%s\\",
    " spaces around ",
    "x" * 255,
    "🦊" * 255,  # the bound counts characters, whatever they take as bytes
)


class ReadPromises(Hooks):
    """What ``load`` returns, and that it changes nothing."""

    def test_it_is_a_store(self, store: Store) -> None:
        """A store has every method of the protocol."""
        assert isinstance(store, Store), "a method of wsgi_session.stores.Store is missing"

    def test_an_absent_record_reads_as_none(self, store: Store) -> None:
        """A key that was never stored reads as ``None``."""
        assert store.load(new_key()) is None, "load() returned something for a key that was never stored"

    def test_every_field_comes_back(self, store: Store, clock: FakeClock) -> None:
        """Every field of a record is loaded as it was created, fractions of seconds included."""
        key, now = new_key(), clock()
        record = Record(
            data=b"{}",
            created_at=now - 1 / 3,
            seen_at=now - 0.000_123,
            expires_at=now + LIFE_S + 0.7,
            authenticated_at=now - 0.1,
            user_id="ada",
            label="Firefox",
            **OWN,
        )

        assert store.create(key, record) is True, "create() did not return True for a new key"
        assert_same(read(store, key), record)

    def test_absent_fields_come_back_absent(self, store: Store, clock: FakeClock) -> None:
        """``None`` stays ``None``; it becomes neither 0 nor an empty text."""
        key = new_key()
        store.create(key, new_record(clock))
        loaded = read(store, key)

        for field in ("authenticated_at", "user_id", "label", "idle_s", "absolute_s", "persistent", "successor"):
            assert getattr(loaded, field) is None, f"{field} was None, and is {getattr(loaded, field)!r} when loaded"
        assert loaded.meta == b"", "meta was empty, and is not when loaded"

    def test_what_a_session_has_of_its_own_comes_back(self, store: Store, clock: FakeClock) -> None:
        """Each limit of a session's own, its persistence, ``meta`` and ``format`` are kept, also without the others."""
        for own in (
            {"idle_s": 0.25},
            {"absolute_s": 400 * 86_400.0},
            {"persistent": False},
            {"persistent": True},
            {"meta": OWN["meta"] * 16},
            {"format": 1},
        ):
            created, updated = new_key(), new_key()
            store.create(created, new_record(clock, **own))
            store.create(updated, new_record(clock, **OWN))
            store.update(updated, new_record(clock, **own), version=read(store, updated).version)
            for key in (created, updated):
                loaded = read(store, key)
                assert_same(loaded, new_record(clock, **own))
                assert type(loaded.persistent) in (bool, type(None)), "persistent is neither a bool nor None"

    def test_data_of_every_size_comes_back(self, store: Store, clock: FakeClock) -> None:
        """Data of 0 to 64 KiB, with all byte values, is loaded as it was stored."""
        for size in (0, 1, 255, 256, 4096, 64 * 1024):
            key, data = new_key(), (bytes(range(256)) * 256)[:size]
            store.create(key, new_record(clock, data=data))
            assert read(store, key).data == data, f"{size} bytes of data changed when created and loaded"
            store.update(key, new_record(clock, data=data[::-1]), version=read(store, key).version)
            assert read(store, key).data == data[::-1], f"{size} bytes of data changed when updated and loaded"

    def test_hostile_data_comes_back(self, store: Store, clock: FakeClock) -> None:
        """Data that looks like commands, control characters or another format is loaded as it was stored."""
        bystander = new_key()
        store.create(bystander, new_record(clock))
        for data in HOSTILE_BYTES:
            key = new_key()
            store.create(key, new_record(clock, data=data))
            assert read(store, key).data == data, f"the data {data!r} changed when created and loaded"
        assert_same(read(store, bystander), new_record(clock))

    def test_odd_texts_come_back(self, store: Store, clock: FakeClock) -> None:
        """``user_id`` and ``label`` hold any text that a record may have: up to 255 characters of any kind."""
        for text in (*ODD_TEXTS, ""):
            key, record = new_key(), new_record(clock, user_id=text or None, label=text)
            store.create(key, record)
            assert_same(read(store, key), record)

    def test_a_loaded_record_has_a_version(self, store: Store, clock: FakeClock) -> None:
        """``load`` returns the version that ``update`` and ``delete`` need; loading again returns the same one."""
        key = new_key()
        store.create(key, new_record(clock))
        version = read(store, key).version

        assert version is not None, "a loaded record has the version None"
        assert read(store, key).version == version, "the version changed although only load() was called"

    def test_a_loaded_record_cannot_change_the_store(self, store: Store, clock: FakeClock) -> None:
        """What a caller does with a loaded record changes nothing that is stored."""
        key, record = new_key(), new_record(clock)
        store.create(key, record)
        loaded = read(store, key)

        assert type(loaded) is Record, f"load() returned a {type(loaded).__name__}, not a Record"
        assert type(loaded.data) is bytes, f"the loaded data is {type(loaded.data).__name__}, which may be mutable"
        with suppress(FrozenInstanceError):
            loaded.data = b"changed"  # type: ignore[misc]  # that it cannot be assigned is the point
        assert_same(read(store, key), record)

    def test_load_leaves_expired_records_alone(self, store: Store, clock: FakeClock) -> None:
        """``load`` does not remove an expired record: another caller may be moving its limits at this moment."""
        sweeper = self.as_sweeper(store)
        key = new_key()
        store.create(key, new_record(clock))
        self.advance(clock, LIFE + timedelta(hours=1))
        assert store.load(key) is None, "load() returned a record an hour after its expires_at"

        assert sweeper.sweep(10) == 1, "load() removed an expired record; it must never delete"

    def test_a_damaged_record_reads_as_none(self, store: Store, clock: FakeClock) -> None:
        """Bytes that the store cannot read count as no session, raise nothing, and stay for an operator to examine."""
        key, bystander = new_key(), new_key()
        for created in (key, bystander):
            store.create(created, new_record(clock))
        self.damage(store, key)
        events: list[Event] = []

        with reporting_to(Dispatcher(events.append)):
            assert store.load(key) is None, "load() returned a record that was damaged"
        if isinstance(store, ReportsEvents):
            assert [event.id for event in events] == [key], "a damaged record was not reported in exactly one event"
        if isinstance(store, SupportsScan):
            found = [found for found, _ in store.scan()]
            assert found == [bystander], "a damaged record is yielded by scan(), or keeps others from being yielded"
        if isinstance(store, SupportsSweep):
            assert store.sweep(10) == 0, "sweep() removed a damaged record, which has not expired"
        assert store.create(key, new_record(clock)) is False, "a damaged record was removed by load()"
        assert_same(read(store, bystander), new_record(clock))
