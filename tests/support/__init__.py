"""What several test files share: programs, clients, places, forgeries, models."""
