"""Answers that are given again to whoever asks for exactly the same: which, and kept where."""
