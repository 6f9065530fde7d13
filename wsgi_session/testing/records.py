"""The promises about one record that one caller at a time uses."""

from .ending import EndPromises
from .reading import ReadPromises
from .resources import ResourcePromises
from .writing import WritePromises

__all__ = ["RecordPromises"]


class RecordPromises(ReadPromises, WritePromises, EndPromises, ResourcePromises):
    """What a store does with one record at a time."""
