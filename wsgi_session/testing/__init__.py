"""Tools for tests of applications and of stores. Never imported by the package itself."""

from .clock import FakeClock
from .contract import StoreContract

__all__ = ["FakeClock", "StoreContract"]
