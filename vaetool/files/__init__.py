"""Many files: which they are, where results go, messages, exit codes. Nothing here knows about torch or pictures."""
