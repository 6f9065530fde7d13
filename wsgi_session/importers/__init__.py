"""Sessions of other libraries, carried over once, within a stated period: for ``SessionManager(importers=[...])``."""

from .beaker import BeakerFiles, BeakerRecords
from .django import DjangoCookie, DjangoRows
from .event import ImportRejected, SessionImported
from .flask import FlaskCookie, FlaskSessionRecords
from .importer import Former, Importer
from .key_value import KeyValueClient

__all__ = [
    "BeakerFiles",
    "BeakerRecords",
    "DjangoCookie",
    "DjangoRows",
    "FlaskCookie",
    "FlaskSessionRecords",
    "Former",
    "ImportRejected",
    "Importer",
    "KeyValueClient",
    "SessionImported",
]

for _name in __all__:
    globals()[_name].__module__ = __name__
