"""Reading and writing the fields of a container: numbers and runs of bytes."""

from __future__ import annotations

from vaetool.errors import ImageError

CHECKSUM_BYTES = 4

_MAX_DIGITS = 5  # bytes
_TOO_LARGE = 2**32


class CutOffError(ImageError):
    """More bytes are announced than present."""


def number(value: int) -> bytes:
    """Encode a number of up to 32 bits as LEB128: seven bits per byte, lowest first; a high bit means that more follow.

    >>> number(5).hex(), number(300).hex()
    ('05', 'ac02')
    """
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def checksum(value: int) -> bytes:
    """Encode a CRC-32 as four bytes, lowest first."""
    return value.to_bytes(CHECKSUM_BYTES, "little")


class Reader:
    """Reader of the bytes of a file from start to end, without copying; reading past the end raises CutOffError."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self.place = 0

    @property
    def left(self) -> int:
        """Number of bytes not read yet."""
        return len(self._data) - self.place

    def take(self, count: int) -> memoryview:
        """Return the next bytes."""
        if count > self.left:
            raise CutOffError("cut off")
        self.place += count
        return self._data[self.place - count : self.place]

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def checksum(self) -> int:
        """Read a CRC-32, see the function `checksum`."""
        return int.from_bytes(self.take(CHECKSUM_BYTES), "little")

    def number(self) -> int:
        """Read a number, see the function `number`. Raises ImageError for needless bytes, or more than 32 bits."""
        value = 0
        for place in range(_MAX_DIGITS):
            byte = self.byte()
            value |= (byte & 127) << 7 * place
            if byte < 128:
                if value < _TOO_LARGE and (byte or not place):
                    return value
                break
        raise ImageError("damaged: a number in it is malformed")
