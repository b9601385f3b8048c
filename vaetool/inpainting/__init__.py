"""Inpainting: the network that fills holes, its training masks, the windows it works in, and the task."""
