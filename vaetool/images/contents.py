"""Which pictures are in a folder or zip file already, whatever they are called there."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from pathlib import Path
from zlib import crc32

from vaetool.images.sources import files_in


class Contents:
    """The contents of the files in a folder or zip file. Only those are read that are as large as one looked for."""

    def __init__(self, place: str | Path) -> None:
        self._known: set[tuple[int, int]] = set()
        self._files: defaultdict[int, list[Path]] = defaultdict(list)
        if zipfile.is_zipfile(place):
            with zipfile.ZipFile(place) as archive:
                self._known = {(member.file_size, member.CRC) for member in archive.infolist()}
            return
        for path in files_in([place]):
            self._files[path.stat().st_size].append(path)

    def __contains__(self, file: Path | bytes) -> bool:
        data = file if isinstance(file, bytes) else file.read_bytes()
        self._known |= {(len(data), crc32(path.read_bytes())) for path in self._files.pop(len(data), ())}
        return (len(data), crc32(data)) in self._known
