"""Sessions in a table of PostgreSQL, MariaDB, MySQL, or any other database that SQLAlchemy speaks to."""

from .store import SQLStore, ddl, make_sql_store

__all__ = ["SQLStore", "ddl", "make_sql_store"]
