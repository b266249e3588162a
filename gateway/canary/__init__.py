"""Sending a share of a program's requests to its candidate, and taking it back when that does worse."""
