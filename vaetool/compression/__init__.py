"""Compression: the codec and its transforms, the container format, and conversion of pictures to files and back."""
