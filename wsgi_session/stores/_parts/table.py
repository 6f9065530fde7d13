"""How many rows a store reads or removes at a time, in any database."""

from typing import Final

__all__ = ["PAGE_ROWS", "SWEEP_BATCH", "SWEEP_EVERY"]

PAGE_ROWS: Final = 500

# Every SWEEP_EVERY-th create removes at most SWEEP_BATCH expired rows: more than are created.
SWEEP_EVERY: Final = 16
SWEEP_BATCH: Final = 64
