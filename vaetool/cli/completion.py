"""Completions that a shell offers at Tab besides commands, options and files."""

from __future__ import annotations


def models(incomplete: str) -> list[str]:
    """Return the names of models that begin with the text."""
    from vaetool.store.catalogue import list_models

    return [name for name in list_models() if name.startswith(incomplete)]


def kinds(incomplete: str) -> list[str]:
    """Return the kinds of models that begin with the text."""
    from vaetool.store.kinds import KINDS

    return [name for name in KINDS if name.startswith(incomplete)]
