"""The demo: a small site on a real server, that shows what a session does and what becomes of its cookie."""
