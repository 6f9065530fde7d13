"""The demo: a small site on a real server that shows how a session and its cookie work."""
