"""A store without any ability beyond the contract."""

from wsgi_session.stores import Store


class PlainStore:
    """A store that can do what a store must, and no more."""

    def __init__(self, real: Store) -> None:
        self.load, self.create, self.update = real.load, real.create, real.update
        self.touch, self.delete, self.close = real.touch, real.delete, real.close
