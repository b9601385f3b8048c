"""XMP, texts and resolution survive reading and writing, or are named: `vaetool.images.metadata`."""

import time
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.images.samples import (
    CARRIERS,
    ORIENTATION,
    SRGB,
    camera_exif,
    chunk,
    drawn,
    grey_profile,
    opened,
    png,
    saved,
)
from tests.images.test_depth import sixteen, tiff
from vaetool import images
from vaetool.images import Picture
from vaetool.images.metadata import MAX_BYTES, MAX_TEXTS, xmp_to_carry
from vaetool.images.writing import MAX_JPEG_XMP

TEXTS = (("Title", "A ramp"), ("Author", "Łódź 猫"), ("Comment", "Größe\nof two lines"))


def packet(orientation=1, inside=""):
    """As Adobe's programs write it."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        f' tiff:Orientation="{orientation}" xmp:Rating="4">{inside}</rdf:Description></rdf:RDF></x:xmpmeta>\n'
        f'{" " * 2000}<?xpacket end="w"?>'
    ).encode()


def with_xmp(file_format, xmp, image=None, **options):
    """A file that Pillow alone has made."""
    image = image or Image.fromarray(drawn())
    if file_format == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp, zip=True)
    elif file_format == "TIFF":
        options.setdefault("exif", Image.Exif())[700] = xmp
    else:
        options["xmp"] = xmp
    return saved(image, file_format, **options)


def with_texts(texts, zip=False):  # noqa: A002
    info = PngImagePlugin.PngInfo()
    for keyword, text in texts:
        info.add_text(keyword, text, zip=zip)
    return saved(Image.fromarray(drawn()), "PNG", pnginfo=info)


# XMP


@pytest.mark.parametrize("source", CARRIERS)
@pytest.mark.parametrize("target", CARRIERS)
def test_xmp_is_kept_across_formats(source, target):
    picture = images.read(with_xmp(source, packet()))
    assert (picture.xmp, picture.warnings, picture.texts) == (packet(), (), ())
    assert images.left_out(picture, target) is None
    data = images.encode(picture.replace_pixels(drawn()[::-1]), target)
    assert opened(data).info["xmp"] == packet()


@pytest.mark.parametrize("file_format", CARRIERS)
def test_xmp_and_exif_go_into_one_file(file_format):
    picture = Picture(drawn(), icc_profile=SRGB, exif=camera_exif().tobytes(), xmp=packet())
    again = images.read(images.encode(picture, file_format))
    assert (again.xmp, again.icc_profile) == (packet(), SRGB)
    assert again.exif is not None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_with_xmp_alone_is_still_compressed(dtype):
    picture = Picture(np.zeros((100, 100, 1), dtype), xmp=packet())
    assert len(images.encode(picture, "TIFF")) < len(packet()) + 1000


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_xmp_goes_with_sixteen_bits(file_format):
    data = images.encode(Picture(sixteen(), xmp=packet()), file_format)
    assert opened(data).info["xmp"] == packet()
    assert images.read(data).xmp == packet()
    assert images.read(images.encode(Picture(sixteen(), xmp=packet()), file_format, strip=True)).xmp is None


def test_xmp_goes_with_floats_and_is_that_of_each_page():
    values = drawn().astype(np.float32)
    first = Picture(values, xmp=packet(), pages=(Picture(values), Picture(values, xmp=packet(inside="third"))))
    again = images.read(images.encode(first, "TIFF"), whole=True)
    assert [page.xmp for page in (again, *again.pages)] == [packet(), None, packet(inside="third")]
    stripped = images.read(images.encode(first, "TIFF", strip=True), whole=True)
    assert [page.xmp for page in (stripped, *stripped.pages)] == [None, None, None]


def test_xmp_of_pages_that_pillow_reads_is_that_of_each():
    pages = [Picture(drawn(), xmp=xmp) for xmp in (packet(), None, packet(inside="third"))]
    data = images.encode(Picture(drawn(), xmp=packet(), pages=tuple(pages[1:])), "TIFF")
    again = images.read(data, whole=True)
    assert [page.xmp for page in (again, *again.pages)] == [packet(), None, packet(inside="third")]


@pytest.mark.parametrize("file_format", CARRIERS)
@pytest.mark.parametrize("exif", [True, False], ids=["in EXIF too", "in XMP alone"])
def test_a_turned_picture_is_not_turned_again(file_format, exif):
    picture = images.read(with_xmp(file_format, packet(6), **({"exif": camera_exif(6)} if exif else {})))
    assert picture.pixels.shape == (24, 16, 3)
    assert b'xmp:Rating="4"' in picture.xmp
    assert b'Orientation="6"' not in picture.xmp
    again = images.encode(picture, "PNG")
    assert images.read(again).pixels.shape == (24, 16, 3)
    assert opened(again).getexif().get(ORIENTATION, 1) == 1


@pytest.mark.parametrize(
    ("found", "carried"),
    [
        (b'tiff:Orientation="6"', b'tiff:Orientation="1"'),
        (b"tiff:Orientation = '8'", b"tiff:Orientation = '1'"),
        (b"<tiff:Orientation>3</tiff:Orientation>", b"<tiff:Orientation>1</tiff:Orientation>"),
        (b"<tiff:Orientation>\n 3</tiff:Orientation>", b"<tiff:Orientation>\n 1</tiff:Orientation>"),
        (b"a<xmp:Thumbnails><rdf:Alt>4AAQSk</rdf:Alt></xmp:Thumbnails>b", b"ab"),
        (b"a<xmp:Thumbnails>b", b"a<xmp:Thumbnails>b"),
    ],
)
def test_what_holds_no_longer_is_not_carried(found, carried):
    notes = []
    assert xmp_to_carry(found, notes) == carried
    assert notes == []


def test_an_extension_that_is_not_read_is_named():
    xmp = packet(inside='<x xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF" y="z"/>')
    picture = images.read(with_xmp("JPEG", xmp))
    assert picture.warnings == ("the extension of the XMP data is left out",)
    assert b"HasExtendedXMP" not in picture.xmp
    assert images.read(images.encode(picture, "JPEG")).warnings == ()


def test_xmp_too_long_for_a_jpeg_is_named_and_left_out():
    for length, kept in ((MAX_JPEG_XMP, True), (MAX_JPEG_XMP + 1, False)):
        picture = Picture(drawn(), xmp=b" " * length)
        assert images.left_out(picture, "JPEG") == (None if kept else "JPEG does not keep its XMP")
        assert (images.read(images.encode(picture, "JPEG")).xmp is not None) == kept


@pytest.mark.parametrize("file_format", ["TIFF", "WEBP"])
def test_xmp_too_large_to_carry_is_named_and_left_out(file_format):
    picture = images.read(with_xmp(file_format, bytes(MAX_BYTES + 1)))
    assert (picture.xmp, picture.warnings) == (None, ("the XMP data is larger than 16 MiB and left out",))


@pytest.mark.parametrize(
    "part", [b"tiff:Orientation=", b"tiff:Orientation ", b"<xmp:Thumbnails>", b" ", b"</xmp:Thumbnails"]
)
def test_xmp_of_a_stranger_takes_no_time(part):
    start = time.process_time()
    xmp_to_carry(part * (MAX_BYTES // len(part)), [])
    assert time.process_time() - start < 2


# Texts


@pytest.mark.parametrize("zipped", [False, True])
def test_texts_of_a_png_are_kept(zipped):
    picture = images.read(with_texts(TEXTS, zip=zipped))
    assert (picture.texts, picture.warnings) == (TEXTS, ())
    again = opened(images.encode(picture.replace_pixels(drawn()[::-1]), "PNG"))
    assert again.text == dict(TEXTS)


def test_texts_after_the_pixels_are_kept():
    data = with_texts([])
    text = chunk(b"tEXt", b"Title\0A ramp")
    assert images.read(data[:-12] + text + data[-12:]).texts == TEXTS[:1]


def test_texts_and_all_else_go_with_sixteen_bits():
    picture = Picture(sixteen(), icc_profile=SRGB, xmp=packet(), texts=TEXTS, dpi=(300, 300))
    data = images.encode(picture, "PNG")
    again = images.read(data)
    assert (again.texts, again.xmp, again.icc_profile) == (TEXTS, packet(), SRGB)
    assert opened(data).text.items() >= dict(TEXTS).items()
    stripped = images.read(images.encode(picture, "PNG", strip=True))
    assert (stripped.texts, stripped.xmp, stripped.icc_profile) == ((), None, None)


def test_texts_that_pillow_takes_for_something_else_are_texts():
    texts = (("dpi", "72"), ("xmp", "none"), ("icc_profile", "none"), ("comment", "none"))
    picture = images.read(with_texts(texts))
    assert (picture.texts, picture.dpi, picture.xmp, picture.icc_profile) == (texts, None, None, None)
    assert images.read(images.encode(picture, "PNG")).texts == texts
    assert "comment" not in opened(images.encode(picture, "JPEG")).info


def test_exif_in_a_text_is_carried_as_exif_alone():
    block = camera_exif(6).tobytes()
    lines = f"\nexif\n{len(block):8}\n{block.hex()}\n"
    picture = images.read(with_texts([("Raw profile type exif", lines)]))
    assert (picture.texts, picture.pixels.shape) == ((), (24, 16, 3))
    assert opened(images.encode(picture, "PNG")).getexif()[271] == "Maker"


@pytest.mark.parametrize(
    "damaged",
    [chunk(b"tEXt", b"k" * 80 + b"\0long keyword"), chunk(b"tEXt", b"Title\0a\0zero")],
    ids=["keyword", "zero"],
)
def test_texts_that_no_png_should_have_are_named_and_left_out(damaged):
    picture = images.read(png(drawn(), 8, 2, damaged, chunk(b"tEXt", b"Author\0Anne")))
    assert picture.texts == (("Author", "Anne"),)
    assert picture.warnings == ("1 of 2 texts are too many, too long or damaged, and left out",)


def test_as_many_texts_as_are_allowed_are_read():
    chunks = [chunk(b"tEXt", b"%d\0" % number) for number in range(MAX_TEXTS + 3)]
    picture = images.read(png(drawn(), 8, 2, *chunks))
    assert len(picture.texts) == MAX_TEXTS
    assert picture.warnings == ("3 of 4099 texts are too many, too long or damaged, and left out",)


def test_texts_too_long_to_carry_are_named_and_left_out():
    most = MAX_BYTES - len("Title") - 2 - len("Author") - 2
    for length, kept in ((most, ["Author", "Title"]), (most + 1, ["Author"])):
        chunks = chunk(b"tEXt", b"Author\0"), chunk(b"tEXt", b"Title\0" + b"x" * length)
        assert [keyword for keyword, _ in images.read(png(drawn(), 8, 2, *chunks)).texts] == kept


def test_a_text_that_unpacks_to_far_more_is_left_out():
    bomb = chunk(b"zTXt", b"Title\0\0" + zlib.compress(bytes(100 * 2**20), 9))
    picture = images.read(png(drawn(), 8, 2, bomb))
    assert (picture.texts, picture.warnings) == (
        (),
        ("damaged or too large metadata is left out (zTXt)",),
    )
    assert (picture.pixels == drawn()).all()


@pytest.mark.parametrize("comment", ["Lac d'Annecy, été", "a" * 65533])
def test_the_comment_of_a_jpeg_is_kept(comment):
    plain = saved(Image.fromarray(drawn()), "JPEG")
    segment = b"\xff\xfe" + (len(comment.encode()) + 2).to_bytes(2, "big") + comment.encode()
    picture = images.read(plain[:2] + segment + plain[2:])
    for file_format in ("JPEG", "PNG"):
        assert images.left_out(picture, file_format) is None
        assert images.read(images.encode(picture, file_format)).texts == (("Comment", comment),)
    assert images.left_out(Picture(drawn(), texts=(("Comment", comment + 65533 * "b"),)), "JPEG") is not None


# What a format does not keep


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "AVIF", "TIFF"])
def test_texts_are_named_where_there_is_no_place_for_them(file_format):
    picture = Picture(drawn(), texts=TEXTS, xmp=packet())
    assert images.left_out(picture, file_format) == f"{file_format} does not keep its texts or comment"
    assert images.left_out(picture, file_format, strip=True) is None
    assert images.read(images.encode(picture, file_format)).texts == ()


@pytest.mark.parametrize("file_format", ["BMP", "PPM"])
def test_all_that_is_lost_is_named_in_one_sentence(file_format):
    picture = Picture(drawn(), icc_profile=SRGB, exif=camera_exif().tobytes(), dpi=(72, 72), xmp=packet(), texts=TEXTS)
    told = f"{file_format} does not keep its colour profile, EXIF, XMP and texts or comment"
    assert images.left_out(picture, file_format) == told
    assert images.left_out(Picture(drawn(), dpi=(72, 72)), file_format) is None


def test_a_grey_profile_that_is_lost_is_named():
    picture = Picture(drawn(channels=1), icc_profile=grey_profile())
    assert images.left_out(picture, "WEBP") == "WEBP does not keep its colour profile"
    assert images.left_out(picture, "PNG") is None


def test_texts_and_parts_of_exif_that_a_tiff_does_not_keep_are_one_line():
    picture = Picture(sixteen(), exif=camera_exif().tobytes(), texts=TEXTS)
    told = "TIFF does not keep its texts or comment; the EXIF data is left out except for its texts"
    assert images.left_out(picture, "TIFF") == told


# Resolution


def test_a_resolution_beyond_a_jpeg_is_left_out_not_wrong():
    picture = Picture(drawn(), dpi=(254000, 254000))  # a microscope's
    assert images.read(images.encode(picture, "JPEG")).dpi is None
    assert images.read(images.encode(picture, "PNG")).dpi == pytest.approx((254000, 254000))


@pytest.mark.parametrize(
    "samples", [drawn(), sixteen(), drawn().astype(np.float32)], ids=lambda found: str(found.dtype)
)
@pytest.mark.parametrize("dpi", [(1, 1), (0, 0), (2**31, 2**31)])
def test_a_resolution_that_makes_no_sense_is_none(samples, dpi):
    data = tiff(samples, resolution=dpi, resolutionunit="INCH")
    assert images.read(data, whole=True).dpi is None


# Pillow images


def test_a_pillow_image_has_xmp_and_texts_in_its_info():
    image = images.to_pil(Picture(drawn(), xmp=packet(), texts=TEXTS))
    assert image.info == {**dict(TEXTS), "xmp": packet()}


def test_an_open_png_gives_its_texts():
    assert images.from_pil(opened(with_texts(TEXTS))).texts == TEXTS
    assert images.from_pil(opened(with_xmp("WEBP", packet()))).xmp == packet()
