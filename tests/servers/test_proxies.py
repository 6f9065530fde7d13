"""The pages about nginx and Apache: their configuration, in the real server, before the page's application."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from ssl import CERT_NONE, PROTOCOL_TLS_CLIENT, SSLContext
from typing import TYPE_CHECKING

import pytest
from support.pages import blocks
from support.servers import gunicorn
from support.services import Server, Services, free_port

if TYPE_CHECKING:
    from conftest import Require

pytestmark = pytest.mark.server

NGINX = """
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home};
    proxy_temp_path {home};
    fastcgi_temp_path {home};
    uwsgi_temp_path {home};
    scgi_temp_path {home};
    {site}
}}
"""
APACHE_HOME = "/usr/lib/apache2/modules"
APACHE_MODULES = "mpm_event authz_core socache_shmcb alias headers proxy proxy_http ssl"
APACHE = """
{modules}
ServerRoot {home}
ServerName shop.example
PidFile {home}/apache.pid
ErrorLog {home}/error.log
Listen {http}
Listen {https}
{site}
"""


@pytest.fixture
def services(require: "Require") -> Iterator[Services]:
    with Services(require) as services:
        yield services


@pytest.fixture
def certificate(require: "Require", tmp_path: Path) -> Path:
    """Make a certificate for the site, as the files that the pages name."""
    openssl = require.program("openssl", install="apt-get install openssl")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days=2", "-subj=/CN=shop.example"]
    files = [f"-keyout={tmp_path}/privkey.pem", f"-out={tmp_path}/fullchain.pem"]
    subprocess.run([*command, *(word for file in files for word in file.split("="))], check=True, capture_output=True)
    return tmp_path


Front = Callable[[int], tuple[Server, int]]


@pytest.fixture
def nginx(services: Services, require: "Require", certificate: Path) -> Front:
    """Starts nginx as its page says, before the application on a port."""

    def start(port: int) -> tuple[Server, int]:
        program = require.program("nginx", install="apt-get install nginx-light")
        http, https = free_port(), free_port()
        (site,) = blocks("nginx.md", "nginx")
        site = site.replace("listen 80;", f"listen 127.0.0.1:{http};").replace(
            "listen 443", f"listen 127.0.0.1:{https}"
        )
        config = certificate / "nginx.conf"
        config.write_text(NGINX.format(home=certificate, site=placed(site, certificate, port)))
        return services.start("nginx", [program, "-c", config, "-p", certificate], https, certificate), http

    return start


@pytest.fixture
def apache(services: Services, require: "Require", certificate: Path) -> Front:
    """Starts Apache as its page says."""

    def start(port: int) -> tuple[Server, int]:
        program = require.program("apache2", install="apt-get install apache2")
        http, https = free_port(), free_port()
        (site,) = blocks("apache.md", "apache")
        site = site.replace("*:80>", f"*:{http}>").replace("*:443>", f"*:{https}>")
        modules = [f"LoadModule {name}_module {APACHE_HOME}/mod_{name}.so" for name in APACHE_MODULES.split()]
        config = certificate / "apache.conf"
        config.write_text(
            APACHE.format(
                home=certificate,
                http=http,
                https=https,
                modules="\n".join(modules),
                site=placed(site, certificate, port),
            )
        )
        command = [program, "-D", "FOREGROUND", "-f", config]
        return services.start("apache", command, https, certificate), http

    return start


def placed(site: str, home: Path, port: int) -> str:
    """Return *site* with the files in *home*, and the application on *port*."""
    return site.replace("/etc/ssl/shop", str(home)).replace("127.0.0.1:8000", f"127.0.0.1:{port}")


def ask(port: int, **headers: str) -> tuple[int, dict[str, str], str]:
    """Send a request by https, and return its status, headers and text."""
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, CERT_NONE
    with closing(HTTPSConnection("127.0.0.1", port, timeout=30, context=context)) as connection:
        connection.request("GET", "/", headers={"Host": "shop.example", **headers})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()


def ask_plainly(port: int) -> tuple[int, str | None]:
    """Send a request by http, and return its status and where it leads."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/", headers={"Host": "shop.example"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location")


@pytest.mark.parametrize("name", ["nginx", "apache"])
def test_the_page_s_configuration_keeps_the_session(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """By https: the application knows it, and the client's address, whatever the client claims; the cookie returns."""
    code = next(block for block in blocks(f"{name}.md", "python") if "ProxyFix" in block)
    (tmp_path / "shop_behind.py").write_text(code, encoding="utf-8")

    with gunicorn("shop_behind:application", directory=tmp_path, home=tmp_path) as server:
        front, http = request.getfixturevalue(name)(server.port)
        status, headers, text = ask(front.port)
        cookie = headers["Set-Cookie"]
        forged = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"}
        redirected = ask_plainly(http)
        again = ask(front.port, Cookie=cookie.partition(";")[0], **forged)

    assert redirected == (301, "https://shop.example/")
    assert (status, text) == (200, "https 127.0.0.1 visit 1\n")
    assert cookie.startswith("__Host-session=")
    assert "; Secure" in cookie
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert again[2] == "https 127.0.0.1 visit 2\n"
    assert not server.said("plain http|Traceback")
