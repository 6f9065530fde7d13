"""Tools for tests of applications and of stores. Never imported by the package itself."""

from typing import TYPE_CHECKING, Any

from .client import csrf_token, log_in, session_transaction
from .clock import FakeClock

__all__ = ["FakeClock", "StoreContract", "csrf_token", "log_in", "session_transaction"]

if TYPE_CHECKING:
    from .contract import StoreContract
else:

    def __getattr__(name: str) -> Any:
        # The contract alone needs pytest: the others are for every test runner.
        if name == "StoreContract":
            from .contract import StoreContract

            return StoreContract
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
