"""What searches for prompts: one table of names, one file for each way."""
