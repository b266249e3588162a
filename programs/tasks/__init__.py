"""One file per task; each defines `program`."""
