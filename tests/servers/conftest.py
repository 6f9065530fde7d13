"""What the tests of several servers share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.places import redis
from support.services import Services

if TYPE_CHECKING:
    from conftest import Require


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, require: "Require", tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store that several processes share; one that is patient, since the machine may be busy."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shared.sqlite3'}?timeout=30"
        return
    with Services(require) as services:
        yield f"{redis(services).url}?timeout=30"
