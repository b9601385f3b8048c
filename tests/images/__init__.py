"""Tests of `vaetool.images`."""
