"""`python -m compiler`, where the console script is not installed."""

from compiler.command import main

main(prog_name="compiler")
