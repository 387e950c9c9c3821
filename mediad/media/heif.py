"""Reads HEIC, HEIF and AVIF through libheif, without decoding a picture. Runs in workers."""

from __future__ import annotations

import io

from mediad.media import exif
from mediad.media.found import Found, Window

_LARGEST = 256 << 20  # libheif wants the whole file in memory


def read_heif(window: Window, size: int) -> Found:
    """The primary picture's size, Exif and XMP (ISO/IEC 23008-12)."""
    if size > _LARGEST:
        return Found(sound=True, problem="too large for its reader")
    import pi_heif  # loaded only where such a file comes: it costs memory and start-up time

    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False
    pi_heif.options.DECODE_THREADS = 1
    data = window(0, size)
    try:
        picture = pi_heif.open_heif(io.BytesIO(data))
        info, (width, height) = picture.info, picture.size
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, IndexError, KeyError) as error:
        return Found(problem=_short(error))
    block, packet = info.get("exif"), info.get("xmp")
    return Found(
        sound=True,
        tags=exif.parse_block(block) if isinstance(block, bytes) else None,
        xmp=packet if isinstance(packet, bytes) else b"",
        width=int(width),
        height=int(height),
    )


def _short(error: Exception) -> str:
    """The library's message as one line."""
    return exif.clean(str(error).replace("\n", " ").encode(), 120) or type(error).__name__
