"""Image files to arrays and back, with everything that is easily lost on the way either kept or reported.

A `Picture` is upright pixels plus what has to survive until they are written again: alpha, ICC profile, EXIF, XMP,
texts, dpi. What a file holds but a picture cannot (more frames, more bits, more inks) is named in `Picture.warnings`;
what a picture holds but a format cannot is an `ImageError` that says which format to choose instead if it is pixels,
and named by `left_out` if it is not.

Nothing else is carried along with the pixels: IPTC and gamma chunks are left behind.
"""

from vaetool.images.formats import format_for
from vaetool.images.picture import Picture
from vaetool.images.reading import MAX_PIXELS, from_pil, read
from vaetool.images.tiff import count_pages
from vaetool.images.writing import encode, left_out, to_pil

__all__ = ["MAX_PIXELS", "Picture", "count_pages", "encode", "format_for", "from_pil", "left_out", "read", "to_pil"]
