"""Latent codes: the autoencoders that make them, their densities, directions and paths, samples, and plots."""
