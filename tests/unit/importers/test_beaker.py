"""Beaker's sessions, made by Beaker with its JSON serializer."""

import base64
import json
import os
import pickle
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.former import KEY, OLDER_KEY, PERIOD, PLAIN, Exploit, at, beaker_cookie

from wsgi_session.errors import ConfigError
from wsgi_session.importers import BeakerFiles, BeakerRecords


def file_of(data_dir: Path) -> Path:
    """Return the file of the only session."""
    (path,) = (data_dir / "container_file").rglob("*.cache")
    return path


def envelope_around(values: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> bytes:
    """Return what Beaker's file container writes for *values*."""
    text = base64.b64encode(zlib.compress(json.dumps(values).encode())).decode()
    return pickle.dumps({"session": text}, protocol)


class Records(dict[str, bytes]):
    """The part of a Redis client that importers use."""

    def delete(self, name: str, /) -> None:
        self.pop(name, None)


@pytest.mark.parametrize("values", [{"a": 1}, PLAIN | {"long": "é" * 999}], ids=["short", "long"])
@pytest.mark.parametrize("secret", [None, KEY])
def test_files(move: Any, tmp_path: Path, secret: str | None, values: dict[str, Any]) -> None:
    options = {} if secret is None else {"secret": secret}
    with at():
        cookie = beaker_cookie(values, type="file", data_dir=str(tmp_path), **options)
    path = file_of(tmp_path)
    importer = BeakerFiles(data_dir=tmp_path, secret=None if secret is None else [OLDER_KEY, KEY], **PERIOD)
    moved = move(importer)

    assert moved.read(f"beaker.session.id={cookie}") == values
    assert not path.exists()
    assert moved.read(f"beaker.session.id={cookie}") == values  # for a minute


def test_a_signed_id_needs_its_signature(move: Any, tmp_path: Path) -> None:
    with at():
        cookie = beaker_cookie({"a": 1}, type="file", data_dir=str(tmp_path), secret=KEY)
    moved = move(BeakerFiles(data_dir=tmp_path, secret=KEY, **PERIOD))

    for forged in (cookie[40:], "0" * 40 + cookie[40:], f"{cookie}0", "", "../" * 24):
        assert moved.read(f"beaker.session.id={forged}") == {}
    assert set(moved.rejected) == {"signature"}
    assert moved.read(f'beaker.session.id="{cookie}"') == {"a": 1}


def test_a_time_beyond_all_numbers_is_none(move: Any, tmp_path: Path) -> None:
    with at():
        cookie = beaker_cookie({"a": 1}, type="file", data_dir=str(tmp_path))
    file_of(tmp_path).write_bytes(envelope_around({"_accessed_time": 10**400}))
    moved = move(BeakerFiles(data_dir=tmp_path, timeout=timedelta(minutes=10), **PERIOD))

    assert moved.read(f"beaker.session.id={cookie}") == {}
    assert moved.rejected == ["unreadable"]


@pytest.mark.parametrize(("minutes", "values"), [(10, {"a": 1}), (10.1, {})])
def test_a_session_that_timed_out_stays_so(move: Any, tmp_path: Path, minutes: float, values: dict[str, Any]) -> None:
    with at():
        cookie = beaker_cookie({"a": 1}, type="file", data_dir=str(tmp_path))
    moved = move(BeakerFiles(data_dir=tmp_path, timeout=timedelta(minutes=10), **PERIOD))
    moved.clock.advance(timedelta(minutes=minutes))

    assert moved.read(f"beaker.session.id={cookie}") == values


def test_a_session_without_a_time_has_timed_out(move: Any, tmp_path: Path) -> None:
    with at():
        cookie = beaker_cookie({"a": 1}, type="file", data_dir=str(tmp_path))
    file_of(tmp_path).write_bytes(envelope_around({"_accessed_time": "now"}))
    moved = move(BeakerFiles(data_dir=tmp_path, timeout=timedelta(minutes=10), **PERIOD))

    assert moved.read(f"beaker.session.id={cookie}") == {}
    assert moved.rejected == ["expired"]


def test_a_file_that_is_not_there(move: Any, tmp_path: Path) -> None:
    moved = move(BeakerFiles(data_dir=tmp_path, **PERIOD))

    assert moved.read(f"beaker.session.id={'0' * 32}") == {}
    assert moved.rejected == ["unknown"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_session_is_none(move: Any, tmp_path: Path, protocol: int) -> None:
    """Of ``data_serializer = pickle``, Beaker's default, or planted: nobody runs it, and it stays where it is."""
    with at():
        cookie = beaker_cookie({"a": 1}, type="file", data_dir=str(tmp_path))
    path, opened = file_of(tmp_path), tmp_path / "opened"
    moved = move(BeakerFiles(data_dir=tmp_path, **PERIOD))
    inner = base64.b64encode(pickle.dumps(Exploit(opened), protocol)).decode()
    for envelope in (
        pickle.dumps(Exploit(opened), protocol),
        pickle.dumps({"session": Exploit(opened)}, protocol),
        pickle.dumps({"session": inner}, protocol),
        pickle.dumps({"session": inner, "more": Exploit(opened)}, protocol),
        pickle.dumps({"session": Exploit(opened), "more": inner}, protocol),
    ):
        path.write_bytes(envelope)
        assert moved.read(f"beaker.session.id={cookie}") == {}
        assert path.read_bytes() == envelope

    assert not opened.exists()
    assert moved.rejected == ["unreadable"] * 5


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("length", [0, 100, 1000, 20_000])
def test_the_envelope_is_read_in_each_form(move: Any, tmp_path: Path, length: int, protocol: int) -> None:
    with at():
        cookie = beaker_cookie({"a": 1}, type="file", data_dir=str(tmp_path))
    values = {"a": os.urandom(length).hex()}
    file_of(tmp_path).write_bytes(envelope_around(values, protocol))

    assert move(BeakerFiles(data_dir=tmp_path, **PERIOD)).read(f"beaker.session.id={cookie}") == values


def test_what_beaker_never_wrote_is_no_session(move: Any, tmp_path: Path) -> None:
    with at():
        cookie = beaker_cookie({"a": 1}, type="file", data_dir=str(tmp_path))
    path, genuine = file_of(tmp_path), file_of(tmp_path).read_bytes()
    moved = move(BeakerFiles(data_dir=tmp_path, **PERIOD))
    bomb = envelope_around({"a": "x" * 65536})
    for envelope in (b"", genuine[:-1], genuine[:40], genuine + b".", genuine[:-1] + b"0.", bomb, envelope_around([1])):
        path.write_bytes(envelope)
        assert moved.read(f"beaker.session.id={cookie}") == {}

    assert moved.rejected == ["unreadable"] * 7
    path.write_bytes(genuine)
    assert moved.read(f"beaker.session.id={cookie}") == {"a": 1}


def test_records(move: Any) -> None:
    """As Beaker's Redis container writes them; on a real server in ``tests/servers/test_importers.py``."""
    name, text = "0" * 32, base64.b64encode(zlib.compress(b'{"a": 1, "_creation_time": 5.0, "_path": "/"}')).decode()
    records = Records({f"beaker_cache:{name}:session": pickle.dumps(text), "other": b"x"})
    moved = move(BeakerRecords(client=records, **PERIOD))

    assert moved.read(f"beaker.session.id={name}") == {"a": 1}
    assert records == {"other": b"x"}
    assert moved.read(f"beaker.session.id={'1' * 32}") == {}
    records[f"beaker_cache:{'2' * 32}:session"] = pickle.dumps({"a": 1})
    assert moved.read(f"beaker.session.id={'2' * 32}") == {}
    assert moved.rejected == ["unknown", "unreadable"]


@pytest.mark.parametrize("data_dir", ["/nowhere/at/all", None])
def test_a_directory_that_does_not_exist_is_a_mistake(data_dir: Any) -> None:
    with pytest.raises(ConfigError, match="data_dir must be"):
        BeakerFiles(data_dir=data_dir, **PERIOD)
