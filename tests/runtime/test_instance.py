import json
import os
import subprocess
import sys

import pytest

from scrm.runtime import environment, instance
from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.process import Program


def test_a_second_run_is_told_about_the_first(tmp_path):
    (tmp_path / "info.json").write_text(json.dumps({"public_url": "http://admin.scrm.localhost:8000"}))
    with instance.only_one(tmp_path):
        with pytest.raises(RuntimeProblem, match=rf"already running.*{os.getpid()}.*http://admin"):
            with instance.only_one(tmp_path):
                pass


def test_a_lock_file_without_a_holder_is_no_lock(tmp_path):
    (tmp_path / "lock").write_text("4242\n")

    with instance.only_one(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_what_a_killed_run_left_behind_is_stopped_and_strangers_are_not(tmp_path, console):
    left = Program("left", [sys.executable, "-c", "import time; time.sleep(60)"], console=console, env=dict(os.environ))
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    instance.record(tmp_path, [left])
    rows = json.loads((tmp_path / "processes.json").read_text())
    rows.append(
        {"name": "reused", "pid": stranger.pid, "started": 1.0, "signal": 15}
    )  # its number now belongs to somebody else
    (tmp_path / "processes.json").write_text(json.dumps(rows))

    instance.clear_leftovers(tmp_path, console)

    assert left.process.wait(5) != 0
    assert stranger.poll() is None
    assert "stopping left that an interrupted run left behind" in console.text
    stranger.kill()
    stranger.wait()


def test_a_broken_record_is_no_obstacle(tmp_path, console):
    (tmp_path / "processes.json").write_text("{")

    instance.clear_leftovers(tmp_path, console)

    assert not (tmp_path / "processes.json").exists()


def test_a_full_disk_is_said_before_anything_starts(tmp_path):
    with pytest.raises(RuntimeProblem, match=r"MB free and .* are needed.*nothing was started"):
        environment.check_disk(tmp_path, needed=2**62)


def test_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.delenv("FIELD_KEYS", raising=False)

    first = environment.lasting_secrets(tmp_path)

    assert environment.lasting_secrets(tmp_path) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(first["SECRET_KEY"]) >= 32


def test_the_simulated_world_begins_at_the_same_instant_on_every_start(tmp_path):
    assert environment.world_start(tmp_path) == environment.world_start(tmp_path)
