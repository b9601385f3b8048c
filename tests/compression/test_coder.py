"""The range coder against the one that docs/format.md describes, written out in plain Python."""

from __future__ import annotations

import bisect
import contextlib
import itertools

import numpy as np
import pytest
from constriction import stream

from vaetool.compression.entropy import tables
from vaetool.compression.entropy.coder import BITS_PER_SQUARE, MAX_NUMBER, Decoder, Encoder, Tables
from vaetool.errors import ImageError


class PlainDecoder:
    """The decoder of docs/format.md, number by number."""

    def __init__(self, data: bytes) -> None:
        words = [int.from_bytes(data[i : i + 4].ljust(4, b"\0"), "little") for i in range(0, len(data), 4)]
        self.words = itertools.chain(words, itertools.repeat(0))
        self.low, self.range = 0, 2**64 - 1
        self.point = next(self.words) << 32 | next(self.words)

    def symbol(self, counts: list[int]) -> int:
        starts = [0, *itertools.accumulate(counts)]
        assert starts[-1] == 2**24
        step = self.range >> 24
        symbol = bisect.bisect_right(starts, (self.point - self.low) % 2**64 // step) - 1
        self.low = (self.low + step * starts[symbol]) % 2**64
        self.range = step * counts[symbol]
        if self.range < 2**32:
            self.low, self.range = self.low << 32 & (2**64 - 1), self.range << 32
            self.point = (self.point << 32 | next(self.words)) & (2**64 - 1)
        return symbol

    def uniform(self, size: int) -> int:
        each = 2**24 // size
        return self.symbol([each] * (size - 1) + [2**24 - each * (size - 1)])


@pytest.fixture(scope="module")
def shared() -> Tables:
    return Tables(tables.make_counts())


def draw(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers that fit their tables, and now and then do not."""
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, tables.COUNT, count).astype(np.int32)
    scales = tables.MIN_SCALE * np.exp(indices / tables.STEPS_PER_NAT)
    scales[rng.random(count) < 0.05] *= 30
    return np.rint(rng.logistic(size=count) * scales).astype(np.int32), indices


@pytest.mark.parametrize("count", [0, 1, 2, 300, 20_000])
def test_numbers_come_back_and_cost_what_their_tables_say(shared: Tables, count: int) -> None:
    numbers, indices = draw(count)
    encoder = Encoder(shared)
    encoder.encode(numbers, indices)
    data = encoder.finish()
    decoder = Decoder(shared, data)
    np.testing.assert_array_equal(decoder.decode(indices), numbers)
    assert decoder.checksum == encoder.checksum
    assert encoder.bits - 64 < 8 * len(data) < 1.0001 * encoder.bits + 64


def test_numbers_beyond_every_table_are_coded_as_well(shared: Tables) -> None:
    numbers = np.array([-MAX_NUMBER, MAX_NUMBER, 0, 5000, -2], np.int32)
    indices = np.array([0, 63, 0, 10, 0], np.int32)
    encoder = Encoder(shared)
    encoder.encode(numbers, indices)
    np.testing.assert_array_equal(Decoder(shared, encoder.finish()).decode(indices), numbers)


def test_the_documented_decoder_reads_what_is_written(shared: Tables) -> None:
    first, second = draw(700, 1), draw(500, 2)
    encoder = Encoder(shared)
    for numbers, indices in (first, second):
        encoder.encode(numbers, indices)
    plain = PlainDecoder(encoder.finish())
    counts = [part.tolist() for part in tables.split(tables.make_counts())]
    reach = tables.reaches()
    for numbers, indices in (first, second):
        found = np.zeros_like(numbers)
        for place in np.argsort(indices, kind="stable"):
            found[place] = plain.symbol(counts[indices[place]]) - reach[indices[place]]
        for place in np.flatnonzero(found > np.array(reach)[indices]):
            found[place] = plain.uniform(2 * MAX_NUMBER + 1) - MAX_NUMBER
        np.testing.assert_array_equal(found, numbers)


def test_other_numbers_have_another_checksum(shared: Tables) -> None:
    checksums = set()
    for numbers in ([0, 1], [1, 0], [0, 2], [0, 1, 0]):
        encoder = Encoder(shared)
        encoder.encode(np.array(numbers, np.int32), np.full(len(numbers), 40, np.int32))
        checksums.add(encoder.checksum)
    assert len(checksums) == 4


@pytest.mark.parametrize("seed", range(20))
def test_bytes_that_no_encoder_wrote_are_numbers_or_an_error(shared: Tables, seed: int) -> None:
    rng = np.random.default_rng(seed)
    decoder = Decoder(shared, rng.bytes(rng.integers(0, 200)))
    with contextlib.suppress(ImageError):
        assert (np.abs(decoder.decode(draw(2000, seed)[1])) <= MAX_NUMBER).all()


class Failing:
    """In place of a coder of constriction's."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    def decode(self, *_: object) -> None:
        if self.error:
            raise self.error
        stream.model.Uniform(1)  # panics


def test_a_panic_of_the_range_coder_is_an_image_error(shared: Tables, capfd: pytest.CaptureFixture[str]) -> None:
    decoder = Decoder(shared, b"")
    decoder._coder = Failing()
    with pytest.raises(ImageError, match="damaged") as caught:
        decoder.decode(np.zeros(3, np.int32))
    assert not isinstance(caught.value.__cause__, Exception)
    capfd.readouterr()  # Rust says a word of its own


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), MemoryError()], ids=repr)
def test_what_is_no_fault_of_the_bytes_is_not_blamed_on_them(shared: Tables, error: BaseException) -> None:
    decoder = Decoder(shared, b"")
    decoder._coder = Failing(error)
    with pytest.raises(type(error)):
        decoder.decode(np.zeros(3, np.int32))


