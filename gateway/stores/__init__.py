"""Where a gateway keeps what outlives a request: databases, and what several gateways share."""
