"""`python -m gateway`, the same as the command `gateway`."""

from gateway.command import main

main()
