"""Where models run: launch a local one, talk to any of them, know what a token costs."""
