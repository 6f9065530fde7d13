"""The files on the operators' pages: sound, and with names that exist."""

import configparser
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.pages import DOCS, blocks
from support.services import Services

from wsgi_session.stores import RedisStore, store_from_url

if TYPE_CHECKING:
    from conftest import Require


@pytest.fixture
def services(require: "Require") -> Iterator[Services]:
    with Services(require) as services:
        yield services


def test_the_unit_s_store_is_in_its_own_directory() -> None:
    """systemd makes it, for nobody else; the secret is handed over as a file, not in the environment."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string("".join(blocks("systemd.md", "ini")))
    service = unit["Service"]
    name, _, url = service["Environment"].partition("=")
    path = Path(re.sub("^sqlite:///", "", url))

    assert name == "WSGI_SESSION_STORE"
    assert path.parent == Path("/var/lib") / service["StateDirectory"]
    assert service["StateDirectoryMode"] == "0700"
    assert service["LoadCredential"].startswith("session-secret:")
    assert shlex.split(service["ExecStart"])[-1] == "app:application"


@pytest.mark.server
def test_systemd_understands_the_unit(require: "Require", tmp_path: Path) -> None:
    """It knows every section, key and value; the programs are replaced by one that this machine has."""
    analyze = require.program("systemd-analyze", install="apt-get install systemd")
    unit = tmp_path / "shop.service"
    unit.write_text(re.sub(r"(?m)^(Exec\w+)=\S+", rf"\1={sys.executable}", "".join(blocks("systemd.md", "ini"))))

    run = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)

    assert (run.returncode, [line for line in run.stderr.splitlines() if unit.name in line]) == (0, [])


def test_the_compose_file_names_what_it_has() -> None:
    """Services, secrets and volumes; and the store's URL is one that the store takes."""
    compose = yaml.safe_load("".join(blocks("docker-compose.md", "yaml")))
    web, redis = compose["services"]["web"], compose["services"]["redis"]

    assert set(web["depends_on"]) < set(compose["services"])
    assert web["secrets"] == [*compose["secrets"]]
    assert [volume.partition(":")[0] for volume in redis["volumes"]] == [*compose["volumes"]]
    assert "ports" not in redis
    first, last = web["ports"][0].split(":")[1].split("-")
    assert int(last) - int(first) + 1 == web["deploy"]["replicas"], "two containers cannot publish one port"
    assert isinstance(store_from_url(web["environment"]["WSGI_SESSION_STORE"]), RedisStore)


@pytest.mark.server
def test_the_redis_of_the_compose_file_keeps_sessions(services: Services) -> None:
    """A real one with these settings evicts nothing, and writes to its disk."""
    program, *options = yaml.safe_load("".join(blocks("docker-compose.md", "yaml")))["services"]["redis"]["command"]
    server = services.redis("redis", *options)
    store = store_from_url(f"redis://127.0.0.1:{server.port}")

    report = store.report()  # type: ignore[attr-defined]
    store.close()

    assert program == "redis-server"
    assert not {"maxmemory-policy", "appendonly", "save"} & {finding.subject for finding in report.findings}


def test_the_pods_get_what_the_middleware_reads() -> None:
    """The secret from the Secret that the page makes, and the URL of a store."""
    page = (DOCS / "kubernetes.md").read_text(encoding="utf-8")
    template: Any = yaml.safe_load("".join(blocks("kubernetes.md", "yaml")))["spec"]["template"]["spec"]
    (container,) = template["containers"]
    variables = {each["name"]: each for each in container["env"]}
    wanted = variables["WSGI_SESSION_SECRET"]["valueFrom"]["secretKeyRef"]

    assert set(variables) == {"WSGI_SESSION_SECRET", "WSGI_SESSION_STORE"}
    assert f"secret generic {wanted['name']} --from-literal={wanted['key']}=" in page
    assert isinstance(store_from_url(variables["WSGI_SESSION_STORE"]["value"]), RedisStore)
