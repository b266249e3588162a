"""Examples out of what a gateway was asked and answered, and what was said of it."""
