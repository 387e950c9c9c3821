"""What the socket offers, on a real pipeline: what is answered, what is refused, and what it does."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from mediad.control.calls import Call, ExpectedMore, Shared
from mediad.control.peer import Peer
from mediad.control.protocol import InvalidParameter, paths_parameters
from mediad.errors import Ambiguous, LibraryFull, NoSuchName, NotKnown, NotPermitted
from mediad.events import MOST
from mediad.ingest import intake, shelves
from tests import samples
from tests.steering import LIMIT, ROOT, House, other, stall
from tests.system.once import picture
from tests.trees import files

pytestmark = pytest.mark.anyio

MEMBER = Peer(2, 12345, frozenset({12345}), trusted=False)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# --- Pause and resume --------------------------------------------------------------------------------


async def test_a_pause_of_everything(house: House) -> None:
    async with house.life() as steering:
        (paused,) = (await steering.call("Pause"))["paused"]
        assert (paused["name"], paused["until"]) == (None, None)
        house.put("inbox/a.jpg", picture(1))
        assert await steering.rest() == "held"
        status = await steering.call("Status")
        assert (status["state"], status["paused_until"]) == ("paused", None)
        (watch,), (library,) = status["watches"], status["libraries"]
        assert (watch["state"], watch["queue"]["held"]) == ("paused", 1)
        assert library["state"] == "online"
        assert [one["command"] for one in status["attention"]] == ["mediactl resume"]
        (queued,) = (await steering.call("Queue"))["files"]
        assert (queued["state"], queued["why"]) == ("held", "everything is paused")
        told = await steering.call("Why", path=queued["path"])
        assert told["waits"] == "it is held: everything is paused"
        reply = await steering.call("Resume")
        assert reply == {"resumed": [], "everything": True, "paused": []}
        assert await steering.rest() == "idle"
        assert await steering.totals() == {"filed": 1, "bytes_filed": len(picture(1))}


@pytest.mark.parametrize("name", ["inbox", "photos"])
async def test_a_pause_by_name(house: House, name: str) -> None:
    house.settings["watch"]["other"] = house.watched("other", library="films")
    house.settings["library"]["films"] = house.table("films", min_free="1MB")
    for folder in ("other", "films"):
        (house.root / folder).mkdir()
    async with house.life() as steering:
        await steering.call("Pause", names=[name], for_s=3600.0)
        house.put("inbox/a.jpg", picture(1))
        house.put("other/b.jpg", picture(2))
        assert await steering.rest() == "held"
        status = await steering.call("Status")
        assert status["state"] == "running"
        states = {one["name"]: (one["state"], one["paused_until"] is None) for one in status["watches"]}
        assert states == {"inbox": ("paused", False), "other": ("watching", True)}
        until = {one["name"]: one["paused_until"] is None for one in status["libraries"]}
        assert until == {"photos": name != "photos", "films": True}
        assert list(files(house.root / "films", without={b".mediad"})) == [b"2021/2021-03-01/b.jpg"]
        assert files(house.root / "photos", without={b".mediad"}) == {}
        assert "paused" not in [one["code"] for one in status["attention"]], "it ends by itself"
        assert (await steering.call("Resume", names=[name]))["resumed"] == [name]
        assert await steering.rest() == "idle"


async def test_a_deadline_ends_a_pause_by_itself(house: House) -> None:
    async with house.life() as steering:
        await steering.call("Pause", for_s=0.05)
        await steering.until(lambda: not steering.pipeline.pauses.any())
        house.put("inbox/a.jpg", picture(1))
        assert await steering.rest() == "idle"


async def test_a_deadline_that_passed_while_the_daemon_was_off(house: House) -> None:
    async with house.life() as steering:
        await steering.call("Pause", for_s=3600.0)
        await steering.call("Pause", names=["inbox"], for_s=7200.0)
    house.clock.ahead = 5400.0
    async with house.life() as steering:
        status = await steering.call("Status")
        assert (status["state"], status["watches"][0]["state"]) == ("running", "paused")
    house.clock.ahead = 7200.0
    async with house.life() as steering:
        assert (await steering.call("Status"))["watches"][0]["paused_until"] is None


@pytest.mark.parametrize("seconds", [0, -1, -0.001, 3.2e9, 1e12, 1e300])
async def test_no_time_at_all_is_refused(house: House, seconds: float) -> None:
    async with house.life() as steering:
        with pytest.raises(InvalidParameter, match="for_s"):
            await steering.call("Pause", for_s=seconds)
        assert not steering.pipeline.pauses.any()


async def test_a_pause_of_a_hundred_years_can_be_told(house: House) -> None:
    async with house.life() as steering:
        await steering.call("Pause", for_s=3.1e9)
        assert (await steering.call("Status"))["paused_until"].startswith("21")


@pytest.mark.parametrize("method", ["Pause", "Resume", "Scan"])
async def test_no_names_are_not_all_names(house: House, method: str) -> None:
    async with house.life() as steering:
        await steering.call("Pause", names=["inbox"])
        with pytest.raises(InvalidParameter, match="names"):
            await steering.call(method, names=[])
        assert [pause.name for pause in steering.pipeline.pauses.all()] == ["inbox"]


@pytest.mark.parametrize("method", ["Pause", "Resume", "Scan"])
async def test_an_unknown_name_is_refused_and_the_nearest_told(house: House, method: str) -> None:
    async with house.life() as steering:
        with pytest.raises(NoSuchName, match=r'named inbx; did you mean "inbox"\?'):
            await steering.call(method, names=["photos", "inbx"])
        with pytest.raises(NoSuchName, match="there are inbox, photos"):
            await steering.call(method, names=["", "x"])
        assert not steering.pipeline.pauses.any()


async def test_more_than_fits_waits_while_paused_and_none_is_lost(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_SETTLING", 10)
    async with house.life() as steering:
        await steering.call("Pause")
        for number in range(50):
            house.put(f"inbox/{number % 7}/{number}.jpg", picture(number))
        assert await steering.rest() == "held", "the look has to come to its end"
        assert await steering.rest() == "held"
        held = (await steering.queue())["held"]
        assert 10 < held <= 50
        house.put("inbox/late.jpg", picture(99))
        await steering.call("Resume")
        assert await steering.rest() == "idle"
        assert (await steering.totals())["filed"] == 51


async def test_what_was_not_begun_with_is_given_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.life() as steering:
        gate = stall(steering, monkeypatch)
        for number in range(200):
            house.put(f"inbox/{number}.jpg", picture(number))
        await steering.call("Scan")
        await steering.until(lambda: steering.pipeline.tracker.flying == 200)
        await steering.call("Pause")
        assert await steering.queue() == {"in_flight": 64, "held": 136}, "two batches are at work"
        gate.set()
        assert await steering.rest() == "held"
        assert (await steering.totals())["filed"] == 64
        await steering.call("Resume")
        assert await steering.rest() == "idle"
        assert (await steering.totals())["filed"] == 200


# --- Looking and waiting -----------------------------------------------------------------------------


async def test_a_scan_tells_what_it_found(house: House) -> None:
    async with house.life() as steering:
        await steering.rest()
        house.put("inbox/a.jpg", picture(1))
        house.put("inbox/b.jpg", picture(2))
        looks = (await steering.call("Scan"))["looks"]
        assert [(one["kind"], one["name"], one["state"], one["files"]) for one in looks] == [
            ("watch", "inbox", "watching", 2),
            ("library", "photos", "online", 0),
        ]
        await steering.rest()
        looks = (await steering.call("Scan", names=["photos"]))["looks"]
        assert [(one["name"], one["files"]) for one in looks] == [("photos", 2)]
        (watch,) = (await steering.call("Status"))["watches"]
        assert watch["found_by_scan"] == 2
        assert watch["last_complete_scan"] is not None


async def test_a_scan_of_what_is_away(house: House) -> None:
    async with house.life() as steering:
        (house.root / "inbox").rmdir()
        (house.root / "photos" / ".mediad" / "library.toml").unlink()
        watch, library = (await steering.call("Scan"))["looks"]
        assert (watch["state"], watch["error"]) == ("offline", "the folder is missing")
        assert library["state"] == "offline"
        attention = (await steering.call("Status"))["attention"]
        assert [one["code"] for one in attention] == ["library-offline", "watch-offline"]
        assert attention[0]["command"] == "mediactl adopt photos"  # only its marker is missing


@pytest.mark.parametrize("seconds", [-1, -0.001])
async def test_no_negative_time_to_wait(house: House, seconds: float) -> None:
    async with house.life() as steering:
        with pytest.raises(InvalidParameter, match="timeout_s"):
            await steering.call("Wait", timeout_s=seconds)


async def test_wait_takes_in_what_no_event_told_of(house: House) -> None:
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        house.put("inbox/a.jpg", picture(1))
        assert await steering.rest() == "idle"
        assert (await steering.totals())["filed"] == 1


async def test_wait_ends_when_its_time_is_over(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.life() as steering:
        gate = stall(steering, monkeypatch)
        house.put("inbox/a.jpg", picture(1))
        reply = await steering.call("Wait", timeout_s=0.05)
        assert reply["result"] == "timeout"
        assert (await steering.call("Wait", timeout_s=0.0))["result"] == "timeout"
        await steering.until(lambda: steering.pipeline.tracker.flying)
        (queued,) = (await steering.call("Queue"))["files"]
        assert (queued["state"], queued["due_s"]) == ("in_flight", None)
        (flight,) = (await steering.call("Status"))["in_flight"]
        assert (flight["stage"], flight["bytes_done"], flight["bytes"]) == ("queued", 0, len(picture(1)))
        gate.set()
        assert await steering.rest() == "idle"


async def test_wait_counts_what_an_offline_library_holds_up(house: House) -> None:
    async with house.life() as steering:
        marker = house.root / "photos" / ".mediad" / "library.toml"
        marker.rename(house.root / "marker")
        await steering.call("Scan", names=["photos"])
        house.put("inbox/a.jpg", picture(1))
        reply = await steering.call("Wait", timeout_s=LIMIT)
        assert (reply["result"], reply["queue"]["held"]) == ("held", 1)
        (queued,) = (await steering.call("Queue"))["files"]
        assert queued["state"] == "held"
        assert queued["why"].startswith("library photos is offline: ")
        (house.root / "marker").rename(marker)
        await steering.call("Scan", names=["photos"])
        assert await steering.rest() == "idle"


async def test_a_source_on_its_way_out_is_no_file_of_the_watch(house: House) -> None:
    """It has another name for a moment, which a look at the folder may show."""
    async with house.life() as steering:
        house.put("inbox/sub/.mediad-12", picture(1))
        assert await steering.rest() == "idle"
        assert await steering.totals() == {}
        house.put("inbox/sub/.mediad-notes", picture(2))
        assert await steering.rest() == "idle"
        assert await steering.totals() == {"ignored": 1}


# --- Questions ---------------------------------------------------------------------------------------


async def test_history_in_pages(house: House) -> None:
    async with house.life() as steering:
        for number in range(5):
            house.put(f"inbox/{number}.jpg", picture(number))
        await steering.rest()
        first = await steering.call("History", limit=2)
        assert (len(first["rows"]), first["next"]) == (2, first["rows"][-1]["id"])
        second = await steering.call("History", limit=2, after=first["next"])
        last = await steering.call("History", limit=2, after=second["next"])
        assert last["next"] is None
        ids = [row["id"] for page in (first, second, last) for row in page["rows"]]
        assert len(set(ids)) == 5
        assert ids == sorted(ids)
        end = await steering.call("History", limit=2, more=True)
        told = [*steering.told, end]
        assert [row["id"] for page in told for row in page["rows"]] == ids


async def test_pages_are_made_one_at_a_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work: list[int] = []
    most = 0

    async def page(*_: object, **__: object) -> dict[str, object]:
        nonlocal most
        at_work.append(1)
        most = max(most, len(at_work))
        await anyio.wait_all_tasks_blocked()
        at_work.pop()
        return {"rows": [], "next": None}

    async with house.life() as steering:
        monkeypatch.setattr("mediad.steering.daemon.history", page)
        async with anyio.create_task_group() as clients:
            for _ in range(4):
                clients.start_soon(other(steering).call, "History")
    assert most == 1


@pytest.mark.parametrize("since", ["yesterday", "", "2021-13-01T00:00:00Z", "2021-01-01T00:00:00"])
async def test_no_time(house: House, since: str) -> None:
    async with house.life() as steering:
        with pytest.raises(InvalidParameter, match="since"):
            await steering.call("History", since=since)


async def test_the_queue_in_pages(house: House) -> None:
    async with house.life() as steering:
        await steering.call("Pause")
        for number in range(5):
            house.put(f"inbox/{number}.jpg", picture(number))
        await steering.rest()
        found: list[str] = []
        after: int | None = 0
        while after is not None:
            page = await steering.call("Queue", limit=2, after=after)
            assert len(page["files"]) <= 2
            found += [file["path"] for file in page["files"]]
            after = page["next"]
        assert len(set(found)) == len(found) == 5


@pytest.mark.parametrize("after", [-1, 1 << 40, (1 << 63) - 1])
async def test_a_page_that_there_is_not(house: House, after: int) -> None:
    async with house.life() as steering:
        house.put("inbox/a.jpg", picture(1))
        await steering.rest()
        for method in ("History", "Failures"):
            page = await steering.call(method, after=after, limit=max(after, 7))  # more than any page has
            assert page["next"] is None
        if 0 <= after <= 1 << 40:
            assert await steering.call("Queue", after=after, limit=after) == {"files": [], "next": None}
        else:
            with pytest.raises(InvalidParameter, match="after"):
                await steering.call("Queue", after=after)


async def test_why_needs_a_path_and_knows_names(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/a/one.jpg", picture(1))
        house.put("inbox/b/one.jpg", picture(2))
        path = house.put("inbox/two.jpg", picture(3))
        await steering.rest()
        with pytest.raises(InvalidParameter, match="path"):
            await steering.call("Why")
        with pytest.raises(NotKnown):
            await steering.call("Why", path="/nowhere/at/all.jpg")
        with pytest.raises(Ambiguous):
            await steering.call("Why", path="one.jpg")
        story = (await steering.call("Why", path="two.jpg"))["stories"][0]
        assert (story["outcome"], story["source"]) == ("filed", os.fsdecode(path))


async def test_failures_retry_dismiss(house: House) -> None:
    async with house.life() as steering:
        path = house.put("inbox/broken.jpg", samples.broken_jpeg(1))
        await steering.rest()
        (failure,) = (await steering.call("Failures"))["files"]
        assert (failure["outcome"], failure["path"]) == ("quarantined", os.fsdecode(path))
        with pytest.raises(InvalidParameter, match="paths"):
            await steering.call("Dismiss")
        with pytest.raises(NotKnown):
            await steering.call("Dismiss", paths=["/nowhere"])
        with pytest.raises(NotKnown):
            await steering.call("Retry", paths=["/nowhere"])
        assert await steering.call("Dismiss", paths=[os.fsdecode(path)]) == {"dismissed": 1}
        assert (await steering.call("Failures"))["files"] == []
        status = await steering.call("Status")
        assert (status["totals"]["quarantined"], status["attention"]) == (1, [])
        with pytest.raises(NotKnown):
            await steering.call("Dismiss", paths=[os.fsdecode(path)])


async def test_exact_duplicates(house: House) -> None:
    house.put("photos/one.jpg", picture(1))
    house.put("photos/two.jpg", picture(1))
    async with house.life() as steering:
        reply = await steering.call("Duplicates")
        assert (reply["groups"], reply["unread"]) == ([], 2), "nobody has read them yet"
        house.put("inbox/three.jpg", picture(1))
        await steering.rest()
        (group,) = (await steering.call("Duplicates"))["groups"]
        assert (group["kind"], len(group["files"])) == ("exact", 2)
        assert await steering.totals() == {"duplicate": 1}


# --- Who may name what -------------------------------------------------------------------------------


async def test_a_member_may_name_what_lies_in_watches_and_libraries_only(house: House) -> None:
    async with house.life() as steering:
        inside = os.fsdecode(house.put("inbox/a.jpg", picture(1)))
        await steering.rest()
        assert (await steering.call("Why", peer=MEMBER, path=inside))["stories"]
        assert (await steering.call("Why", peer=MEMBER, path="a.jpg"))["stories"], "a bare name names none"
        inbox = str(house.root / "inbox")
        for path in ("/etc/passwd", f"{inbox}/../state/catalogue.db", f"{inbox}x/a.jpg", str(house.root)):
            for method in ("Why", "Retry", "Dismiss"):
                parameters = {"path": path} if method == "Why" else {"paths": [path]}
                with pytest.raises(NotPermitted, match="in no watch and no library"):
                    await steering.call(method, peer=MEMBER, **parameters)


async def test_what_lies_in_an_excluded_folder(house: House) -> None:
    house.settings["watch"]["inbox"]["exclude"] = ["raw/"]
    async with house.life() as steering:
        path = os.fsdecode(house.put("inbox/2024/raw/x/a.jpg", picture(1)))
        assert await steering.rest() == "idle"
        told = await steering.call("Why", path=path)
        assert (told["stories"], told["waits"]) == (
            [],
            "it is left alone: a folder that it lies in is excluded by raw/",
        )
        with pytest.raises(NotKnown):
            await steering.call("Why", path=f"{path}.jpg")


async def test_why_knows_what_waits_by_links(house: House) -> None:
    house.settings["watch"]["inbox"]["settle"] = "1h"
    (house.root / "in").symlink_to("inbox")
    async with house.life() as steering:
        house.put("inbox/a.jpg", picture(1))
        house.put("inbox/@eaDir/b.jpg", picture(1))
        await steering.call("Scan")
        for name, told in (("a.jpg", "it is settling"), ("@eaDir/b.jpg", "excluded by @eaDir/")):
            assert told in (await steering.call("Why", path=str(house.root / "in" / name)))["waits"]


async def test_paths_that_lead_there_by_links(house: House) -> None:
    (house.root / "link").symlink_to("photos")
    (house.root / "in").symlink_to("inbox")
    async with house.life() as steering:
        house.put("inbox/a.jpg", picture(1))
        house.put("inbox/b.jpg", b"\xff\xd8\xff\xe0 broken")
        await steering.rest()
        (file,) = (path for path in files(house.root / "photos") if path.endswith(b"a.jpg"))
        library, source = str(house.root / "link" / os.fsdecode(file)), str(house.root / "in/a.jpg")
        for method, path, changed in (("Trash", library, 1), ("Refile", library, 0), ("Undo", source, 1)):
            told = await steering.call(method, paths=[path], dry_run=True)
            assert (told["done"], told["refused"]) == (changed, 0), method
        told = await steering.call("Date", paths=[str(house.root / "link")], shift_s=60.0, dry_run=True)
        assert told["refused"] == 0
        assert (await steering.call("Retry", paths=[str(house.root / "in/b.jpg")], dry_run=True))["files"]
        assert await steering.call("Dismiss", paths=[str(house.root / "in")]) == {"dismissed": 1}
        with pytest.raises(InvalidParameter):
            await steering.call("Trash", paths=["a.jpg"])


async def test_members_learn_nothing_of_what_lies_elsewhere_by_links(house: House) -> None:
    house.settings["watch"]["inbox"]["exclude"] = ["raw/"]
    (house.root / "inbox/raw").mkdir()
    (house.root / "inbox/raw/link").symlink_to(house.root)
    house.put("secret", b"content")
    async with house.life() as steering:
        for path, known in (("link", True), ("link/secret", False)):
            asking = steering.call("Why", peer=MEMBER, path=str(house.root / "inbox/raw" / path))
            if known:
                assert "excluded by raw/" in (await asking)["waits"]
            else:
                with pytest.raises(NotKnown):
                    await asking


async def test_members_may_write_dots_into_paths(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/a.jpg", picture(1))
        await steering.rest()
        (file,) = (path for path in files(house.root / "photos") if path.endswith(b"a.jpg"))
        for path in (f"photos/x/../{os.fsdecode(file)}", "inbox/../photos/x/.."):
            told = await steering.call("Refile", peer=MEMBER, paths=[f"{house.root}/{path}"], dry_run=True)
            assert told["refused"] == 0, path


async def test_members_name_no_library_elsewhere(house: House) -> None:
    async with house.life() as steering:
        with pytest.raises(NotPermitted, match="in no watch and no library"):
            await steering.call("Adopt", peer=MEMBER, path="/etc")


async def test_bytes_that_are_no_text(house: House) -> None:
    async with house.life() as steering:
        path = house.put(os.fsdecode(b"inbox/caf\xe9\n.jpg"), picture(1))
        await steering.rest()
        given = paths_parameters([path])
        told = await steering.call("Why", path_b64=given["paths_b64"][0])  # type: ignore[index]
        assert told["stories"][0]["outcome"] == "filed"
        assert told["path_b64"] == given["paths_b64"][0]  # type: ignore[index]


# --- Following ---------------------------------------------------------------------------------------


async def test_monitor_wants_more(house: House) -> None:
    async with house.life() as steering:
        with pytest.raises(ExpectedMore):
            await steering.call("Monitor")
        assert not steering.pipeline.events.followed


async def test_monitor_tells_in_order_what_happens(house: House) -> None:
    async with house.life() as steering, anyio.create_task_group() as following:
        await steering.rest()
        following.start_soon(functools.partial(steering.call, "Monitor", more=True))
        await steering.until(lambda: steering.pipeline.events.followed)
        follower = steering.told
        await other(steering).call("Pause")
        path = house.put("inbox/a.jpg", picture(1))
        await other(steering).call("Resume")
        await other(steering).rest()
        await steering.until(lambda: any(event["event"] == "filed" for event in follower))
        following.cancel_scope.cancel()
    kinds = [event["event"] for event in follower if event["event"] != "watch"]
    assert kinds == ["pause", "resume", "filed"]
    filed = follower[-1]
    assert filed["path"] == os.fsdecode(path)
    assert filed["destination"] == str(house.root / "photos/2021/2021-03-01/a.jpg")
    assert (filed["name"], filed["batch"], filed["bytes"]) == ("inbox", 2, len(picture(1)))  # 1: the file's


async def test_all_who_follow_are_told_the_same(house: House) -> None:
    async with house.life() as steering, anyio.create_task_group() as following:
        await steering.rest()
        others = [other(steering) for _ in range(3)]
        for one in others:
            following.start_soon(functools.partial(one.call, "Monitor", more=True))
        await anyio.wait_all_tasks_blocked()
        steering.pipeline.events.publish("filed", name="inbox", batch=1)
        await steering.until(lambda: all(one.told for one in others))
        following.cancel_scope.cancel()
    first, *rest = [one.told[-1] for one in others]
    assert isinstance(first, Shared)
    assert all(told is first for told in rest), "it is encoded once"


async def test_monitor_tells_how_much_was_lost(house: House) -> None:
    async with house.life() as steering:
        await steering.rest()
        told: list[Mapping[str, object]] = []
        reads = anyio.Event()

        async def reply(part: Mapping[str, object]) -> None:
            await reads.wait()
            told.append(part)

        call = Call("Monitor", {}, ROOT, more=True)
        async with anyio.create_task_group() as following:
            following.start_soon(steering.daemon.call, call, reply)
            await steering.until(lambda: steering.pipeline.events.followed)
            for number in range(MOST + 10):
                steering.pipeline.events.publish("filed", batch=number)
            await anyio.wait_all_tasks_blocked()
            for number in range(MOST):
                steering.pipeline.events.publish("filed", batch=MOST + 10 + number)
            reads.set()
            await steering.until(lambda: len(told) >= 2 * MOST + 1)
            following.cancel_scope.cancel()
    lost = [part["lost"] for part in told if part["event"] == "lost"]
    assert lost == [10]
    assert [part["batch"] for part in told if part["event"] == "filed"] == [
        *range(MOST),
        *range(MOST + 10, 2 * MOST + 10),
    ]


async def test_wait_sees_that_a_library_has_room_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "_LOOK_AGAIN", 3600.0)
    async with house.life() as steering:
        shelf = steering.pipeline.shelves["photos"]
        steering.pipeline.shelves.fault(shelf, LibraryFull("no space is left"))
        house.put("inbox/a.jpg", picture(1))
        assert shelf.state == "full"
        assert await steering.rest() == "idle"
        assert (await steering.totals())["filed"] == 1
