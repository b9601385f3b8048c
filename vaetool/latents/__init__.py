"""Latent codes: autoencoders, densities, directions and paths of codes, samples, and plots."""
