"""Offline: a program, its examples and a student model become a measured release."""
