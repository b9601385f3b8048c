"""Many files: which they are, where results go, words, exit codes. Nothing here knows of torch or of pictures."""
