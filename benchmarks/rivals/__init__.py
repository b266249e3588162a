"""What `benchmarks/gateway.py` measures the gateway against; each file runs in an environment of its own."""
