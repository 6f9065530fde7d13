"""How many rows of a table a store takes at a time, whichever database keeps it."""

from typing import Final

__all__ = ["PAGE_ROWS", "SWEEP_BATCH", "SWEEP_EVERY"]

PAGE_ROWS: Final = 500

# A create removes at most SWEEP_BATCH expired rows, and only every SWEEP_EVERY-th does: more than are created.
SWEEP_EVERY: Final = 16
SWEEP_BATCH: Final = 64
