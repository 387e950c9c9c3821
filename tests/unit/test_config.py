"""The configuration: what it means, and that every mistake is told at once, with its place."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from mediad.config import Config, parse
from mediad.config.keys import HOOK, LIBRARY, RULE, SINGLE, WATCH
from mediad.config.locate import locate
from mediad.config.units import format_duration, format_size, parse_duration, parse_size
from mediad.errors import InvalidConfig
from tests.conftest import PROJECT

MINIMAL = '[library.photos]\npath = "/l"\n[watch.inbox]\npath = "/w"\n'
HOME = "/home/u"


def read(text: str, env: dict[str, str] | None = None, overrides: dict[str, str] | None = None) -> Config:
    return parse(text, file="c.toml", env=env or {}, home=HOME, overrides=overrides or {})


def problems(
    text: str, env: dict[str, str] | None = None, overrides: dict[str, str] | None = None
) -> list[str]:
    with pytest.raises(InvalidConfig) as raised:
        read(text, env, overrides)
    return raised.value.problems


def with_key(table: str, line: str) -> str:
    """The minimal configuration with one more line in a table."""
    return (
        MINIMAL.replace(f"{table}\n", f"{table}\n{line}\n")
        if table in MINIMAL
        else f"{MINIMAL}{table}\n{line}\n"
    )


def test_defaults() -> None:
    config = read(MINIMAL)
    library, watch = config.libraries["photos"], config.watches["inbox"]
    assert (library.path, library.layout.text) == ("/l", "{taken:%Y}/{taken:%Y-%m-%d}/{name}")
    assert (library.undated.text, library.min_free) == ("Undated/{subdir}/{name}", 2_000_000_000)
    assert (library.group, library.file_mode, library.dir_mode) == (None, None, None)
    assert (watch.path, watch.library, watch.action) == ("/w", "photos", "copy")
    assert (watch.include, watch.exclude, watch.settle, watch.rescan) == (("*",), (), None, 900.0)
    assert (watch.polling, watch.timezone) == ("auto", "")
    assert (config.rules, config.hooks, config.warnings) == ((), (), ())
    assert (config.duplicates.exact, config.duplicates.similar_distance) == ("trash", 6)
    assert config.dates.sources == ("exif", "quicktime", "xmp", "takeout", "filename")
    assert (config.dates.timezone, config.dates.earliest) == ("system", date(1990, 1, 1))
    assert (config.trash.keep, config.verify.every, config.verify.rate) == (30 * 86400.0, None, 20_000_000)
    assert (config.daemon.workers, config.daemon.log_level, config.daemon.group) == (None, "info", None)
    assert config.daemon.state_dir == "/home/u/.local/state/mediad"
    assert config.daemon.sockets == ("/run/mediad/control",)


def test_everything_set() -> None:
    config = read(
        """
        [library.photos]
        path = "~/L/./x//"
        layout = "{name}"
        undated = "u/{stem}{ext}"
        min_free = 5
        group = "family"
        file_mode = "0640"
        dir_mode = "2750"
        [library.sound]
        path = "${MUSIC}/$$x"
        [watch.card]
        path = "$HOME/cards"
        library = "photos"
        action = "move"
        include = ["*.jpg"]
        exclude = ["/tmp/", "!@eaDir/"]
        settle = "500ms"
        rescan = "1.5h"
        polling = "on"
        timezone = "Asia/Tokyo"
        [[rule]]
        match = { watch = "card", name = ["*.MP3", "*.wav"], kind = "audio", origin = "x", camera = "S*" }
        library = "sound"
        layout = "{artist}/{name}"
        [[rule]]
        match.name = "*.gif"
        ignore = true
        [duplicates]
        exact = "leave"
        scope = "all"
        deleted = "file"
        similar = "off"
        similar_distance = 0
        [dates]
        timezone = "Europe/London"
        sources = ["filename"]
        mtime = "never"
        earliest = 1980-02-03
        [trash]
        keep = "forever"
        [verify]
        every = "30d"
        rate = "1MiB/s"
        [[hook]]
        on = ["full"]
        run = ["~/bin/notify", "$HOME"]
        every = "0s"
        [daemon]
        workers = 64
        log_level = "debug"
        group = "users"
        state_dir = "/s"
        socket = "/run/s"
        metrics_file = "/m.prom"
    """,
        {"HOME": "/h", "MUSIC": "/music"},
    )
    photos, card = config.libraries["photos"], config.watches["card"]
    assert (photos.path, photos.min_free, photos.group) == ("/home/u/L/x", 5, "family")
    assert (photos.file_mode, photos.dir_mode) == (0o640, 0o2750)
    assert config.libraries["sound"].path == "/music/$x"
    assert (card.path, card.settle, card.rescan, card.action) == ("/h/cards", 0.5, 5400.0, "move")
    assert (card.exclude, card.polling, card.timezone) == (("/tmp/", "!@eaDir/"), "on", "Asia/Tokyo")
    assert dict(config.rules[0].match)["name"] == ("*.MP3", "*.wav")
    assert (config.rules[0].library, config.rules[1].layout, config.rules[1].ignore) == ("sound", None, True)
    assert config.libraries_of(card) == {"photos", "sound"}
    assert (config.dates.earliest, config.trash.keep) == (date(1980, 2, 3), None)
    assert (config.verify.every, config.verify.rate) == (30 * 86400.0, 2**20)
    assert (config.hooks[0].run, config.hooks[0].every) == (("/home/u/bin/notify", "$HOME"), 0.0)
    assert (config.daemon.workers, config.daemon.state_dir) == (64, "/s")
    assert (config.daemon.sockets, config.daemon.metrics_file) == (("/run/s",), "/m.prom")
    assert [(root.kind, root.name) for root in config.roots()] == [
        ("library", "photos"),
        ("library", "sound"),
        ("watch", "card"),
    ]


def test_rules_match_without_case() -> None:
    rule = read(
        with_key("[[rule]]", 'match = { name = ["img_*", "*.gif"], kind = "photo" }\nignore = true')
    ).rules[0]
    assert rule.matches({"name": "IMG_1.JPG", "kind": "photo"})
    assert not rule.matches({"name": "IMG_1.JPG", "kind": "raw"})
    assert not rule.matches({"name": "x.jpg", "kind": "photo"})
    assert not rule.matches({})
    assert rule.may_match_watch("inbox")


@pytest.mark.parametrize(
    ("glob", "fits", "fits_not"),
    [
        ("DCIM/*", ("DCIM/x.jpg", "dcim/100/x.jpg"), ("a/DCIM/x.jpg", "DCIMx.jpg")),
        ("**/*.jpg", ("x.jpg", "a/x.jpg", "a/b/x.jpg"), ("x.jpeg",)),
        ("**/DCIM/**", ("DCIM/x.jpg", "a/b/DCIM/100/x.jpg"), ("aDCIM/x.jpg",)),
        ("a/**/b.jpg", ("a/b.jpg", "a/x/y/b.jpg"), ("ax/b.jpg", "b.jpg")),
        ("a**/b.jpg", ("ax/b.jpg", "a/b.jpg"), ("ab.jpg",)),
        ("/DCIM/*", ("DCIM/x.jpg",), ("a/DCIM/x.jpg",)),
        ("*/DCIM/*", ("DCIM/x.jpg", "a/DCIM/x.jpg"), ("aDCIM/x.jpg",)),
        ("/*/DCIM/*", ("a/DCIM/x.jpg",), ("DCIM/x.jpg",)),
        ("?x.jpg", ("ax.jpg",), ("x.jpg",)),
        ("[!a]x.jpg", ("bx.jpg",), ("ax.jpg", "x.jpg")),
    ],
)
def test_globs_of_paths(glob: str, fits: tuple[str, ...], fits_not: tuple[str, ...]) -> None:
    rule = read(with_key("[[rule]]", f'match = {{ path = "{glob}" }}\nignore = true')).rules[0]
    assert [path for path in (*fits, *fits_not) if rule.matches({"path": path})] == list(fits)


@pytest.mark.parametrize(
    ("table", "line", "what"),
    [
        ("[library.photos]", "min_fre = 1", 'min_fre: is an unknown key; did you mean "min_free"?'),
        ("[library.photos]", "zzz = 1", "zzz: is an unknown key; known are dir_mode, file_mode, group"),
        ("[library.photos]", "min_free = true", "min_free: is a boolean; a size"),
        ("[library.photos]", 'min_free = "-1GB"', 'min_free: "-1GB" is no size'),
        ("[library.photos]", "min_free = -1", 'min_free: "-1" is no size'),
        ("[library.photos]", 'min_free = "99999999TB"', "is no size"),
        ("[library.photos]", "layout = 3", "layout: is a number; a layout"),
        ("[library.photos]", 'layout = "{nam}"', "layout: unknown token {nam}"),
        ("[library.photos]", 'undated = "Undated"', "undated: has neither {name}"),
        ("[library.photos]", "file_mode = 640", "file_mode: is a number; a string of octal digits"),
        ("[library.photos]", 'file_mode = "0890"', 'file_mode: "0890" is no mode'),
        ("[library.photos]", 'file_mode = "0040"', "would lock the daemon out"),
        ("[library.photos]", 'dir_mode = "0640"', "would lock the daemon out"),
        ("[library.photos]", 'group = "a:b"', 'group: "a:b" is no group'),
        (
            "[watch.inbox]",
            'library = "fotos"',
            'library: there is no library "fotos"; did you mean "photos"?',
        ),
        ("[watch.inbox]", 'action = "mvoe"', '"mvoe" is not known; "copy", "move" or "hardlink" is allowed'),
        ("[watch.inbox]", "include = []", "include: is empty"),
        ("[watch.inbox]", 'include = "*"', "include: is a string; a list of strings"),
        ("[watch.inbox]", "exclude = [1]", "exclude: holds something else than strings"),
        ("[watch.inbox]", 'exclude = ["a", "[b"]', 'exclude: "[b" has a bracket that is not closed'),
        (
            "[watch.inbox]",
            "settle = 2",
            'settle: is a number; a duration such as "15m" is allowed, or "auto"',
        ),
        ("[watch.inbox]", 'settle = "2 weeks"', "is no duration; a number with ms, s, m, h or d"),
        ("[watch.inbox]", 'rescan = "0s"', 'rescan: "0s" is no time at all'),
        ("[watch.inbox]", 'rescan = "off"', 'rescan: "off" is no duration'),
        ("[watch.inbox]", "polling = true", 'polling: is a boolean; "auto", "on" or "off" is allowed'),
        ("[watch.inbox]", 'timezone = "Asia/Tokio"', 'is no time zone; did you mean "Asia/Tokyo"?'),
        ("[watch.inbox]", 'timezone = "../../etc/passwd"', "is no time zone"),
        ("[watch.inbox]", 'timezone = "/etc/passwd"', "is no time zone"),
        ("[watch.inbox]", 'timezone = "Europe"', "is no time zone"),
        ("[watch.in.box]", 'path = "/x"', "watch.in.box: is an unknown key"),
        ('[watch."in box"]', 'path = "/x"', "watch.in box: is no usable name"),
        ("[watch.photos]", 'path = "/x"', "watch.photos: is a library's name too"),
        ("[watch.other]", "", "watch.other.path: is missing"),
        ("[watches.x]", "", 'c.toml:5: watches: is an unknown table or key; did you mean "watch"?'),
        ("[[rule]]", 'layout = "{name}"', "rule[1].match: is missing"),
        ("[[rule]]", "match = {}\nignore = true", "match: matches on nothing"),
        ("[[rule]]", 'match = "x"\nignore = true', "match: is a string; a table"),
        ("[[rule]]", "match = { name = 1 }\nignore = true", "match: is a number; a list of strings"),
        (
            "[[rule]]",
            'match = { nmae = "x" }\nignore = true',
            'rule[1].match.nmae: is an unknown key; did you mean "name"?',
        ),
        ("[[rule]]", 'match = { kind = "movie" }\nignore = true', 'match: the kind "movie" is not known'),
        ("[[rule]]", 'match = { name = "x" }', "rule[1]: does nothing"),
        ("[[rule]]", 'match = { name = "x" }\nignore = false', "rule[1]: does nothing"),
        (
            "[[rule]]",
            'match = { name = "x" }\nignore = true\nlayout = "{name}"',
            "goes with neither library nor layout",
        ),
        ("[[rule]]", 'match = { name = "x" }\nlibrary = "p"', 'rule[1].library: there is no library "p"'),
        ("[rule]", 'match = { name = "x" }', "rule: is no list of tables; write [[rule]]"),
        ("[[hook]]", 'on = ["ful"]\nrun = ["/x"]', 'on: "ful" is not known; did you mean "full"?'),
        ("[[hook]]", 'on = []\nrun = ["/x"]', "on: is empty"),
        ("[[hook]]", 'on = ["full"]\nrun = []', "run: is empty"),
        ("[[hook]]", 'on = ["full"]\nrun = ["x"]', 'run: "x" is relative'),
        ("[[hook]]", 'on = ["full"]\nrun = "/x"', "run: is a string; a list of strings"),
        ("[[hook]]", 'on = ["full"]\nrun = ["/x", "\\u0000"]', "NUL"),
        ("[duplicates]", "similar_distance = 8", "similar_distance: is 8; 0 to 7 is allowed"),
        ("[duplicates]", "similar_distance = true", "similar_distance: is a boolean"),
        ("[duplicates]", 'exact = "delete"', '"trash" or "leave" is allowed'),
        ("[dates]", 'timezone = ""', '"" is no time zone'),
        ("[dates]", 'sources = ["exif", "exif"]', "sources: names one of them twice"),
        ("[dates]", 'sources = ["exfi"]', '"exfi" is not known; did you mean "exif"?'),
        ("[dates]", 'earliest = "1990"', 'earliest: "1990" is no date'),
        ("[dates]", "earliest = 1990-01-01T00:00:00", "earliest: is a date or time; a date"),
        ("[dates]", "earliest = 1990", "earliest: is a number; a date"),
        ("[trash]", 'keep = "for ever"', 'or "forever"'),
        ("[verify]", 'rate = "0MB/s"', "rate: is nothing at all"),
        ("[verify]", 'every = "0s"', 'every: "0s" is no time at all'),
        ("[daemon]", "workers = 0", 'workers: is 0; 1 to 64 is allowed, or "auto"'),
        ("[daemon]", 'workers = "many"', "workers: is a string; a whole number"),
        ("[daemon]", "workers = 1.5", "workers: is a number; a whole number"),
        ("[daemon]", f'socket = "/{"x" * 107}"', "socket: is 108 bytes long; a socket's path can have 107"),
        ("[daemon]", 'state_dir = "state"', 'state_dir: "state" is relative'),
        ("[daemon]", 'state_dir = "/l/state"', 'state_dir: "/l/state" lies inside library "photos"'),
        ("[daemon]", 'state_dir = "/w"', 'lies inside watch "inbox"'),
        ("[[daemon]]", "", "daemon: is no table; write [daemon]"),
    ],
)
def test_what_is_wrong(table: str, line: str, what: str) -> None:
    found = problems(with_key(table, line))
    assert any(what in problem for problem in found), found
    assert all(re.match(r"c\.toml:\d+: ", problem) for problem in found)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("pictures", "is relative; an absolute path is allowed"),
        ("", "is relative"),
        ("/a/../b", 'goes up with ".."'),
        ("~bob/x", '"~bob" is not expanded'),
        ("$NOPE/x", "$NOPE is not set"),
        ("${NOPE}/x", "$NOPE is not set"),
        ("$EMPTY/x", "$EMPTY is not set"),
        ("/a\\u0000b", "NUL"),
        ("/l", 'is the same folder as library "photos" (c.toml:2)'),
        ("/l/in", 'lies inside library "photos" (c.toml:2)'),
        ("/w", "is the same folder as"),
        ("/w/in", 'lies inside watch "inbox" (c.toml:4)'),
        ("/", 'lies inside watch "other"'),
        ("//./", 'lies inside watch "other"'),
    ],
)
def test_paths_that_cannot_be(path: str, what: str) -> None:
    found = problems(f'{MINIMAL}[watch.other]\npath = "{path}"\n', {"EMPTY": ""})
    assert any(what in problem for problem in found), found


def test_names_alike_do_not_overlap() -> None:
    assert read(
        f'{MINIMAL}[watch.other]\npath = "/w2"\n[library.more]\npath = "/l-2"\n'.replace(
            'path = "/w"', 'path = "/w"\nlibrary = "more"'
        ).replace('path = "/w2"', 'path = "/w2"\nlibrary = "photos"')
    )


def test_libraries_must_not_overlap() -> None:
    found = problems(f'{MINIMAL}library = "photos"\n[library.more]\npath = "/l/more"\n')
    assert [problem for problem in found if "library.more.path" in problem]


def test_a_watch_names_its_library_where_there_are_several() -> None:
    found = problems(f'{MINIMAL}[library.more]\npath = "/m"\n')
    assert found == [
        "c.toml:3: watch.inbox.library: is missing; one of photos, more is needed, as there are several"
    ]


@pytest.mark.parametrize("key", ['group = "g"', 'file_mode = "0640"', 'dir_mode = "2750"'])
def test_hardlinks_keep_group_and_mode(key: str) -> None:
    text = with_key("[watch.inbox]", 'action = "hardlink"')
    assert read(text)
    assert any("hardlink" in problem for problem in problems(text.replace("[watch", f"{key}\n[watch")))
    rule = '[library.more]\npath = "/m"\n{key}\n[[rule]]\nmatch = {{ watch = "{watch}" }}\nlibrary = "more"\n'
    text = with_key("[watch.inbox]", 'action = "hardlink"\nlibrary = "photos"')
    assert any("watch.inbox.action" in line for line in problems(text + rule.format(key=key, watch="in*")))
    assert read(text + rule.format(key=key, watch="other"))


def test_every_problem_at_once_and_in_order() -> None:
    found = problems('[daemon]\nworkers = 0\n[watch.a]\npath = "x"\naction = 1\n[trash]\nkep = 1\n')
    keys = [problem.split(": ")[1] for problem in found]
    assert keys == ["library", "daemon.workers", "watch.a.path", "watch.a.action", "trash.kep"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a =", 1),
        ("\n\n[a\n", 3),
        ("a = 1\na = 2\n", 2),
        ('a = """\n', 1),
        ("a = " + "[" * 50_000, 1),
        ("\n\x00", 2),
    ],
)
def test_what_is_no_toml(text: str, line: int) -> None:
    (found,) = problems(text)
    assert found.startswith(f"c.toml:{line}: ")


