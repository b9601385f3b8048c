"""Codes: the autoencoders that have them, densities, directions, ways from one to another, samples, plots."""
