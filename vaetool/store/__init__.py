"""Model files: what they say about themselves, where they are, how they become models again."""
