"""Scoring of how unusual pictures are: models, calibration with good pictures, evaluation, and reports."""