def test_numbers_are_chosen_with_thrift(shared: Tables) -> None:
    """Never anything but the nearest or the next nearer to zero, and that only where it is cheaper by enough."""
    rng = np.random.default_rng(0)
    indices = rng.integers(0, tables.COUNT, 5000).astype(np.int32)
    values = rng.uniform(-4, 4, 5000)
    chosen, nearest = shared.rdo_quantise(values, indices), np.rint(values)
    smaller = nearest - np.sign(nearest)
    assert ((chosen == nearest) | (chosen == smaller)).all()
    less = chosen != nearest
    assert 0.05 < less.mean() < 0.5
    saved = shared.bits(nearest.astype(int), indices) - shared.bits(smaller.astype(int), indices)
    added = (values - smaller) ** 2 - (values - nearest) ** 2
    assert (saved[less] > BITS_PER_SQUARE * added[less]).all()
    # Where all numbers cost about the same, it is plain rounding.
    flat = np.full(5000, tables.COUNT - 1)
    assert (shared.rdo_quantise(values, flat) == nearest).mean() > 0.99


def test_tables_are_the_logistic_distribution() -> None:
    for index, part in enumerate(tables.split(tables.make_counts())):
        reach = tables.reaches()[index]
        scale = tables.MIN_SCALE * np.exp(index / tables.STEPS_PER_NAT)
        numbers = np.arange(-reach, reach + 1)
        expected = np.tanh((numbers + 0.5) / (2 * scale)) / 2 - np.tanh((numbers - 0.5) / (2 * scale)) / 2
        np.testing.assert_allclose(part[:-1] / tables.TOTAL, expected, atol=2e-4)
        assert len(part) == 2 * reach + 2


def test_damaged_tables_are_found_out() -> None:
    counts = tables.make_counts()
    assert tables.are_valid(counts)
    counts[5] += 1
    assert not tables.are_valid(counts)
    counts[6] -= 1
    assert tables.are_valid(counts) == (counts[6] > 0)
    counts[0] -= counts[0] + 3
    assert not tables.are_valid(counts)
