"""What a gateway keeps of requests whose senders agreed to it, and what they later say of the answers."""
