"""How unusual a picture is: models that tell, what is known of the scores of good pictures, evaluation, reports."""
