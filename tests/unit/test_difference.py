"""What a reload says has changed: one line a thing, in the words of the configuration file."""

from __future__ import annotations

import pytest

from mediad.config import Config, parse
from mediad.config.difference import differences

LIBRARY = '[library.photos]\npath = "/photos"\n'
WATCH = '[watch.inbox]\npath = "/inbox"\nlibrary = "photos"\n'


def config(text: str) -> Config:
    return parse(text, file="c.toml", env={}, home="/home/u")


def changes(old: str, new: str) -> list[str]:
    return differences(config(LIBRARY + old), config(LIBRARY + new))


def test_nothing_changed() -> None:
    assert changes(WATCH, "# a comment\n" + WATCH) == []


def test_a_watch_comes_and_goes() -> None:
    card = '[watch.card]\npath = "/card"\nlibrary = "photos"\n'
    assert changes(WATCH, WATCH + card) == ["watch card: added (/card)"]
    assert changes(WATCH + card, WATCH) == ["watch card: removed"]


def test_a_library_comes_and_goes() -> None:
    films = '[library.films]\npath = "/films"\n'
    assert changes(WATCH, WATCH + films) == ["library films: added (/films)"]
    assert changes(WATCH + films, WATCH) == ["library films: removed"]


def test_a_watch_is_renamed() -> None:
    assert changes(WATCH, WATCH.replace("inbox]", "phone]")) == ["watch inbox: renamed to phone"]


def test_a_renamed_watch_that_is_otherwise_too() -> None:
    assert changes(WATCH, WATCH.replace("inbox]", "phone]") + 'action = "move"\n') == [
        "watch inbox: renamed to phone",
        "watch phone: action is move, was copy",
    ]


def test_two_watches_swap_their_names() -> None:
    other = '[watch.card]\npath = "/card"\nlibrary = "photos"\n'
    swapped = WATCH.replace('"/inbox"', '"/card"') + other.replace('"/card"', '"/inbox"')
    assert changes(WATCH + other, swapped) == [
        "watch inbox: path is /card, was /inbox",
        "watch card: path is /inbox, was /card",
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('action = "move"', "action is move, was copy"),
        ('settle = "5s"', "settle is 5s, was auto"),
        ('polling = "on"', "polling is on, was auto"),
        ('timezone = "Asia/Tokyo"', "timezone is Asia/Tokyo, was not set"),
        ('exclude = ["*.tmp", "/old"]', "exclude is *.tmp, /old, was empty"),
        ('include = ["*.jpg"]', "include is *.jpg, was *"),
        ('rescan = "1h"', "rescan is 1h, was 15m"),
    ],
)
def test_a_watchs_key(line: str, told: str) -> None:
    assert changes(WATCH, f"{WATCH}{line}\n") == [f"watch inbox: {told}"]


def test_a_librarys_layout() -> None:
    old = LIBRARY + 'layout = "{taken:%Y}/{name}"\n'
    new = LIBRARY + 'layout = "{taken:%Y-%m}/{name}"\n'
    assert differences(config(old + WATCH), config(new + WATCH)) == [
        'library photos: layout is "{taken:%Y-%m}/{name}", was "{taken:%Y}/{name}"'
    ]


def test_sizes_modes_and_groups() -> None:
    more = 'min_free = "500MB"\nfile_mode = "0640"\n[verify]\nevery = "30d"\nrate = "1MB/s"\n'
    assert differences(config(LIBRARY + WATCH), config(LIBRARY + more + WATCH)) == [
        "library photos: min_free is 500MB, was 2GB",
        "library photos: file_mode is 0640, was not set",
        "verify: every is 30d, was off",
        "verify: rate is 1MB/s, was 20MB/s",
    ]


def test_rules_and_hooks() -> None:
    rule = '[[rule]]\nmatch = { name = "*.png" }\nignore = true\n'
    other = rule.replace("png", "gif")
    hook = '[[hook]]\non = ["full"]\nrun = ["/bin/true"]\n'
    assert changes(WATCH, WATCH + rule) == ["rules: 1, were 0"]
    assert changes(WATCH + rule, WATCH + other) == ["rules: changed"]
    assert changes(WATCH + rule, WATCH + hook) == ["rules: 0, were 1", "hooks: 1, were 0"]


def test_single_tables() -> None:
    new = (
        WATCH + '[dates]\nearliest = "2000-01-01"\n[duplicates]\nexact = "leave"\n[trash]\nkeep = "forever"\n'
    )
    assert changes(WATCH, new) == [
        "duplicates: exact is leave, was trash",
        "dates: earliest is 2000-01-01, was 1990-01-01",
        "trash: keep is forever, was 30d",
    ]


def test_what_only_a_start_takes_up() -> None:
    new = WATCH + '[daemon]\nworkers = 3\nlog_level = "debug"\nsocket = "/run/other"\n'
    told = changes(WATCH, new)
    assert "daemon: workers is 3, was auto (from the next start on)" in told
    assert "daemon: log_level is debug, was info" in told
    assert any(line.startswith("daemon: socket is /run/other") and "next start" in line for line in told)
