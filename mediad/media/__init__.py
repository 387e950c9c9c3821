"""What a file is: its format, capture date, camera, origin, and which files belong together.

Most of it runs in workers, started as `python -m mediad.media` by `mediad.workers`. `read` parses untrusted
bytes: the readers that `pictures`, `video` and `audio` list know containers, `exif` and `xmp` the metadata
in them, `found` is what they hand on, and `exiftool` is asked where they find no date. From its `reading`,
`conclude` tells what the daemon decides on, by `dates` (with `stamps`, `names` and `zone`) and `origin`. What
arrives there by `wire` are `mediad.model.Facts`.

The daemon itself uses `kind` (with `formats` and `whole`), `companions` and `wire`, for the dates of sets
`together` and `siblings`, and where a worker is lost, `conclude`. All of these are PURE but `zone`, which
looks time zones up.
"""
