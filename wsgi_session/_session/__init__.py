"""What an application holds, of one request."""
