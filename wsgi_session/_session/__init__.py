"""The session of one request, as the application uses it."""
