"""What every floor above uses: the clock, the check of option names, the throttle."""
