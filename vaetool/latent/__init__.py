"""What is known of codes, and what can be done with them: densities, directions, ways from one to another, plots."""
