"""Tests of `vaetool.files`."""
