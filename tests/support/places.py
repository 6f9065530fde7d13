"""Every place that several machines can keep sessions in: its real servers, and the URL that leads a store there."""

from collections.abc import Callable
from dataclasses import dataclass

from support.services import Server, Services
from wsgi_session.testing import StoreContract

PASSWORD = StoreContract.password

# What a Redis has acknowledged, it still has after a crash of its process.
_DURABLE = ("--appendonly", "yes")


@dataclass
class Place:
    """The servers of one store, in the order in which they have to start."""

    url: str
    servers: list[Server]
    name: str
    """What the store's errors call it."""

    def kill(self) -> None:
        """End every server as a crash does."""
        for server in reversed(self.servers):
            server.kill()

    def restart(self) -> None:
        """Start every server again, with what it had kept."""
        for server in self.servers:
            server.restart()

    def pause(self) -> None:
        """Let every server go on listening, and answer nothing."""
        for server in self.servers:
            server.pause()

    def resume(self) -> None:
        """Let every server go on where it was paused."""
        for server in self.servers:
            server.resume()


MakePlace = Callable[[Services], Place]


def redis(services: Services, flavour: str = "redis") -> Place:
    server = services.redis(flavour, *_DURABLE, "--requirepass", PASSWORD)
    return Place(f"redis://:{PASSWORD}@{_at(server)}/0", [server], f"Redis at {_at(server)}")


def valkey(services: Services) -> Place:
    return redis(services, "valkey")


def sentinel(services: Services) -> Place:
    primary, replicas, watchers = services.sentinel("redis", *_DURABLE)
    return Place(f"redis+sentinel://{_at(*watchers)}/sess", [primary, *replicas, *watchers], "the Redis service 'sess'")


def cluster(services: Services) -> Place:
    nodes = services.cluster("redis", *_DURABLE)
    return Place(f"redis+cluster://{_at(*nodes)}", nodes, f"the cluster of {', '.join(map(_at, nodes))}")


def memcached(services: Services) -> Place:
    server = services.memcached()
    return Place(f"memcached://{_at(server)}", [server], f"memcached at {_at(server)}")


def large_memcached(services: Services) -> Place:
    """One that takes items of more than 1 MiB."""
    server = services.memcached(options=["-I", "2m"])
    return Place(f"memcached://{_at(server)}", [server], f"memcached at {_at(server)}")


def two_memcached(services: Services) -> Place:
    servers = [services.memcached(), services.memcached()]
    return Place(f"memcached://{_at(*servers)}", servers, "memcached at 127.0.0.1")


def postgresql(services: Services, **settings: str) -> Place:
    server = services.postgres(**settings)
    url = f"postgresql+psycopg://test:{PASSWORD}@{_at(server)}/postgres"
    return Place(url, [server], f"the postgresql server {_at(server)}")


def mariadb(services: Services) -> Place:
    server = services.mariadb()
    return Place(f"mariadb+pymysql://root@{_at(server)}/mysql", [server], f"the mariadb server {_at(server)}")


def _at(*servers: Server) -> str:
    return ",".join(f"127.0.0.1:{server.port}" for server in servers)
