"""What a SQLite file says of itself."""

import sqlite3

from .._parts.file_report import file_findings
from ..report import StoreReport
from .file import DatabaseFile

__all__ = ["report_of"]


def report_of(file: DatabaseFile) -> StoreReport:
    """Return the report of *file*. Raises ``StoreUnavailable`` if it cannot be read."""
    ((journal_mode,),), _ = file.run("PRAGMA journal_mode", ())
    return StoreReport(
        server=f"SQLite file {str(file.path)!r}",
        version=sqlite3.sqlite_version,
        findings=tuple(file_findings(file.path, journal_mode)),
    )
