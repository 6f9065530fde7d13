"""What every store must do, as a test class to inherit."""

from .abilities import AbilityPromises
from .races import RacePromises
from .records import RecordPromises

__all__ = ["StoreContract"]


class StoreContract(RecordPromises, RacePromises, AbilityPromises):
    """What every store must do. Subclass it in a test module, and pytest shows whether your store does.

    ::

        class TestMyStore(StoreContract):
            def make_store(self, clock):
                return MyStore(clock=clock)

    The docstring of each test is a promise of :class:`~wsgi_session.stores.Store`, and its assertions say in words
    which one was broken. Tests of an ability that the store lacks are skipped, with its name.

    What to define:
        ``make_store(self, clock)``
            Return the store, on an empty place that is the same one for all calls within a test. *clock* is a
            :class:`~wsgi_session.testing.FakeClock`. The only hook that must be there.
        ``is_shared = True``
            Say so if several processes share the sessions: then processes race for them, too.
        ``advance(self, clock, by)``
            Let the time *by*, a ``timedelta``, pass. By default that moves *clock* on; where the engine has a clock
            of its own, move that one too. To start at the engine's time, override the fixture ``clock``.
        ``touch_keeps_version = False``
            Say so if the engine gives a record a new version whenever its limits move.
        ``damage(self, store, key)``
            Overwrite what the engine has under *key* with something that no store wrote.
        ``make_broken_store(self, clock)``
            Return a store whose engine does not answer. If it takes a password, give it ``self.password``, which
            may then be in no error text.

    .. versionadded:: 1.0
    """
