"""Sessions at home in a framework: its own session object, on the same store, cookie and rules."""
