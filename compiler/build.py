"""One build, top to bottom: a program and its examples become a measured release."""

from __future__ import annotations

from compiler.request import BuildRequest, DataPaths

__all__ = ["BuildRequest", "DataPaths"]
