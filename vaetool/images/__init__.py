"""Image files to arrays and back, keeping or reporting everything that is easily lost on the way.

A `Picture` has upright pixels and everything that must survive until they are written again: alpha, ICC profile, EXIF,
XMP, texts, dpi. Contents of a file that a picture cannot hold (more frames, more bits, more inks) are named in
`Picture.warnings`. If a format cannot hold a picture's pixels, an `ImageError` says which format to choose instead;
other contents that it cannot hold are named by `left_out`.

Nothing else is kept with the pixels: IPTC and gamma chunks are dropped.
"""

from vaetool.images.formats import format_for
from vaetool.images.picture import Picture
from vaetool.images.reading import MAX_PIXELS, from_pil, read
from vaetool.images.tiff import count_pages
from vaetool.images.writing import encode, left_out, to_pil

__all__ = ["MAX_PIXELS", "Picture", "count_pages", "encode", "format_for", "from_pil", "left_out", "read", "to_pil"]
