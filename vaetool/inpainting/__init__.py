"""Inpainting: the network that fills holes, the holes that it is trained on, the windows it works in, and the task."""
