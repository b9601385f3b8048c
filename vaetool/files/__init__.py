"""Batches of files: inputs, outputs, messages, exit codes. Nothing here knows about torch or pictures."""
