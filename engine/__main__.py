"""`python -m engine`, the same as the command `engine`."""

from engine.command import main

main()
