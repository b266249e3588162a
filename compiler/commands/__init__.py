"""The verbs of the `compiler` command; each reads its flags and calls what does the work."""
