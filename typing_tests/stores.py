"""A store of one's own: the contract is a protocol, so a checker says which method is missing or wrong."""

from wsgi_session import Record, SessionMiddleware
from wsgi_session.stores import MemoryStore, Store, SupportsScan, store_from_url


class Own:
    def load(self, key: str) -> Record | None:
        return None

    def create(self, key: str, record: Record) -> bool:
        return True

    def update(self, key: str, record: Record, *, version: object) -> bool:
        return True

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        return True

    def delete(self, key: str, *, version: object = None) -> bool:
        return True

    def close(self) -> None:
        pass


class WithoutVersion(Own):
    def update(self, key: str, record: Record) -> bool:  # type: ignore[override]
        return True


class Unfinished:
    def load(self, key: str) -> Record | None:
        return None


own: Store = Own()
memory: SupportsScan = MemoryStore()
opened: Store = store_from_url("memory://")
unfinished: Store = Unfinished()  # type: ignore[assignment]
not_scanning: SupportsScan = Own()  # type: ignore[assignment]


def serve(app: SessionMiddleware, store: Store) -> SessionMiddleware:
    SessionMiddleware(app, 6379)  # type: ignore[arg-type]
    return SessionMiddleware(app, store)