def test_numbers_of_any_length() -> None:
    assert problems(f"a = {'9' * 5000}")


def test_problems_are_one_printable_line() -> None:
    found = problems('[library."a\\nb"]\npath = "/\\u001b[31m\\n.."\n')
    assert all(problem.isprintable() for problem in found)


def test_the_environment_beats_the_file_and_the_command_line_both() -> None:
    text = with_key("[daemon]", 'workers = 2\nlog_level = "debug"')
    env = {
        "MEDIAD_DAEMON__WORKERS": "3",
        "MEDIAD_DATES__SOURCES": "xmp, exif",
        "MEDIAD_CONFIG": "/x",
        "OTHER": "1",
    }
    config = read(text, env)
    assert (config.daemon.workers, config.daemon.log_level) == (3, "debug")
    assert config.dates.sources == ("xmp", "exif")
    assert read(text, {"MEDIAD_DATES__SOURCES": '["filename"]'}).dates.sources == ("filename",)
    assert read(text, env, {"daemon.workers": "auto"}).daemon.workers is None
    assert read(text, {"MEDIAD_DAEMON__STATE_DIR": "~/s"}).daemon.state_dir == "/home/u/s"


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("MEDIAD_DAEMON__WORKERS", "0", "daemon.workers: is 0; 1 to 64"),
        ("MEDIAD_DAEMON__WORKERS", "x", "daemon.workers: is a string"),
        ("MEDIAD_DAEMON__WORKRES", "1", 'daemon.workres: is an unknown key; did you mean "workers"?'),
        ("MEDIAD_WATCH__INBOX__PATH", "/x", "cannot be set here"),
        ("MEDIAD_DATES__SOURCES", "[1", "dates.sources: is no list"),
        ("MEDIAD_DATES__SOURCES", "exfi", 'did you mean "exif"?'),
        ("MEDIAD_TRASH__KEEP", "", "is no duration"),
    ],
)
def test_problems_of_the_environment_name_the_variable(name: str, value: str, what: str) -> None:
    (found,) = problems(MINIMAL, {name: value})
    assert found.startswith(f"${name}: ")
    assert what in found


