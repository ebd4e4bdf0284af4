import os
import subprocess
import sys

import psutil
import psycopg2
import pytest

from scrm.runtime.errors import RuntimeProblem
from scrm.runtime.postgres import Postgres
from scrm.runtime.privileges import Account, server_account


def ask(server, sql):
    connection = psycopg2.connect(server.url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()
    finally:
        connection.close()


def test_chinese_text_has_trigrams(running):
    connection = psycopg2.connect(running.url)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION pg_trgm")
        cursor.execute("SELECT cardinality(show_trgm('企业微信'))")
        assert cursor.fetchone()[0] > 0
        cursor.execute("SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()")
        assert cursor.fetchone()[0] == "UTF8"
    connection.close()


def test_the_role_of_the_product_is_no_superuser(running):
    assert ask(running, "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user") == [(False, True)]


def test_a_wrong_password_is_refused(running):
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host="127.0.0.1", port=running.port, user="postgres", dbname="postgres", password="guess")


def test_only_loopback_is_listened_on_and_nothing_is_left_after_the_stop(postgres):
    postgres.start()
    process = psutil.Process(postgres.program.pid)
    listening = {row.laddr.ip for row in process.net_connections() if row.status == psutil.CONN_LISTEN}
    postgres.stop()

    assert listening == {"127.0.0.1"}
    assert not process.is_running()
    assert not (postgres.data / "postmaster.pid").exists()


def test_data_survive_a_stop_and_a_start(postgres):
    postgres.start()
    connection = psycopg2.connect(postgres.url)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS n")
    connection.close()
    postgres.stop()
    postgres.start()

    assert ask(postgres, "SELECT n FROM kept") == [(7,)]


@pytest.mark.parametrize("owner", ["nobody", "another program", "nonsense"])
def test_a_stale_lock_file_does_not_keep_it_from_starting(postgres, owner):
    postgres.start()
    postgres.stop()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    first = {"nobody": gone.pid, "another program": os.getpid(), "nonsense": "x"}[owner]
    (postgres.data / "postmaster.pid").write_text(f"{first}\n{postgres.data}\n1\n5432\n\n\n")

    postgres.start()

    assert ask(postgres, "SELECT 1") == [(1,)]


def test_a_server_left_behind_by_a_killed_run_is_replaced(postgres, postgres_place, console):
    postgres.start()
    first = psutil.Process(postgres.program.pid)

    second = Postgres(postgres_place, server_account(postgres_place), console, durable=False)
    second.account = postgres.account
    second.start()
    try:
        assert not first.is_running() or first.status() == psutil.STATUS_ZOMBIE
        assert "interrupted run left behind" in console.text
        assert ask(second, "SELECT 1") == [(1,)]
    finally:
        second.stop()


def test_an_interrupted_first_start_is_no_obstacle(postgres):
    (postgres.place / "postgres.draft").mkdir()
    (postgres.place / "postgres.draft" / "PG_VERSION").write_text("18\n")

    postgres.start()

    assert ask(postgres, "SELECT 1") == [(1,)]
    assert not (postgres.place / "postgres.draft").exists()


def test_data_of_another_version_are_refused_with_what_to_do(postgres):
    postgres.data.mkdir()
    (postgres.data / "PG_VERSION").write_text("9\n")

    with pytest.raises(RuntimeProblem, match=r"made by PostgreSQL 9.*demo-reset"):
        postgres.start()


def test_durability_is_what_was_asked_for(running, postgres):
    postgres.durable = True
    postgres.start()

    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert ask(running, f"SELECT current_setting('{name}')") == [("off",)]
        assert ask(postgres, f"SELECT current_setting('{name}')") == [("on",)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as somebody else")
def test_as_root_it_runs_as_another_account_and_opens_nothing_up(postgres, tmp_path):
    before = {path: path.stat().st_mode for path in (tmp_path, *tmp_path.parents)}
    postgres.start()

    assert psutil.Process(postgres.program.pid).uids().real != 0
    assert {path: path.stat().st_mode for path in before} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can keep its folders from an account it can become")
def test_a_folder_the_account_cannot_reach_is_noticed(tmp_path):
    import pwd

    nobody = pwd.getpwnam("nobody")
    closed = tmp_path / "closed" / "inside"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)

    assert not Account(nobody.pw_uid, nobody.pw_gid).can_enter(closed)
    assert Account().can_enter(closed)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as somebody else")
def test_programs_that_the_account_cannot_reach_run_from_a_copy(postgres_place, console, monkeypatch):
    can_enter = Account.can_enter
    monkeypatch.setattr(
        Account, "can_enter", lambda self, folder: "site-packages" not in str(folder) and can_enter(self, folder)
    )
    server = Postgres(postgres_place, server_account(postgres_place), console, durable=False)
    server.start()
    try:
        assert server.programs.is_relative_to(postgres_place)
        assert ask(server, "SELECT 1") == [(1,)]
    finally:
        server.stop()
