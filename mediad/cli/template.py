"""The commented configuration that `mediad init` writes; `config.example.toml` is the same text.

Every key is here. What is commented out shows the default, or an example where there is none; comments that
are no keys begin with two hashes, so that taking away one hash everywhere leaves a valid file.
"""

from __future__ import annotations

from dataclasses import dataclass

import tomli_w

_TEXT = """\
## mediad configuration (TOML). `mediad check-config` reports every mistake at once; a daemon that
## runs takes up changes with `mediactl reload`. All keys and what they do: mediad.toml(5).
##
## ~ and $VARIABLES are expanded in paths ($$ is a dollar sign). Durations: "500ms", "2s", "15m", "36h",
## "30d". Sizes: "2GB" (KB, MB, GB, TB), "2GiB" (KiB, MiB, GiB, TiB) or a number of bytes. Keys of the
## tables [duplicates], [dates], [trash], [verify] and [daemon] can also be set by environment variables such
## as MEDIAD_DAEMON__WORKERS=2.

## A library is a folder that media is filed into. There can be several, each with its own name; watches and
## libraries share their names and must not lie in one another.
[library.photos]
path = @library@

## Where a file goes below the library. Tokens: {taken:STRFTIME}, {name}, {stem}, {ext}, {kind} (photo, raw,
## video, audio), {origin} (camera, screenshot, whatsapp, ...), {make}, {model}, {camera}, {artist}, {album},
## {title}, {track:02}, {watch}, {label}, {subdir} (path below the watch), {digest:N}; {token|default} where
## a file has no such value. One of {name}, {stem} and {digest} is needed. Changes apply to new files only.
# layout = "{taken:%Y}/{taken:%Y-%m-%d}/{name}"

## The same for files without a believable date.
# undated = "Undated/{subdir}/{name}"

## With less free space than this, filing waits.
# min_free = "2GB"

## Group and permissions of what is filed; without them files keep their own. Not with action = "hardlink".
# group = "family"
# file_mode = "0640"
# dir_mode = "2750"

## A watch is a folder that new files are taken from, with all folders below it.
[watch.inbox]
path = @watch@

## Which library; can be left out while there is only one.
# library = "photos"

## copy: the source is never touched. move: the source is removed once its copy is safe and verified.
## hardlink: one file under two names, or nothing if that cannot be.
action = "copy"

## What to take and what to leave, in gitignore syntax. Partial downloads and system files are left anyway;
## "!pattern" in exclude takes one of those after all.
# include = ["*"]
# exclude = []

## How long a file must not have changed. auto: 2s on local filesystems, 60s on network ones.
# settle = "auto"

## How often to look through the whole folder, should the system not have announced a file.
# rescan = "15m"

## Look again and again instead of being told: auto (by filesystem), on, off.
# polling = "auto"

## Time zone of the cameras that feed this watch, where it is not that of [dates].
# timezone = "Asia/Tokyo"
@found@
## Rules send some files elsewhere; the first that matches wins. match has one or more of watch, path, name,
## kind, origin and camera, each a glob or a list of globs. Then library, layout or both, or ignore = true.
# [[rule]]
# match = { origin = "screenshot" }
# library = "photos"
# layout = "Screenshots/{taken:%Y}/{name}"

# [[rule]]
# match = { name = "*.gif", kind = ["photo", "video"] }
# ignore = true

# [[rule]]
# match = { kind = "audio" }
# layout = "Music/{artist|Unknown}/{album|No album}/{track:02|00} {title|untitled} {digest:8}{ext}"

[duplicates]
## What becomes of an exact copy in move watches: trash, leave. In other watches it is always left.
# exact = "trash"
## Compare with what is in: library (the one that it would go to), all.
# scope = "library"
## Files that were removed with `mediactl trash` before: skip, file.
# deleted = "skip"
## Look-alikes: report, off. They are never moved or deleted.
# similar = "report"
## How far apart two look-alikes may be: 0 (identical) to 7.
# similar_distance = 6

[dates]
## Time zone for dates that are stored in UTC: system, or a name such as "Europe/London".
# timezone = "system"
## Where dates are looked for, best first: exif, quicktime, xmp, takeout, filename.
# sources = ["exif", "quicktime", "xmp", "takeout", "filename"]
## Whether to believe a file's own modification time: never, card (in DCIM trees), always.
# mtime = "card"
## Dates before this, or more than a day ahead of now, are not believed.
# earliest = "1990-01-01"

[trash]
## How long trash is kept: a duration, forever. Quarantine never expires.
# keep = "30d"

[verify]
## How often to read every library again and compare it with the catalogue: off, a duration.
# every = "off"
## How fast to read meanwhile.
# rate = "20MB/s"

## A hook runs a program (no shell) with a JSON document on its standard input, when one of these happens:
## quarantined, offline, full, changed. At most once in `every`.
# [[hook]]
# on = ["quarantined", "offline", "full", "changed"]
# run = ["/usr/local/bin/notify-me"]
# every = "1h"

[daemon]
## Processes that look into files: auto, 1 to 64. This, state_dir and socket count from the next start on.
# workers = "auto"
## debug, info, warning, error.
# log_level = "info"
## Members of this group may use mediactl, besides root and the daemon's own user.
@group@
## Where the catalogue is kept; local disk only. Default: $STATE_DIRECTORY (systemd sets it), then
## $XDG_STATE_HOME/mediad.
# state_dir = @state_dir@
## Default: $RUNTIME_DIRECTORY/control (systemd sets it), then $XDG_RUNTIME_DIR/mediad/control, then
## /run/mediad/control. At most 107 bytes.
# socket = "/run/mediad/control"
## Metrics for node_exporter's textfile collector; without it none are written.
# metrics_file = "/var/lib/node_exporter/mediad.prom"
"""

_SYNCED = """
## Syncthing keeps this folder. With action = "move" files would vanish from the other devices too.
# [watch.@name@]
# path = @path@
# action = "copy"
"""


@dataclass(frozen=True, slots=True)
class Paths:
    """What differs between configurations, as it is written there.

    Attributes:
        synced: name and path of each folder that Syncthing keeps.
        group: whose members may use mediactl, "" for nobody's.
    """

    watch: str = "~/Pictures/Inbox"
    library: str = "~/Pictures/Library"
    state_dir: str = "~/.local/state/mediad"
    synced: tuple[tuple[str, str], ...] = ()
    group: str = ""


def render(paths: Paths) -> str:
    """The configuration's text."""
    found = "".join(
        _SYNCED.replace("@name@", name).replace("@path@", _string(path)) for name, path in paths.synced
    )
    group = f"group = {_string(paths.group)}" if paths.group else '# group = "mediad"'
    text = _TEXT.replace("@found@", found).replace("@group@", group)
    for key in ("watch", "library", "state_dir"):
        text = text.replace(f"@{key}@", _string(getattr(paths, key)))
    return text


def _string(value: str) -> str:
    """`value` as a TOML string."""
    return tomli_w.dumps({"k": value}).partition("=")[2].strip()
