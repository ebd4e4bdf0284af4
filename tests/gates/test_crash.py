"""kill -9 and an emptied Valkey in the middle of the work: nothing is lost and nothing doubled."""

import time

import pytest
import redis

from tests.gates.burst import Burst, compare, meanwhile

pytestmark = pytest.mark.gate


def test_killed_workers_and_web_lose_and_double_nothing(stack):
    burst = Burst(stack)
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
    burst = Burst(stack)
    burst.prepare()

    def flush() -> None:
        with redis.Redis.from_url(stack.redis_url) as client:
            client.flushall()

    def restart_valkey() -> None:
        stack.valkey.program.kill_group()
        stack.valkey.program.stop()
        time.sleep(1)
        stack.valkey.start()

    with meanwhile(flush, flush, restart_valkey, flush, flush, pause=2.5):
        burst.run()
    burst.settle()
    with meanwhile(flush, flush, pause=1.0):
        burst.confirm()
        stack.inside("look_again", push=burst.released["push"])
    burst.finish()

    print(compare(burst))
