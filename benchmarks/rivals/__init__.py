"""What the benchmarks measure against; each file runs in a process, and mostly an environment, of its own."""
