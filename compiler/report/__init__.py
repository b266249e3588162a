"""The picture of a build: one page, made from its evidence alone."""
