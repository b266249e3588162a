"""Several engines that serve one student at once."""
