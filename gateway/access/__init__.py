"""Who may ask this gateway, and what of it."""
