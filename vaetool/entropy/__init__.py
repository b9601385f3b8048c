"""Exact probabilities, the range coder, and the container of compressed pictures."""
