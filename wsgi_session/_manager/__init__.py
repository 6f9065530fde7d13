"""What opens and commits sessions."""
