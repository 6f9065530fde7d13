"""What all layers above share: the clock, the check of option names, the throttle."""
