"""How much a key or a model may use: what a request wants is reserved before it runs, and settled after."""
