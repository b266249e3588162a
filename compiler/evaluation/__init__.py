"""Who is measured beside whom, on what, and what that says."""
