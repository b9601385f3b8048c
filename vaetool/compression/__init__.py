"""Compression: the codec and its transforms, the container of its files, and pictures to such files and back."""
