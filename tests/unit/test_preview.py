"""`mediad plan`: what it says, that it touches nothing, and that the daemon then does the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from mediad import eventloop
from mediad.cli.main import main
from mediad.errors import NotPermitted
from mediad.files import Files
from mediad.ingest.preview import Forecast, Preview
from mediad.store.database import Database, open_copy, open_database
from tests import samples
from tests.crash.scene import Hurry, Reader, Scene, inputs, put
from tests.mounting import Factory

TAKEN = datetime.fromisoformat("2021-07-10T20:39:25")
PICTURE = samples.jpeg(TAKEN, seed=1, size=(32, 24))
OTHER = samples.jpeg(TAKEN, seed=2, size=(32, 24))
UNDATED = samples.png(seed=5, size=(16, 16))

Everything = dict[str, tuple[int, ...]]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A known library with some content, and an inbox with a file of every kind."""
    scene = Scene(tmp_path / "scene", "move", "", inputs())
    scene.make()
    scene.reset()
    return scene


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An inbox and a library that were never seen, and a configuration."""
    for name in ("inbox", "library"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "c.toml").write_text(
        f'[library.photos]\npath = "{tmp_path}/root/library"\nmin_free = "0"\n'
        f'[watch.inbox]\npath = "{tmp_path}/root/inbox"\nsettle = "0s"\naction = "move"\n'
        f'[daemon]\nstate_dir = "{tmp_path}/root/state"\nworkers = 1\n'
    )
    return tmp_path / "root"


def everything(root: Path) -> Everything:
    """Each entry with its inode, size, times and mode; nothing but reading times may change unseen."""
    found: Everything = {}
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names, "."):
            path = os.path.join(folder, name)
            it = os.lstat(path)
            found[path] = (it.st_ino, it.st_mode, it.st_nlink, it.st_size, it.st_mtime_ns, it.st_ctime_ns)
    return found


def forecast(scene: Scene, paths: Sequence[bytes] = ()) -> dict[bytes, Forecast]:
    """The forecasts by path below the inbox."""

    async def look(preview: Preview) -> list[Forecast]:
        return [told async for told in preview.forecast(paths)]

    copy = open_copy(scene.catalogue)
    try:
        preview = Preview(scene.config(), Files(), Hurry(), Database(copy), Reader())
        told = eventloop.run(look, preview)
    finally:
        copy.close()
    prefix = len(scene.inbox) + 1
    found = {one.path[prefix:]: one for one in told}
    assert len(found) == len(told)
    return found


def plan(root: Path, *arguments: str) -> int:
    return main(["plan", "--config", str(root.parent / "c.toml"), *arguments])


def test_a_file_of_every_kind(scene: Scene) -> None:
    told = forecast(scene)
    outcomes = {path: str(one.outcome) for path, one in told.items()}
    pair = {outcomes.pop(b"same.jpg"), outcomes.pop(b"card/same-again.jpg")}
    assert pair == {"filed", "duplicate"}
    assert outcomes == {
        file.path: "ignored" if file.path == b"notes.txt" else next(iter(file.outcomes))
        for file in scene.inputs
        if file.path in outcomes
    }
    assert outcomes.keys() | {b"same.jpg", b"card/same-again.jpg"} == {file.path for file in scene.inputs}
    assert told[b"a.jpg"].destination == scene.library + b"/2021/2021-07-10/a.jpg"
    assert told[b"a.xmp"].destination == scene.library + b"/2021/2021-07-10/a.xmp"
    assert [path for path, one in told.items() if one.undated] == [b"card/undated \xff.png"]
    for path in (b"known.jpg", b"broken.jpg", b"notes.txt", b"empty.jpg", b"lonely.xmp"):
        assert told[path].destination is None
        assert told[path].reason


def test_nothing_is_touched(scene: Scene) -> None:
    before = everything(scene.root)
    assert forecast(scene)
    assert everything(scene.root) == before


def test_nothing_is_touched_beside_a_running_daemon(scene: Scene) -> None:
    daemon = open_database(scene.catalogue)
    daemon.execute("UPDATE library SET indexed = NULL")  # in its log, and the library is looked at anew
    logs = {str(scene.catalogue) + end for end in ("-wal", "-shm")}  # root's SQLite owns them anew
    before = everything(scene.root)
    told = forecast(scene)
    assert told[b"known.jpg"].outcome == "duplicate"
    after = everything(scene.root)
    assert {path for path in after if after[path] != before.get(path)} <= logs
    daemon.close()


def test_the_daemon_does_what_was_said(scene: Scene) -> None:
    told = forecast(scene)
    scene.run_undisturbed()
    connection = open_database(scene.catalogue)
    rows = connection.execute(
        "SELECT arrival.path, arrival.outcome, step.action, step.destination FROM arrival"
        " LEFT JOIN step ON step.arrival = arrival.id AND step.state = 'done' WHERE watch = 'inbox'"
    ).fetchall()
    connection.close()
    done = {path: (outcome, action, destination) for path, outcome, action, destination in rows}
    assert done.keys() == told.keys()
    # which of two twins is first is open, and of a name taken behind its back the catalogue knows nothing
    open_ = {b"same.jpg", b"card/same-again.jpg", b"clash.jpg", b"clash.jpg.xmp"}
    for path in told.keys() - open_:
        outcome, action, destination = done[path]
        public = destination if action == "move" and isinstance(destination, bytes) else None
        assert (told[path].outcome, told[path].destination) == (
            outcome,
            public and scene.library + b"/" + public,
        )


def test_after_a_run_all_that_stayed_is_known(scene: Scene) -> None:
    scene.run_undisturbed()
    told = forecast(scene)
    assert {path: one.outcome for path, one in told.items()} == dict.fromkeys(
        (b"notes.txt", b"empty.jpg", b"lonely.xmp"), "known"
    )
    assert {one.reason for one in told.values()} == {"ignored before; it stays where it is"}
    put(scene.inbox, b"notes.txt", samples.jpeg(TAKEN, seed=77, size=(32, 24)))
    assert forecast(scene)[b"notes.txt"].outcome == "filed"  # it is another file now


def test_only_what_was_asked_for(scene: Scene) -> None:
    assert forecast(scene, [scene.inbox + b"/card"]).keys() == {
        b"card/same-again.jpg",
        b"card/undated \xff.png",
    }
    assert forecast(scene, [scene.inbox + b"/notes.txt"]).keys() == {b"notes.txt"}
    assert forecast(scene, [scene.inbox + b"/notes.txt", scene.inbox]).keys() == forecast(scene).keys()


def test_a_path_outside_every_watch_is_refused(scene: Scene) -> None:
    with pytest.raises(NotPermitted):
        forecast(scene, [scene.library + b"/old/known.jpg"])


def test_without_its_library_a_file_is_held(scene: Scene) -> None:
    os.rename(scene.library, scene.library + b".away")
    told = forecast(scene)
    assert {told[path].outcome for path in (b"a.jpg", b"live.mov", b"known.jpg")} == {"held"}
    assert told[b"notes.txt"].outcome == "ignored"
    assert not os.path.exists(scene.library)


def test_an_empty_mount_point_holds_and_gets_no_marker(scene: Scene) -> None:
    os.rename(scene.library, scene.library + b".away")
    os.mkdir(scene.library)
    told = forecast(scene)[b"a.jpg"]
    assert told.outcome == "held"
    assert "its marker .mediad/library.toml is missing" in told.reason
    assert not os.listdir(scene.library)


def test_a_full_library_holds(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = root.parent / "c.toml"
    settings.write_text(settings.read_text().replace('min_free = "0"', 'min_free = "9999TB"'))
    (root / "inbox/a.jpg").write_bytes(PICTURE)
    assert plan(root) == 0
    assert capsys.readouterr().out == "1 held: the library is offline, full or read-only\n"
    assert plan(root, "--list") == 0
    assert "min_free is 9999" in capsys.readouterr().out


def test_what_was_asked_for_in_an_excluded_folder_is_told(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(os.fsencode(root / "inbox"), b"@eaDir/a.jpg", PICTURE)
    line = "(its folder is excluded by @eaDir/)\n"
    for path in (root / "inbox/@eaDir/a.jpg", root / "inbox/@eaDir"):
        assert plan(root, "--list", str(path)) == 0
        assert capsys.readouterr().out == f"{path}: ignored {line}"


def test_a_hard_link_to_another_filesystem(
    root: Path, tmpfs: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, library = root.parent / "c.toml", str(tmpfs())
    text = settings.read_text().replace(f"{root}/library", library).replace('"move"', '"hardlink"')
    settings.write_text(text)
    (root / "inbox/a.jpg").write_bytes(PICTURE)
    assert plan(root) == 0
    assert capsys.readouterr().out == "1 that cannot be read or hard-linked\n"


def test_the_summary(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(os.fsencode(root / "library"), b"old/there.jpg", OTHER)
    for name, content in {
        "a.jpg": PICTURE,
        "again.jpg": PICTURE,
        "known.jpg": OTHER,
        "undated.png": UNDATED,
        "notes.txt": b"no media",
        "empty.jpg": b"",
        "broken.jpg": samples.broken_jpeg(),
    }.items():
        (root / "inbox" / name).write_bytes(content)
    before = everything(root)
    assert plan(root) == 0
    assert everything(root) == before
    assert not (root / "state").exists()
    assert capsys.readouterr().out.splitlines() == [
        "2 new, to be filed",
        "1 of them without a date",
        "2 duplicate",
        "1 unreadable, to be quarantined",
        "2 not media, or ignored for another reason",
    ]


def test_the_list(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "inbox/a.jpg").write_bytes(PICTURE)
    (root / "inbox/new\nline.txt").write_bytes(b"no media")
    (root / "inbox/skipped.png").write_bytes(UNDATED)
    with open(root.parent / "c.toml", "a") as settings:
        settings.write('[[rule]]\nmatch = { path = "**/*.png" }\nignore = true\n')
    before = everything(root)
    assert plan(root, "--list") == 0
    assert everything(root) == before
    lines = sorted(capsys.readouterr().out.splitlines())
    assert len(lines) == 3
    target = f"{root}/library/2021/2021-07-10/a.jpg"
    assert lines[0].startswith(f"{root}/inbox/a.jpg: filed -> {target} (2021-07-10 20:39:25 by exif (high)")
    assert lines[1].startswith(f"{root}/inbox/new\\nline.txt: ignored (")
    assert lines[2] == f"{root}/inbox/skipped.png: ignored (ignored by rule 1)"


def test_nothing_to_do(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(root) == 0
    assert capsys.readouterr().out == "nothing to do\n"


@pytest.fixture
def writer(root: Path) -> Iterator[int]:
    """Somebody who still writes to a.jpg."""
    fd = os.open(root / "inbox/a.jpg", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, PICTURE)
    yield fd
    os.close(fd)


@pytest.mark.usefixtures("writer")
def test_a_file_that_is_open_for_writing_is_settling(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(root) == 0
    assert capsys.readouterr().out == "1 not at rest yet\n"


def test_a_path_outside_every_watch_is_an_exit_code(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(root, str(root / "library")) == 77
    assert "lies in no watch" in capsys.readouterr().err
