"""Applications that do the same with a session, each with another library, and without one."""
