"""What every store must do, as a test class to inherit."""

from .abilities import AbilityPromises
from .races import RacePromises
from .records import RecordPromises
from .tombstones import TombstoneAbilityPromises, TombstonePromises
from .users import UserPromises

__all__ = ["StoreContract"]


class StoreContract(
    RecordPromises, TombstonePromises, RacePromises, AbilityPromises, TombstoneAbilityPromises, UserPromises
):
    """What every store must do. Subclass it in a test module, and pytest shows whether your store does.

    ::

        class TestMyStore(StoreContract):
            def make_store(self, clock):
                return MyStore(clock=clock)

    The docstring of each test is a promise of :class:`~wsgi_session.stores.Store`, and its assertions say in words
    what the store did wrong. Tests of an ability that the store lacks are skipped, with the name of the ability.

    What to define:
        ``make_store(self, clock)``
            Return the store, on storage that is empty at the start of each test and the same for all calls within it.
            *clock* is a :class:`~wsgi_session.testing.FakeClock`. The only required hook.
        ``is_shared = True``
            Set it if several processes share the sessions: then processes race for them, too.
        ``advance(self, clock, by)``
            Let the time *by*, a ``timedelta``, pass. By default that moves *clock*; if the engine has its own clock,
            move that one, too. To start at the engine's time, override the fixture ``clock``.
        ``touch_keeps_version = False``
            Set it if the engine gives a record a new version whenever its limits move.
        ``damage(self, store, key)``
            Overwrite what the engine has under *key* with something that no store would write.
        ``make_broken_store(self, clock)``
            Return a store whose engine does not answer. If it takes a password, give it ``self.password``, and the
            contract checks that no error shows it.

    .. versionadded:: 1.0
    """
