"""P2, P3, P4: an acknowledged write is seen at once at every replica, or the replica says "not now".

Every test states what it counts, and the last part shows that the same checks fail with the read gate switched off.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import chronik
from chronik.errors import HistoryError
from chronik.testing import Connection, FetchResult, History, fetch_at
from support import RETRIABLE, Replicas, Rises, judged

LOOPS = 10_000
DISTURBANCES = 6


def loop(replicas: Replicas, history: History, loops: int) -> None:
    """Produce, then at once Fetch and ListOffsets at each replica, one after the other; all of it recorded."""
    writer = replicas.recorded(replicas.leader, history)
    readers = [replicas.recorded(node, history) for node in replicas.nodes]
    for number in range(loops):
        written = writer.produce(replicas.topic, [b"value-%d" % number])
        assert written.error_code == 0
        for reader in readers:
            reader.fetch(replicas.topic, written.base_offset)
            assert reader.list_offsets(replicas.topic).error_code == 0


def test_ten_thousand_writes_are_each_read_at_once_at_every_replica(chronik_cluster, replicas: Replicas):
    rises, history = Rises(chronik_cluster.nodes), History()
    loop(replicas, history, LOOPS)
    verdict = history.check()
    assert verdict.events == LOOPS * (1 + 2 * len(replicas.nodes))
    for node in replicas.nodes:
        assert rises.of(node, "read_gate_rounds") >= LOOPS
        assert rises.of(node, "read_gate_timeouts") == 0
    for follower in replicas.followers:
        assert rises.of(follower, "fetches_served_as_follower") == LOOPS
    assert rises.of(replicas.leader, "fetches_served_as_leader") == LOOPS


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_reads_stay_true_with_writes_from_many_connections(chronik_cluster_factory, transport):
    cluster = chronik_cluster_factory(3, transport=transport)
    cluster.create_topic("busy")
    with judged(cluster, "busy") as history:
        history.wait_for_reads(500, cluster.nodes)
        history.wait_for_writes(500)


def test_reads_stay_true_while_leadership_moves(chronik_cluster, topic):
    with judged(chronik_cluster, topic) as history:
        for _ in range(DISTURBANCES):
            for node in chronik_cluster.nodes:
                chronik_cluster.transfer_leader(topic, 0, node)
                history.wait_for_writes(20)
                history.wait_for_reads(20, chronik_cluster.nodes)


def test_reads_stay_true_while_a_follower_lags(chronik_cluster, topic):
    leader, follower = chronik_cluster.leader(topic), chronik_cluster.followers(topic)[0]
    with judged(chronik_cluster, topic) as history:
        chronik_cluster.delay(leader, follower, 30)
        history.wait_for_reads(20, [follower])
        history.wait_for_writes(200)
        chronik_cluster.delay(leader, follower, 0)
        history.wait_for_reads(50, chronik_cluster.nodes)


@pytest.mark.parametrize("direction", ["from-leader", "to-leader"])
def test_reads_stay_true_while_links_are_cut_one_way(chronik_cluster, topic, direction):
    with judged(chronik_cluster, topic) as history:
        for _ in range(DISTURBANCES):
            leader = chronik_cluster.leader(topic)
            follower = next(node for node in chronik_cluster.followers(topic))
            pair = (leader, follower) if direction == "from-leader" else (follower, leader)
            chronik_cluster.cut(*pair, one_way=True)
            history.wait_for_writes(100)
            chronik_cluster.recover()
            history.wait_for_reads(10, chronik_cluster.nodes)


def test_reads_stay_true_while_messages_are_lost(chronik_cluster, topic):
    nodes = chronik_cluster.nodes
    with judged(chronik_cluster, topic) as history:
        for a, b in ((0, 1), (1, 2), (0, 2)):
            chronik_cluster.drop(nodes[a], nodes[b], 0.2)
        history.wait_for_writes(100, timeout=60)
        history.wait_for_reads(20, nodes, timeout=60)
        chronik_cluster.recover()
        history.wait_for_reads(50, nodes)


def test_reads_stay_true_while_the_leader_is_isolated(chronik_cluster, topic):
    with judged(chronik_cluster, topic) as history:
        for _ in range(DISTURBANCES):
            leader = chronik_cluster.leader(topic)
            refused = history.refusals(leader)
            chronik_cluster.isolate(leader)
            chronik_cluster.wait_for(lambda old=leader: chronik_cluster.leader(topic) != old)
            history.wait_for_writes(50)
            chronik_cluster.wait_for(lambda old=leader, before=refused: history.refusals(old) > before, 15)
            chronik_cluster.recover()
            history.wait_for_reads(10, chronik_cluster.nodes)


def test_reads_stay_true_while_a_node_is_frozen(chronik_cluster, topic):
    """The frozen leader wakes up with old reads in its queue and must not answer them from the past."""
    with judged(chronik_cluster, topic) as history:
        for _ in range(DISTURBANCES // 2):
            leader = chronik_cluster.leader(topic)
            leader.freeze()
            others = [node for node in chronik_cluster.nodes if node != leader]
            history.wait_for_writes(50)
            history.wait_for_reads(10, others)
            leader.thaw()
            history.wait_for_reads(10, chronik_cluster.nodes)


def test_a_leader_that_was_frozen_answers_no_queued_read_from_the_past(chronik_cluster, topic):
    """Reads sent while it sleeps, after others have acknowledged more: answered when it wakes, not from its past."""
    for _ in range(DISTURBANCES):
        old = chronik_cluster.leader(topic)
        assert stale_answers_after_a_freeze(chronik_cluster, topic, old) == []


def stale_answers_after_a_freeze(cluster: chronik.Cluster, topic: str, old: chronik.Node) -> list[FetchResult]:
    connections = [Connection(old.bootstrap_servers, timeout=15) for _ in range(20)]
    try:
        for connection in connections:
            connection.api_versions()
        old.freeze()
        cluster.wait_for(lambda: cluster.leader(topic) != old)
        with Connection(cluster.leader(topic).bootstrap_servers) as writer:
            written = writer.produce(topic, [b"while it slept"])
        assert written.error_code == 0
        sent = [send_fetch(connection, topic, written.base_offset, wait_ms=0) for connection in connections]
        old.thaw()
        answers = [receive_fetch(*pair) for pair in zip(connections, sent, strict=True)]
    finally:
        for connection in connections:
            connection.close()
    cluster.wait_for(lambda: fetch_at(old, topic, written.base_offset).values == [b"while it slept"], 10)
    return [answer for answer in answers if answer.error_code not in RETRIABLE and answer.values != [b"while it slept"]]


def test_a_deposed_leader_that_is_cut_off_answers_a_retriable_error(chronik_cluster, topic, replicas: Replicas):
    old = replicas.leader
    assert replicas.at(old).produce(topic, [b"before"]).error_code == 0
    chronik_cluster.isolate(old)
    chronik_cluster.wait_for(lambda: chronik_cluster.leader(topic) != old)
    new = chronik_cluster.leader(topic)
    written = replicas.at(new).produce(topic, [b"after"])
    assert written.error_code == 0

    for offset in (written.base_offset, 0):
        answer = replicas.at(old).fetch(topic, offset, max_wait_ms=250)
        assert answer.error_code in RETRIABLE
        assert (answer.high_watermark, answer.last_stable_offset, answer.log_start_offset) == (-1, -1, -1)
        assert answer.values == []
    assert replicas.at(old).list_offsets(topic).error_code in RETRIABLE
    assert replicas.at(new).fetch(topic, written.base_offset).values == [b"after"]

    chronik_cluster.recover()
    chronik_cluster.wait_for(lambda: replicas.at(old).fetch(topic, written.base_offset).values == [b"after"])


def test_a_follower_cut_off_from_the_leader_never_says_nothing_new(chronik_cluster, topic, replicas: Replicas):
    """Cut from the leader only: it cannot pass the gate, so it must refuse."""
    leader, follower = replicas.leader, replicas.followers[0]
    assert replicas.at(leader).produce(topic, [b"one"]).error_code == 0
    assert replicas.at(follower).fetch(topic).values == [b"one"]
    chronik_cluster.isolate(follower)
    written = replicas.at(leader).produce(topic, [b"two"])
    assert written.error_code == 0
    answer = replicas.at(follower).fetch(topic, written.base_offset, max_wait_ms=250)
    assert answer.error_code in RETRIABLE
    chronik_cluster.recover()
    chronik_cluster.wait_for(lambda: replicas.at(follower).fetch(topic, 1).values == [b"two"])


def test_a_parked_fetch_at_a_follower_is_woken_by_the_write(chronik_cluster, topic, replicas: Replicas):
    follower = replicas.followers[0]
    rises = Rises([follower])
    with ThreadPoolExecutor(1) as pool:
        parked = pool.submit(fetch_at, follower, topic, 0, wait_ms=20_000, timeout=25)
        chronik_cluster.wait_for(lambda: rises.of(follower, "read_gate_rounds") > 0)
        assert replicas.at(replicas.leader).produce(topic, [b"wake"]).error_code == 0
        assert parked.result(timeout=5).values == [b"wake"]


def test_an_empty_answer_at_the_end_comes_with_the_true_end(chronik_cluster, topic, replicas: Replicas):
    assert replicas.at(replicas.leader).produce(topic, [b"a", b"b"]).error_code == 0
    for node in replicas.nodes:
        answer = replicas.at(node).fetch(topic, 2, max_wait_ms=0)
        assert (answer.error_code, answer.values, answer.high_watermark) == (0, [], 2)
        assert not answer.data_was_null
        assert replicas.at(node).fetch(topic, 3).error_code == 1


def test_a_thousand_fetches_at_the_tail_share_two_rounds(chronik_cluster, topic, replicas: Replicas):
    """1,000 fetches at once cost two rounds beyond those in flight: the first starts one, all others share the next.

    They really arrive at once, however slow this process is: a frozen node reads none of them until it thaws.
    """
    follower = replicas.followers[0]
    assert replicas.at(replicas.leader).produce(topic, [b"first"]).error_code == 0
    assert replicas.at(follower).fetch(topic).values == [b"first"]
    connections = [
        Connection(follower.bootstrap_servers, timeout=30, source_host=f"127.0.1.{1 + number % 4}")
        for number in range(1000)
    ]
    try:
        for connection in connections:
            connection.api_versions()
        rises = Rises([follower])
        follower.freeze()
        sent = [send_fetch(connection, topic, 1) for connection in connections]
        assert rises.of(follower, "read_gate_waits") == 0
        follower.thaw()
        chronik_cluster.wait_for(lambda: rises.of(follower, "read_gate_waits") >= len(connections), 20)
        assert replicas.at(replicas.leader).produce(topic, [b"second"]).error_code == 0
        for connection, correlation in zip(connections, sent, strict=True):
            assert receive_fetch(connection, correlation).values == [b"second"]
        assert rises.of(follower, "fetches_served_as_follower") == len(connections)
        assert 1 <= rises.of(follower, "read_gate_rounds") <= 3
    finally:
        for connection in connections:
            connection.close()


def send_fetch(connection: Connection, topic: str, offset: int, *, wait_ms: int = 20_000) -> int:
    from chronik._kafka.messages import FetchPartition, fetch_request

    body = fetch_request([FetchPartition(topic, 0, offset)], max_wait_ms=wait_ms, min_bytes=1, isolation=0, rack="")
    return connection.send(1, 11, body)


def receive_fetch(connection: Connection, correlation: int) -> FetchResult:
    from chronik._kafka.messages import fetch_response

    return fetch_response(connection.receive(correlation))[1][0]


# The controls: each check above must fail where the feature is off.


@pytest.mark.filterwarnings("ignore::chronik.ChronikWarning")
def test_control_without_the_gate_the_loop_finds_stale_reads(chronik_cluster_factory):
    cluster = chronik_cluster_factory(3, config={"chronik.test.gate": "off"})
    cluster.create_topic("control")
    with Replicas(cluster, "control") as replicas:
        rises, history = Rises(cluster.nodes), History()
        for follower in replicas.followers:
            cluster.delay(replicas.leader, follower, 2)
        loop(replicas, history, 100)
        with pytest.raises(HistoryError, match="stale-read"):
            history.check()
        assert all(rises.of(node, "read_gate_rounds") == 0 for node in cluster.nodes)


@pytest.mark.filterwarnings("ignore::chronik.ChronikWarning")
def test_control_without_the_gate_a_deposed_leader_lies(chronik_cluster_factory):
    cluster = chronik_cluster_factory(3, config={"chronik.test.gate": "off"})
    cluster.create_topic("control")
    with Replicas(cluster, "control") as replicas:
        old = replicas.leader
        cluster.isolate(old)
        cluster.wait_for(lambda: cluster.leader("control") != old)
        assert replicas.at(cluster.leader("control")).produce("control", [b"after"]).error_code == 0
        answer = replicas.at(old).fetch("control", 0)
        assert (answer.error_code, answer.values) == (0, [])


@pytest.mark.filterwarnings("ignore::chronik.ChronikWarning")
def test_control_without_the_gate_a_leader_that_was_frozen_answers_from_its_past(chronik_cluster_factory):
    cluster = chronik_cluster_factory(3, config={"chronik.test.gate": "off"})
    cluster.create_topic("control")
    assert stale_answers_after_a_freeze(cluster, "control", cluster.leader("control")) != []


@pytest.mark.parametrize("consistency", ["local", "tail"])
def test_weaker_modes_are_explicit_and_pass_no_needless_gate(chronik_cluster, chronik_topic, consistency):
    chronik_cluster.create_topic(chronik_topic, config={"chronik.read.consistency": consistency})
    with Replicas(chronik_cluster, chronik_topic) as replicas:
        assert replicas.at(replicas.leader).produce(chronik_topic, [b"a"]).error_code == 0
        follower = replicas.followers[0]
        chronik_cluster.wait_for(lambda: replicas.at(follower).fetch(chronik_topic).values == [b"a"])
        rises = Rises([follower])
        assert replicas.at(follower).fetch(chronik_topic, 0).values == [b"a"]
        assert rises.of(follower, "read_gate_rounds") == 0
        assert replicas.at(follower).fetch(chronik_topic, 1, max_wait_ms=0).values == []
        assert (rises.of(follower, "read_gate_rounds") > 0) == (consistency == "tail")


def test_control_followers_refuse_when_follower_reads_are_off(chronik_cluster_factory, monkeypatch):
    monkeypatch.setenv("CHRONIK_FETCH_FROM_FOLLOWERS", "false")
    cluster = chronik_cluster_factory(3)
    cluster.create_topic("refused")
    with Replicas(cluster, "refused") as replicas:
        assert replicas.at(replicas.leader).produce("refused", [b"a"]).error_code == 0
        assert replicas.at(replicas.leader).fetch("refused", rack="rack-2").values == [b"a"]
        for follower in replicas.followers:
            rises = Rises([follower])
            assert replicas.at(follower).fetch("refused").error_code == 6
            assert rises.of(follower, "fetches_served_as_follower") == 0


def test_the_gate_gives_up_after_its_cap(chronik_cluster_factory):
    cluster = chronik_cluster_factory(3, config={"chronik.fetch.follower.max.wait.ms": 300})
    cluster.create_topic("capped")
    with Replicas(cluster, "capped") as replicas:
        follower = replicas.followers[0]
        cluster.isolate(follower)
        rises = Rises([follower])
        assert replicas.at(follower).fetch("capped", max_wait_ms=60_000).error_code in RETRIABLE
        assert rises.of(follower, "read_gate_timeouts") > 0
