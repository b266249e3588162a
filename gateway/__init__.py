"""Online: a release becomes an OpenAI-compatible model."""
