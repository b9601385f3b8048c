"""Tests, in the same folders and under the same names as the modules that they are about."""
