"""kill -9 of every program, of PostgreSQL and of Valkey in the middle of the work: nothing is lost and nothing doubled."""

import pytest

from tests.gates.burst import Burst, compare, meanwhile

pytestmark = pytest.mark.gate


def test_killed_workers_and_web_lose_and_double_nothing(stack):
    burst = Burst(stack, edits=5_000)
    burst.prepare()

    def kill(name: str):
        return lambda: stack.kill(name)

    def kill_children(name: str):
        return lambda: stack.kill_children(name)

    first_round = (
        kill_children("worker-normal"), kill_children("web"), kill_children("worker-urgent"), kill("worker-normal"),
        kill_children("web"), kill("worker-urgent"), kill_children("worker-bulk"), kill("scheduler"), kill("web"),
    )  # fmt: skip
    with meanwhile(*first_round, pause=1.7):
        burst.run()
    burst.settle()

    with meanwhile(kill("worker-normal"), kill_children("web"), kill("worker-urgent"), pause=1.0):
        burst.confirm()
        stack.inside("look_again", push=burst.released["push"])
    burst.finish()

    print(compare(burst))


def test_an_emptied_valkey_loses_nothing(stack):
    burst, flush = Burst(stack), stack.flush_valkey
    burst.prepare()

    with meanwhile(flush, flush, stack.restart_valkey, flush, flush, pause=2.5):
        burst.run()
    burst.settle()
    with meanwhile(flush, flush, pause=1.0):
        burst.confirm()
        stack.inside("look_again", push=burst.released["push"])
    burst.finish()

    print(compare(burst))


def test_a_crashed_postgres_and_an_emptied_valkey_lose_nothing(fragile_stack):
    stack = fragile_stack
    burst = Burst(stack)
    burst.prepare()

    burst.release()
    with meanwhile(stack.crash_postgres, stack.flush_valkey, stack.crash_postgres, stack.restart_valkey, pause=1.5):
        burst.arrive()
    burst.settle()
    with meanwhile(stack.crash_postgres, stack.flush_valkey, pause=1.0):
        burst.confirm()
    stack.inside("look_again", push=burst.released["push"])
    burst.finish()

    print(compare(burst))