def test_problems_of_the_command_line_say_so() -> None:
    assert problems(MINIMAL, overrides={"daemon.wrokers": "1"})[0].startswith(
        "command line: daemon.wrokers: "
    )


def test_origins() -> None:
    text = '\n[library.photos]\npath = "/l"\n[watch]\ninbox = { path = "/w" }\n[trash]\nkeep = "1d"\n'
    config = read(text, {"MEDIAD_DAEMON__WORKERS": "3", "STATE_DIRECTORY": "/s"}, {"verify.rate": "1MB"})
    assert config.origins["library.photos.path"] == "c.toml:3"
    assert config.origins["watch.inbox.path"] == "c.toml:5"
    assert config.origins["watch.inbox.action"] == "default"
    assert config.origins["daemon.workers"] == "$MEDIAD_DAEMON__WORKERS"
    assert config.origins["daemon.state_dir"] == "$STATE_DIRECTORY"
    assert config.origins["verify.rate"] == "command line"
    every = {f"{table}.{key}" for table, keys in SINGLE.items() for key in keys}
    every |= {f"library.photos.{key}" for key in LIBRARY} | {f"watch.inbox.{key}" for key in WATCH}
    assert set(config.origins) == every


def test_meaning_not_place_makes_two_equal() -> None:
    assert read(MINIMAL) == read(f"# moved\n{MINIMAL}")
    assert read(MINIMAL) != read(MINIMAL.replace("/w", "/x"))


