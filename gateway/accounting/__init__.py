"""What a request cost, and what it would have cost at the teacher."""
