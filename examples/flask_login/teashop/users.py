"""The users, in a table of SQLite."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass

from flask import Flask, current_app, g
from flask_login import UserMixin
from werkzeug.security import check_password_hash, generate_password_hash

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- no id is given twice: old sessions may still name it
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password TEXT NOT NULL
)
"""

# Compared when there is no such user, so that the answer takes as long as for a wrong password.
NOBODYS_PASSWORD = generate_password_hash("")


@dataclass(frozen=True, eq=False)  # UserMixin compares the ids
class User(UserMixin):
    id: int
    name: str


def init_app(app: Flask) -> None:
    app.teardown_appcontext(disconnect)
    with closing(sqlite3.connect(app.config["USERS_DATABASE"])) as database:
        database.execute(SCHEMA)


def find(user_id: str) -> User | None:
    row = connection().execute("SELECT id, name FROM users WHERE id = ?", (user_id,)).fetchone()
    return None if row is None else User(*row)


def check(name: str, password: str) -> User | None:
    """Return the user called *name* if that is the password."""
    row = connection().execute("SELECT id, name, password FROM users WHERE name = ?", (name,)).fetchone()
    is_right = check_password_hash(NOBODYS_PASSWORD if row is None else row[2], password)
    return User(row[0], row[1]) if row is not None and is_right else None


def add(name: str, password: str) -> User | None:
    """Return the new user; ``None`` if the name is taken."""
    try:
        with connection() as database:
            insert = "INSERT INTO users (name, password) VALUES (?, ?) RETURNING id, name"
            return User(*database.execute(insert, (name, generate_password_hash(password))).fetchone())
    except sqlite3.IntegrityError:
        return None


def connection() -> sqlite3.Connection:
    """Return the connection of this request."""
    if "users" not in g:
        g.users = sqlite3.connect(current_app.config["USERS_DATABASE"])
    return g.users


def disconnect(_error: BaseException | None) -> None:
    if "users" in g:
        g.pop("users").close()
