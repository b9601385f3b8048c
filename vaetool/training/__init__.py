"""Training: one loop for every kind of model, from a recipe and a folder of images to a model file."""
