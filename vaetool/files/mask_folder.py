"""A folder of masks, found by the names of their pictures."""

from __future__ import annotations

from pathlib import Path, PurePath

from vaetool.errors import FileError
from vaetool.files import inputs
from vaetool.files.unread import advice, kind_by_name

ENDINGS = ("", "_mask")
"""Endings of a mask's name after the picture's: none, or as in MVTec AD."""


class MaskFolder:
    """A folder of masks: pictures that are white where an image has a defect or a hole.

    The mask of `cracks/07.jpg` is the `07.*` or `07_mask.*` of the folder. If there are several, the one in `cracks/`,
    or else the one in no sub-folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self._by_name: dict[str, list[inputs.Entry]] = {}
        found = inputs.expand([str(folder)], recursive=True)
        for entry in found.entries:
            self._by_name.setdefault(entry.place.stem, []).append(entry)
        self._unread = {path.stem: path for path in found.unread}

    def of(self, source: object) -> Path | None:
        """Return the mask of an image, if there is one.

        Raises FileError if there are several, or if its kind is not read.
        """
        image = Path(str(source)).absolute()
        found = [entry for ending in ENDINGS for entry in self._by_name.get(image.stem + ending, [])]
        if len(found) > 1:
            depths = [_common_depth(entry.place, image) for entry in found]
            found = [entry for entry, depth in zip(found, depths, strict=True) if depth == max(depths) >= 0]
            if len(found) != 1:
                raise FileError("several masks have its name, and none of them is in a folder of the same name")
        if found:
            return Path(str(found[0].source))
        for ending in ENDINGS:
            if (path := self._unread.get(image.stem + ending)) is not None:
                kind = str(kind_by_name(path))
                raise FileError(f"its mask {path} is not read ({kind}: {advice(kind)})")
        return None


def _common_depth(mask: PurePath, image: PurePath) -> int:
    """Return the number of a mask's folders if they are also the last ones of its image, else -1."""
    folders, others = mask.parent.parts, image.parent.parts
    return len(folders) if others[max(0, len(others) - len(folders)) :] == folders else -1
