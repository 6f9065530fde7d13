"""Django with its admin, users and messages, on sessions of this package. The README above starts it."""