@pytest.mark.parametrize(
    ("env", "state", "sockets"),
    [
        (
            {"STATE_DIRECTORY": "/var/lib/mediad:/b", "RUNTIME_DIRECTORY": "/run/a:/b"},
            "/var/lib/mediad",
            ("/run/a/control", "/run/mediad/control"),
        ),
        (
            {"XDG_STATE_HOME": "/x/", "XDG_RUNTIME_DIR": "/run/user/1000"},
            "/x/mediad",
            ("/run/user/1000/mediad/control", "/run/mediad/control"),
        ),
        (
            {"XDG_STATE_HOME": "x", "XDG_RUNTIME_DIR": ""},
            "/home/u/.local/state/mediad",
            ("/run/mediad/control",),
        ),
    ],
)
def test_where_the_daemon_keeps_things(env: dict[str, str], state: str, sockets: tuple[str, ...]) -> None:
    daemon = read(MINIMAL, env).daemon
    assert (daemon.state_dir, daemon.sockets) == (state, sockets)


def test_no_home_no_default() -> None:
    with pytest.raises(InvalidConfig, match="has no default without a home folder"):
        parse(MINIMAL, file="c.toml", env={}, home="")
    with pytest.raises(InvalidConfig, match='"~" means nothing'):
        parse(MINIMAL.replace("/w", "~/w"), file="c.toml", env={"STATE_DIRECTORY": "/s"}, home="")


