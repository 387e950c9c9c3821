"""What a file is: its format, capture date, camera, origin, and which files belong together.

PURE and used by the daemon itself: `kind` (with `formats` and `whole`), `dates` (with `names`), `origin`,
`companions`, `wire`. Everything else parses untrusted bytes and runs only in a worker, started as
`python -m mediad.media` by `mediad.workers`: `read` is its entry, `images`, `heif` and `video` know the
containers, `exif` and `xmp` the metadata in them, `found` is what they hand on.
"""
