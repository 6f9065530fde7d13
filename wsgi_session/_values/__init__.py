"""What a session holds, as bytes and back."""