def test_a_default_socket_can_be_too_long() -> None:
    (found,) = problems(MINIMAL, {"XDG_RUNTIME_DIR": "/" + "x" * 100})
    assert "daemon.socket: by default, from $XDG_RUNTIME_DIR, is 116 bytes long" in found


def test_warnings() -> None:
    assert "there is no watch" in read('[library.a]\npath = "/a"\n').warnings[0]
    assert "lose their extension" in read(with_key("[library.photos]", 'layout = "{stem}"')).warnings[0]
    rule = 'match = { watch = "other" }\nignore = true'
    assert read(with_key("[[rule]]", rule)).warnings == (
        "c.toml:6: rule[1].match: fits no watch; there are inbox",
    )
    rule = 'match = { origin = ["Screenshot", "screen*", "screnshot"] }\nignore = true'
    assert read(with_key("[[rule]]", rule)).warnings == (
        'c.toml:6: rule[1].match: there is no origin "screnshot"; did you mean "screenshot"?',
    )


def test_lines_are_found_wherever_keys_stand() -> None:
    text = (
        "# a = 1\r\n"
        '[ a . "b.c" ] # [x]\r\n'
        "k = [ # ]\n  1,\n  '#]',\n]\n"
        'd.e = """\n\\"""\nx = 1""""\n'
        "i = { p = 1, q = { r = [ {} ] } }\n"
        "[[t]]\n[[t]]\n[t.u]\nv = 2000-01-01\n[[t.w]]\n[[t.w]]\nx=''''a''''\n"
    )
    lines = locate(text)
    assert lines["a", "b.c"] == 2
    assert [lines["a", "b.c", "k"], lines["a", "b.c", "k", 0], lines["a", "b.c", "k", 1]] == [3, 4, 5]
    assert lines["a", "b.c", "d", "e"] == 7
    assert lines["a", "b.c", "i", "q", "r", 0] == 10
    assert [lines["t", 0], lines["t", 1], lines["t", 1, "u", "v"], lines["t", 1, "w", 1, "x"]] == [
        11,
        12,
        14,
        17,
    ]
    tomllib.loads(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2.0), ("15m", 900.0), ("36h", 129600.0), ("30d", 2592000.0), ("1.5 h", 5400.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 s ", "1w", "1e3s", "99999999d", "Infs", "\u0661s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "amount", "again"),
    [
        ("0", 0, "0B"),
        ("2GB", 2 * 10**9, "2GB"),
        ("1.5 kib", 1536, "1536B"),
        ("4MiB", 2**22, "4MiB"),
        ("7", 7, "7B"),
    ],
)
def test_sizes(text: str, amount: int, again: str) -> None:
    assert parse_size(text) == amount
    assert format_size(amount) == again


