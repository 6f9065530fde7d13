"""What the demo and the dashboard have in common: responses, times in words, and the style of their pages."""
