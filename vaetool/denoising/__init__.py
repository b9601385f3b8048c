"""Denoising: the denoiser, the noise that it is trained on, the task."""
