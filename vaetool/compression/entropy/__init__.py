"""Exact probabilities, the range coder, and the streams of a codec."""
