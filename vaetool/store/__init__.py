"""Model files: what they say of themselves, where they are, how they become models again."""
