"""What every store must do, as a test class to inherit."""

__all__ = ["StoreContract"]


class StoreContract:
    """A placeholder."""
