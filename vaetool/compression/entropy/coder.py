"""The range coder: whole numbers to bytes and back, each under the table of its index.

Constriction does the arithmetic. It is given counts, never probabilities: if the counts of a table, less one each, are
whole numbers that sum to 2^24 less their number, its quantisation reproduces exactly these counts.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from constriction import stream
from torch import Tensor

from vaetool.compression.entropy import tables
from vaetool.errors import ImageError

MAX_NUMBER = 2**15 - 1
"""Largest magnitude of a coded number."""

BITS_PER_SQUARE = 6 / math.log(2)
"""Worth, in bits, of a squared error of one in a number: lambda times its share of the distortion, at nominal gain."""

THRIFT = 0.6
"""Weight of the bits saved, below one because numbers also help to predict later ones; 0.3 to 1 were tried, see docs.
"""

_ESCAPED = 2 * MAX_NUMBER + 1


class Tables:
    """The tables of a model, ready for the coder. `least_bits`, (64,): cost of the likeliest number of each."""

    def __init__(self, counts: Tensor) -> None:
        parts = tables.split(counts)
        self.reach = np.array(tables.reaches(), np.int32)
        self.models = [
            stream.model.Categorical((part - 1).astype(np.float64), lazy=False, perfect=False) for part in parts
        ]
        self.least_bits = tables.PRECISION - np.log2([part.max() for part in parts])
        self._counts = np.concatenate(parts)
        self._centre = np.cumsum([0, *map(len, parts[:-1])]) + self.reach

    @cached_property
    def _bits(self) -> np.ndarray:
        return tables.PRECISION - np.log2(self._counts)

    def bits(self, numbers: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Return the information in each number under its table, in bits; all (count,)."""
        reach = self.reach[indices]
        escaped = np.abs(numbers) > reach
        place = self._centre[indices] + np.where(escaped, reach + 1, numbers)
        return self._bits[place] + np.log2(_ESCAPED) * escaped

    def rdo_quantise(self, values: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Round real numbers to whole ones for coding, (count,) int32: to the nearest, or the next one nearer to zero.

        The latter where the bits saved are worth more than the distortion added, see `BITS_PER_SQUARE`.
        """
        chosen = np.rint(values).astype(np.int32)
        places = np.flatnonzero(chosen)
        values, indices, nearest = values[places], indices[places], chosen[places]
        smaller = nearest - np.sign(nearest)
        added = (values - smaller) ** 2 - (values - nearest) ** 2
        saved = self.bits(nearest, indices) - self.bits(smaller, indices)
        chosen[places] = np.where(THRIFT * saved > BITS_PER_SQUARE * added, smaller, nearest)
        return chosen


class Encoder:
    """Encoder of numbers into bytes, with a checksum of the numbers."""

    def __init__(self, shared: Tables, checksum: int = 0) -> None:
        self.tables = shared
        self._coder = stream.queue.RangeEncoder()
        self.checksum = checksum
        self.bits = 0.0

    def encode(self, numbers: np.ndarray, indices: np.ndarray) -> None:
        """Encode numbers, (count,) int32 within ±MAX_NUMBER, each under the table of its index, (count,) in 0..63."""
        reach = self.tables.reach[indices]
        escaped = np.abs(numbers) > reach
        symbols = np.where(escaped, 2 * reach + 1, numbers + reach)
        for index, places in _by_table(indices):
            self._coder.encode(symbols[places], self.tables.models[index])
        if escaped.any():
            self._coder.encode(numbers[escaped] + MAX_NUMBER, stream.model.Uniform(_ESCAPED))
        self.checksum = _checksum(numbers, self.checksum)
        self.bits += float(self.tables.bits(numbers, indices).sum())

    def finish(self) -> bytes:
        """Return the encoded bytes without zeros at the end, which the decoder adds."""
        return self._coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")


class Decoder:
    """Decoder of bytes into numbers, given the same indices in the same order."""

    def __init__(self, shared: Tables, data: bytes, checksum: int = 0) -> None:
        self._tables = shared
        self._coder = stream.queue.RangeDecoder(
            np.frombuffer(data + bytes(-len(data) % 4 + 8), "<u4").astype(np.uint32)
        )
        self.checksum = checksum

    def decode(self, indices: np.ndarray) -> np.ndarray:
        """Decode numbers, (count,) int32, each under the table of its index.

        Raises ImageError for bytes that no encoder writes.
        """
        reach = self._tables.reach[indices]
        numbers = np.empty(len(indices), np.int32)
        try:
            for index, places in _by_table(indices):
                numbers[places] = self._coder.decode(self._tables.models[index], len(places))
            numbers -= reach
            escaped = numbers > reach
            if escaped.any():
                numbers[escaped] = self._coder.decode(stream.model.Uniform(_ESCAPED), int(escaped.sum())) - MAX_NUMBER
        except BaseException as error:
            if not _is_of_constriction(error):
                raise
            raise ImageError("damaged: its streams cannot be decoded") from error
        self.checksum = _checksum(numbers, self.checksum)
        return numbers


def _is_of_constriction(error: BaseException) -> bool:
    """Tell whether an error is Constriction's complaint about its input.

    A Rust panic is not an Exception, and its class cannot be imported.
    """
    return isinstance(error, AssertionError | ValueError) or type(error).__name__ == "PanicException"


def _by_table(indices: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the tables in use in rising order, each with the positions of its numbers, in order."""
    order = np.argsort(indices.astype(np.uint8), kind="stable")  # bytes are sorted in one pass
    sizes = np.bincount(indices, minlength=tables.COUNT)
    ends = np.cumsum(sizes)
    for index in np.flatnonzero(sizes):
        yield int(index), order[ends[index] - sizes[index] : ends[index]]


def _checksum(numbers: np.ndarray, before: int) -> int:
    return zlib.crc32(numbers.astype("<i2").tobytes(), before)
