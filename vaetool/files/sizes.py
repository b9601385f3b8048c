"""Savings by compression, in words: for one file, and for all files of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaetool.files.remote import Place


class Sizes:
    """Totals of the sizes of compressed files, from the facts reported for each."""

    def __init__(self) -> None:
        self._before = self._after = self._larger = 0
        self._pixels = 0.0

    def add(self, facts: Mapping[str, Any]) -> None:
        """Count a written file. facts: `in_bytes`, `out_bytes` and `bpp`."""
        if facts.get("out_bytes") is None or facts.get("in_bytes") is None:
            return
        self._before += facts["in_bytes"]
        self._after += facts["out_bytes"]
        self._larger += facts["out_bytes"] > facts["in_bytes"]
        self._pixels += 8 * facts["out_bytes"] / facts["bpp"]

    def sentence(self, source: object, output: object, facts: Mapping[str, Any]) -> str:
        """Return a line about one written file.

        >>> from pathlib import Path
        >>> facts = {"in_bytes": 557596, "out_bytes": 12966, "bpp": 0.26, "psnr": 34.1}
        >>> Sizes().sentence("photo.png", Path("photo.vae"), facts)
        'photo.png → photo.vae  557,596 → 12,966 bytes  0.26 bpp  34.1 dB'
        """
        before, after = facts["in_bytes"], facts["out_bytes"]
        size = f"{after:,} bytes" if before is None else f"{before:,} → {after:,} bytes"
        parts = [f"{source} → {output if isinstance(output, Place) else 'standard output'}", size]
        parts.append(f"{facts['bpp']:.2f} bpp")
        if facts.get("form") == "lossless":
            parts.append("lossless")
        elif "psnr" in facts:
            parts.append(f"{facts['psnr']:.1f} dB")
        if before is not None and after > before:
            parts.append("larger than the input: --skip-larger writes no such file")
        return "  ".join(parts)

    def total(self) -> str:
        """Return a line about all counted files; empty if there are none."""
        if not self._pixels:
            return ""
        line = f"{self._before:,} → {self._after:,} bytes, {8 * self._after / self._pixels:.2f} bpp"
        if self._larger:
            line += f"; {self._larger} larger than the input: --skip-larger writes no such file"
        return line
