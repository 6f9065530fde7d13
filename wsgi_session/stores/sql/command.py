"""Statements in a driver's own form.

``Connection.execute`` spends twice as long around a statement as SQLite takes for the statement itself. So we compile
the statements that requests run once, and pass them to the driver's cursor.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

__all__ = ["Command", "run"]

# The drivers whose rows need no conversion by SQLAlchemy.
_DRIVERS: Final = ("psycopg", "pymysql", "pysqlite")


class Command:
    """A statement, compiled for *dialect*; pass its values by the names of its parameters."""

    def __init__(self, statement: Any, dialect: sa.Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self._dialect: Any = dialect
        self._text = str(compiled)
        self._constants = dict(compiled.params)
        self._order = tuple(compiled.positiontup) if dialect.positional else None
        types = {name: parameter.type.dialect_impl(dialect) for name, parameter in compiled.binds.items()}
        processors = {name: kind.bind_processor(dialect) for name, kind in types.items()}
        self._processors = tuple((name, process) for name, process in processors.items() if process is not None)

    @staticmethod
    def is_for(dialect: sa.Dialect) -> bool:
        """Return whether the driver's rows can be used as they are."""
        return dialect.driver in _DRIVERS

    def run(self, connection: sa.Connection, values: dict[str, Any]) -> Any:
        """Return the rows, or the number of changed rows.

        Raises:
            DBAPIError: Whatever the driver raises, as from ``Connection.execute``.
        """
        pooled = connection.connection
        parameters = self._parameters(values)
        cursor: Any = None
        try:
            cursor = pooled.cursor()
            cursor.execute(self._text, parameters)
            return cursor.rowcount if cursor.description is None else cursor.fetchall()
        except self._dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(
                self._text,
                parameters,
                error,
                self._dialect.loaded_dbapi.Error,
                hide_parameters=True,
                connection_invalidated=self._dialect.is_disconnect(error, pooled.dbapi_connection, cursor),
                dialect=self._dialect,
            ) from error
        finally:
            if cursor is not None:
                cursor.close()

    def _parameters(self, values: dict[str, Any]) -> Any:
        values = self._constants | values
        for name, process in self._processors:
            values[name] = process(values[name])
        return values if self._order is None else tuple([values[name] for name in self._order])


def run(statement: Any, connection: sa.Connection, values: dict[str, Any]) -> Any:
    """Run *statement*, which may be a command; return its rows, or the number of changed rows."""
    if isinstance(statement, Command):
        return statement.run(connection, values)
    result = connection.execute(statement, values)
    return result.fetchall() if result.returns_rows else result.rowcount
