"""Noise for training: what sensors, cameras and files do to clean pictures.

`mixture` draws it; `camera` takes a picture through a camera, `finishing` does what cameras and web sites do
afterwards, `plain` holds noise by formula, `jpeg` saves pictures, and `drawn` makes clean ones that no camera took. All
of it is batched, (batch, channels, height, width) in 0..1, on the pictures' device, and drawn from a generator.
"""
