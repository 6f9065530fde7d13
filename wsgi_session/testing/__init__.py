"""Tools for tests of applications and of stores. Never imported by the package itself."""

from typing import TYPE_CHECKING, Any

from .clock import FakeClock

__all__ = ["FakeClock", "StoreContract"]

if TYPE_CHECKING:
    from .contract import StoreContract
else:

    def __getattr__(name: str) -> Any:
        # The contract alone needs pytest: FakeClock is for every test runner.
        if name == "StoreContract":
            from .contract import StoreContract

            return StoreContract
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
