"""The service under a real systemd, from installing it to a mount that hangs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import samples
from tests.conftest import PROJECT
from tests.system.machine import Machine
from tests.system.service import FILE, INBOX, LIBRARY, Service
from tests.trees import files

FRESH = """\
systemctl kill --signal=KILL mediad 2>/dev/null
systemctl stop mediad
rm -rf /run/systemd/system/mediad.service.d /etc/mediad /srv/* /var/lib/mediad
systemd-tmpfiles --create mediad.conf && systemctl daemon-reload
systemctl reset-failed mediad 2>/dev/null
true
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which mediad is installed, with the users that the tests need."""
    with Machine(tmp_path_factory.mktemp("machine")) as machine:
        machine.run("systemd-sysusers", "mediad.conf")
        machine.run("useradd", "--create-home", "--groups", "mediad", "member")
        machine.run("useradd", "--create-home", "stranger")
        yield machine


@pytest.fixture
def service(machine: Machine) -> Iterator[Service]:
    """The service as newly installed, with a configuration, not started."""
    machine.run("sh", "-c", FRESH)
    service = Service(machine)
    service.configure()
    yield service
    print("-- the journal --", *(entry["MESSAGE"] for entry in service.messages()), sep="\n")


# -- installing -------------------------------------------------------------------------------------------


def test_from_installing_to_the_first_file(service: Service) -> None:
    machine = service.machine
    machine.path(FILE).unlink()
    machine.run("mediad", "init", "--system")
    assert machine.run("find", INBOX, LIBRARY, "-not", "-user", "mediad") == ""
    service.start()
    assert service.show("ActiveState") == "active"
    content = service.put("IMG.jpg")
    path = service.filed(content)
    assert machine.path(f"{INBOX}/IMG.jpg").read_bytes() == content, "copy is the default"
    assert path.stat().st_uid == machine.path(LIBRARY).stat().st_uid != 0
    assert machine.run("stat", "--format=%U %a", "/var/lib/mediad") == "mediad 700\n"
    assert machine.run("stat", "--format=%U %a", "/run/mediad") == "mediad 755\n"
    service.stop()
    assert not machine.path("/run/mediad").exists()


def test_a_members_files_are_taken_and_keep_their_owner(service: Service) -> None:
    """For which it needs the right to a lease on other users' files, and no other."""
    service.start()
    content = service.put("IMG.jpg", user="member")
    found = service.filed(content).stat()
    assert f"{found.st_uid}\n" == service.machine.run("id", "-u", "member")
    story = json.loads(service.machine.run("mediactl", "--system", "why", "--json", f"{INBOX}/IMG.jpg"))
    assert "nobody had it open for writing" in story["stories"][0]["settled"]
    status = service.machine.path(f"/proc/{service.pid}/status").read_text("ascii")
    rights = {int(mask, 16) for mask in re.findall(r"Cap(?:Prm|Eff|Bnd|Amb):\s(\w+)", status)}
    assert rights == {1 << 28}, "CAP_LEASE"


def drop_ins() -> dict[str, str]:
    """The drop-ins in the unit's comments, by user."""
    text = (PROJECT / "systemd" / "system" / "mediad.service").read_text("ascii")
    found = re.findall(r"(?:^#   \S.*\n)+", text, re.MULTILINE)
    blocks = [re.sub(r"^#   ", "", block, flags=re.MULTILINE) for block in found]
    return {re.findall(r"User=(\w+)", block)[0]: block for block in blocks if "User=" in block}


def test_it_runs_as_another_user(service: Service) -> None:
    service.drop_in(drop_ins()["alice"].replace("alice", "member"))
    for folder in (INBOX, LIBRARY):
        service.machine.run("chown", "member:member", folder)
    service.start()
    service.filed(service.put("IMG.jpg", user="member"))
    assert service.machine.run("stat", "--format=%U", "/var/lib/mediad") == "member\n"


def test_it_runs_as_root_for_other_users_private_files(service: Service) -> None:
    service.drop_in(drop_ins()["root"])
    service.settings["watch"]["inbox"]["path"] = (
        "/home/member/inbox"  # on another filesystem than the library
    )
    service.configure()
    service.machine.run("install", "-d", "-o", "member", "-m", "0700", "/home/member/inbox")
    service.start()
    found = service.filed(service.put("IMG.jpg", folder="/home/member/inbox", user="member")).stat()
    assert f"{found.st_uid}\n" == service.machine.run("id", "-u", "member")


# -- what systemd is told ---------------------------------------------------------------------------------


def test_it_is_active_only_when_it_is_ready(service: Service) -> None:
    service.drop_in(
        f"[Service]\nExecStart=\nExecStart=/bin/sh -c 'kill -STOP $$$$; exec mediad run --config {FILE}'\n"
    )
    service.machine.run("systemctl", "start", "--no-block", "mediad")
    pid = service.machine.wait_for(lambda: service.pid)
    status = service.machine.path(f"/proc/{pid}/status")
    service.machine.wait_for(lambda: "State:\tT" in status.read_text("ascii"))
    assert service.show("ActiveState") == "activating"
    service.machine.run("kill", "-CONT", str(pid))
    service.wait_for("ActiveState", "active")
    assert service.pid == pid
    service.message("watch inbox: .* -> library photos")


def test_the_status_text_is_one_live_line(service: Service) -> None:
    service.start()
    service.filed(service.put("IMG.jpg"))

    def text() -> str:
        found = service.show("StatusText")
        assert found.isascii()
        assert found.isprintable()
        return found

    assert service.machine.wait_for(text, "a status text")
    assert "pause" not in text().lower()
    service.machine.run("mediactl", "--system", "pause")
    service.machine.wait_for(lambda: "pause" in text().lower(), "the pause in the status text")
    service.machine.run("mediactl", "--system", "resume")
    service.machine.wait_for(lambda: "pause" not in text().lower(), "the status text without the pause")


def test_the_journal_has_priorities(service: Service) -> None:
    service.settings["daemon"]["log_level"] = "debug"
    service.configure()
    service.start()
    service.filed(service.put("IMG.jpg"))
    assert service.message("watch inbox: ")["PRIORITY"] == "6"
    assert service.message(r"IMG\.jpg")["PRIORITY"] == "7"
    service.machine.path(LIBRARY).rename(service.machine.path("/srv/mediad/elsewhere"))
    service.put("IMG_2.jpg", 2)
    assert service.message("photos.* offline")["PRIORITY"] in ("3", "4")
    ours = [
        entry["MESSAGE"] for entry in service.messages() if entry.get("_SYSTEMD_UNIT") == "mediad.service"
    ]
    assert [message for message in ours if message.startswith("<")] == []


# -- reload -----------------------------------------------------------------------------------------------


def add_watch(service: Service, name: str) -> str:
    """Another watch in the configuration, whose folder is made; returns the folder."""
    folder = f"/srv/mediad/{name}"
    service.machine.run("install", "-d", "-o", "mediad", folder)
    service.settings["watch"][name] = {"path": folder, "action": "move", "settle": "200ms"}
    service.configure()
    return folder


def test_a_reload(service: Service) -> None:
    service.start()
    pid = service.pid
    folder = add_watch(service, "second")
    service.machine.run("systemctl", "reload", "mediad")
    assert service.show("ActiveState") == "active"
    assert set(service.watches()) == {"inbox", "second"}
    service.filed(service.put("IMG.jpg", folder=folder))
    assert service.pid == pid


def test_a_reload_by_signal(service: Service) -> None:
    service.start()
    add_watch(service, "second")
    service.machine.run("systemctl", "kill", "--signal=HUP", "--kill-who=main", "mediad")
    service.machine.wait_for(lambda: set(service.watches()) == {"inbox", "second"}, "the second watch")
    service.wait_for("ActiveState", "active")
    service.filed(service.put("IMG.jpg"))


def test_a_reload_that_is_refused(service: Service) -> None:
    service.start()
    pid = service.pid
    service.settings["watch"]["inbox"]["acton"] = "copy"
    service.settings["watch"]["inbox"]["settle"] = "soon"
    service.configure()
    assert service.machine.ask("systemctl", "reload", "mediad").returncode != 0
    assert (service.show("ActiveState"), service.show("SubState"), service.pid) == ("active", "running", pid)
    service.message(rf"{FILE}:\d+: watch\.inbox\.acton: ")
    service.message(rf"{FILE}:\d+: watch\.inbox\.settle: ")
    service.filed(service.put("IMG.jpg"))
    assert not service.machine.path(f"{INBOX}/IMG.jpg").exists(), "the old configuration is in force"


# -- ends -------------------------------------------------------------------------------------------------


def test_a_stop_during_work(service: Service) -> None:
    contents = {samples.jpeg(seed=seed) for seed in range(3)}
    for number, content in enumerate(sorted(contents) * 100):
        service.machine.path(f"{INBOX}/IMG_{number}.jpg").write_bytes(content + b"%d" % number)
    service.start()
    service.machine.wait_for(
        lambda: files(service.machine.path(LIBRARY), without={b".mediad"}), "a filed file"
    )
    service.stop()
    assert not files(service.machine.path(f"{LIBRARY}/.mediad/tmp"))


def test_it_is_started_again_after_a_kill(service: Service) -> None:
    service.drop_in("[Service]\nRestartSec=100ms\n")
    service.start()
    service.machine.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", "mediad")
    service.wait_for_restart()
    service.filed(service.put("IMG.jpg"))


def test_a_wrong_configuration_is_not_tried_again(service: Service) -> None:
    service.drop_in("[Service]\nRestartSec=100ms\n")
    service.settings["watch"]["inbox"]["acton"] = "move"
    service.configure()
    assert service.machine.ask("systemctl", "start", "mediad").returncode != 0
    assert service.show("ExecMainStatus") == "78"
    # It would be "activating" otherwise, until the next attempt.
    assert (service.show("ActiveState"), service.show("NRestarts")) == ("failed", "0")
    service.message(rf"{FILE}:\d+: watch\.inbox\.acton: .*action")


def test_a_frozen_daemon_is_started_again(service: Service) -> None:
    service.drop_in("[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")
    service.start()
    service.machine.run("systemctl", "kill", "--signal=STOP", "--kill-who=main", "mediad")
    service.wait_for_restart()
    service.message("Watchdog timeout")
    service.filed(service.put("IMG.jpg"))


# -- a mount that hangs -----------------------------------------------------------------------------------


class Mount:
    """A filesystem in the machine that can stop answering; see `tests.system.hanging`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.hears("mounted")

    def hears(self, word: str) -> None:
        """Wait until it says this."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{word}\n".encode()

    def hang(self) -> None:
        """Have it answer nobody any more."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"hang\n")
        self._process.stdin.flush()
        self.hears("hung")


@contextmanager
def mounted(machine: Machine, point: str) -> Iterator[Mount]:
    """A mount that answers until it is told otherwise; in the end all who wait for it get an error."""
    if not Path("/dev/fuse").exists():
        pytest.skip("this kernel has no FUSE")
    machine.run("mkdir", point)
    program = ("env", f"PYTHONPATH={PROJECT}", sys.executable, "-m", "tests.system.hanging", point)
    with machine.enter(*program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Mount(process)


def watchdog_fed(service: Service) -> int:
    """When it last said that it makes progress, in microseconds."""
    return int(service.show("WatchdogTimestampMonotonic"))


def test_a_hung_mount_costs_its_own_watch_only(service: Service) -> None:
    service.drop_in("[Service]\nWatchdogSec=2s\n")
    with mounted(service.machine, "/srv/remote") as mount:
        service.settings["watch"]["remote"] = {"path": "/srv/remote", "rescan": "1s", "settle": "200ms"}
        service.settings["daemon"]["log_level"] = "debug"
        service.configure()
        service.start()
        pid = service.pid
        service.message("watch remote is watching")
        mount.hang()
        mount.hears("asked")
        asked = watchdog_fed(service)
        service.filed(service.put("IMG.jpg"))
        service.machine.wait_for(lambda: watchdog_fed(service) > asked + 4e6, "two spans of the watchdog")
        assert (service.pid, service.show("NRestarts")) == (pid, "0")
        # From a signal alone systemd would not know that it is stopping.
        service.machine.run("systemctl", "kill", "--signal=TERM", "--kill-who=main", "mediad")
        service.wait_for("ActiveState", "deactivating")
        service.wait_for("ActiveState", "inactive")
        assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")


def test_it_starts_with_a_mount_that_hangs(service: Service) -> None:
    service.drop_in("[Service]\nTimeoutStartSec=10s\n")
    with mounted(service.machine, "/srv/remote") as mount:
        service.settings["watch"]["remote"] = {"path": "/srv/remote"}
        service.configure()
        mount.hang()
        service.start()
        service.filed(service.put("IMG.jpg"))
        service.stop()


# -- who may steer it -------------------------------------------------------------------------------------


def test_members_of_the_group_may_steer_it_and_others_not(service: Service) -> None:
    service.start()
    machine = service.machine
    assert "inbox" in machine.run("mediactl", "--system", "status", user="member")
    refused = machine.ask("mediactl", "--system", "status", user="stranger")
    assert refused.returncode == 77
    assert "mediad" in refused.stderr
    assert "usermod -aG mediad stranger" in refused.stderr


# -- a user's own -----------------------------------------------------------------------------------------


def test_a_users_own_daemon(service: Service) -> None:
    machine, user = service.machine, "stranger"
    if not any(list(Path("/usr").glob(f"{folder}/security/pam_systemd.so")) for folder in ("lib*", "lib/*")):
        pytest.skip("libpam-systemd is not installed")
    uid = machine.run("id", "-u", user).strip()
    machine.run("systemctl", "start", f"user@{uid}.service")

    def run(*command: str) -> str:
        return machine.run(*command, user=user)

    def show(name: str) -> str:
        return machine.show("mediad", name, "--user", user=user)

    run("mediad", "init")
    run("systemctl", "--user", "start", "mediad")
    assert show("ActiveState") == "active"
    home = f"/home/{user}"
    content = service.put("IMG.jpg", folder=f"{home}/Pictures/Inbox", user=user)
    service.filed(content, f"{home}/Pictures/Library")
    assert machine.path(f"{home}/.local/state/mediad/catalogue.db").exists()
    assert json.loads(run("mediactl", "status", "--json"))["pid"] == int(show("MainPID"))
    assert machine.path(f"/run/user/{uid}/mediad/control").is_socket()
    run("systemctl", "--user", "reload", "mediad")
    run("systemctl", "--user", "stop", "mediad")
    assert show("Result") == "success"
    assert not machine.path(f"/run/user/{uid}/mediad").exists()
