"""How unusual a picture is: models that score it, calibration with good pictures, evaluation, and reports."""
