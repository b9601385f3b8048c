"""Denoising: the denoiser, the noise that it is trained on, and the task."""
