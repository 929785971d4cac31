"""The asynchronous twin: the same names as coroutines, and a loop that stays free."""

from __future__ import annotations

import asyncio
import inspect
import time

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import chronik


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_the_twins_have_the_same_names():
    assert public(chronik.AsyncCluster) == public(chronik.Cluster)
    assert public(chronik.AsyncNode) == public(chronik.Node)
    assert public(chronik.AsyncInterception) == public(chronik.Interception)
    for twin, plain in (
        (chronik.AsyncCluster, chronik.Cluster),
        (chronik.AsyncNode, chronik.Node),
        (chronik.AsyncInterception, chronik.Interception),
    ):
        for name in public(plain):
            if isinstance(vars(plain)[name], property):
                assert isinstance(vars(twin)[name], property)
            else:
                assert inspect.iscoroutinefunction(vars(twin)[name])


def test_read_your_writes_with_aiokafka_at_a_follower():
    async def main() -> None:
        async with chronik.AsyncCluster(3) as cluster:
            await cluster.create_topic("orders", partitions=1, replication_factor=3)
            follower = (await cluster.followers("orders"))[0]
            producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
            await producer.start()
            consumer = AIOKafkaConsumer(
                "orders", bootstrap_servers=follower.pinned_bootstrap_servers, auto_offset_reset="earliest"
            )
            await consumer.start()
            try:
                for number in range(20):
                    value = b"%d" % number
                    await producer.send_and_wait("orders", value)
                    assert (await asyncio.wait_for(consumer.getone(), 10)).value == value
            finally:
                await consumer.stop()
                await producer.stop()
            assert (await follower.stats())["fetches_served_as_follower"] > 0
            assert (await cluster.stats())["read_gate_rounds"] > 0

    asyncio.run(main())


def test_faults_and_conditions_are_awaited():
    async def main() -> None:
        async with chronik.AsyncCluster(3) as cluster:
            await cluster.create_topic("t")
            leader = await cluster.leader("t")
            await leader.kill()
            assert not leader.is_running

            async def has_new_leader() -> bool:
                return await cluster.leader("t") != leader

            await cluster.wait_for(has_new_leader)
            await leader.restart()
            await cluster.wait_for(lambda: leader.is_running)
            await cluster.isolate(leader)
            await cluster.cut(leader, await cluster.leader("t"))
            await cluster.recover()
            with pytest.raises(TimeoutError):
                await cluster.wait_for(lambda: False, timeout=0.01)
            assert "AsyncCluster" in repr(cluster)

    asyncio.run(main())


def test_the_loop_runs_while_a_cluster_starts_and_stops():
    async def main() -> None:
        ticks: list[float] = []

        async def tick() -> None:
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        cluster = await chronik.AsyncCluster(3).start()
        await cluster.stop()
        await cluster.stop()
        ticking.cancel()
        assert len(ticks) > 10

    asyncio.run(main())


def test_options_are_checked_as_for_the_cluster():
    with pytest.raises(chronik.InvalidValueError, match="durability"):
        chronik.AsyncCluster(3, durability="never")


def test_a_history_is_recorded_beside_the_loop():
    async def main() -> None:
        async with chronik.AsyncCluster(3) as cluster:
            async with await cluster.history() as history:
                await history.wait_for_reads(1, [1, 2, 3])
                await (await cluster.leader("history")).crash()
                await history.wait_for_writes(20)
            assert await history.check()
            assert all(node.is_running for node in cluster.nodes)

    asyncio.run(main())
