"""What the type checkers of users see: programs that are checked, and never run."""
