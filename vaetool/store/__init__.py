"""Model files: their headers, the catalogue of models, and loading and saving."""
