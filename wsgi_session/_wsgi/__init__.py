"""PEP 3333: the middleware and its response."""
