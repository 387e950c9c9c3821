"""The reader of each format of pictures. Runs in workers."""

from __future__ import annotations

from collections.abc import Callable

from mediad.media.found import Found
from mediad.media.pictures import images, jpeg_boxes, raw_canon, raw_makers
from mediad.media.pictures.heif import read_heif
from mediad.media.pictures.jpeg import read_jpeg
from mediad.media.pictures.photoshop import read_psd
from mediad.media.pictures.png import read_png
from mediad.media.pictures.raw_tiff import read_raw_tiff
from mediad.media.pictures.tiff import Fetch

Reader = Callable[[Fetch, int], Found]
"""Given what fetches bytes of a file, and its length."""

READERS: dict[str, Reader] = {
    "jpeg": lambda fetch, _: read_jpeg(fetch),
    "png": lambda fetch, _: read_png(fetch),
    "webp": lambda fetch, _: images.read_webp(fetch),
    "tiff": lambda fetch, _: images.read_tiff(fetch),
    "gif": lambda fetch, _: images.read_gif(fetch),
    "bmp": lambda fetch, _: images.read_bmp(fetch),
    **dict.fromkeys(("heic", "heif", "avif"), read_heif),
    "jp2": jpeg_boxes.read_jp2,
    "jxl": jpeg_boxes.read_jxl,
    "psd": read_psd,
    **dict.fromkeys(
        ("cr2", "nef", "nrw", "arw", "srf", "dng", "orf", "rw2", "pef", "iiq", "kdc"), read_raw_tiff
    ),
    "cr3": raw_canon.read_cr3,
    "crw": raw_canon.read_crw,
    "raf": raw_makers.read_raf,
    "mrw": raw_makers.read_mrw,
    "x3f": raw_makers.read_x3f,
}
