"""How unusual a picture is: statistics of it, and what is known of those of good pictures."""