def example() -> str:
    return Path(PROJECT, "config.example.toml").read_text(encoding="utf-8")


def uncommented() -> str:
    """The example with every commented key in force."""
    return re.sub(r"(?m)^# ", "", example())


def test_the_example_is_valid_as_it_is() -> None:
    config = read(example())
    assert config.warnings == ()
    assert config == read(re.sub(r"(?m)^#.*\n", "", example()))


def test_the_example_is_valid_with_every_key() -> None:
    assert len(read(uncommented()).rules) == 3


def test_the_example_has_every_key() -> None:
    data = tomllib.loads(uncommented())
    assert data["library"]["photos"].keys() == LIBRARY.keys()
    assert data["watch"]["inbox"].keys() == WATCH.keys()
    assert {key for rule in data["rule"] for key in rule} == RULE.keys()
    assert data["hook"][0].keys() == HOOK.keys()
    assert {table: data[table].keys() for table in SINGLE} == {
        table: keys.keys() for table, keys in SINGLE.items()
    }


def test_the_example_shows_the_defaults() -> None:
    data = tomllib.loads(uncommented())
    tables = [(data["library"]["photos"], LIBRARY), (data["watch"]["inbox"], WATCH), (data["hook"][0], HOOK)]
    tables += [(data[name], keys) for name, keys in SINGLE.items()]
    for table, keys in tables:
        shown = {
            name: table[name]
            for name, key in keys.items()
            if isinstance(key.default, str | int | list) and key.default != ""
        }
        assert shown == {name: keys[name].default for name in shown}
