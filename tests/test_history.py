"""`Cluster.history` and the checker: clean where the promises hold, accusing where the read gate is off."""

from __future__ import annotations

import json
import threading

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import chronik
from chronik.errors import HistoryError, InvalidTypeError, InvalidValueError
from chronik.testing import ClusterRecording, History

LIES = {"stale-read", "false-empty", "end-went-back"}


def events(history: History, tmp_path) -> list[dict]:
    history.save(tmp_path / "history.jsonl")
    return [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]


def crash(cluster: chronik.Cluster, history: ClusterRecording) -> None:
    cluster.leader("history").crash()
    history.wait_for_writes(50)


def isolate(cluster: chronik.Cluster, history: ClusterRecording) -> None:
    old = cluster.leader("history")
    cluster.isolate(old)
    history.wait_for_refusals(2, old.id)
    history.wait_for_writes(50)


def freeze(cluster: chronik.Cluster, history: ClusterRecording) -> None:
    cluster.leader("history").freeze()
    history.wait_for_writes(50)


def power_cut(cluster: chronik.Cluster, history: ClusterRecording) -> None:
    cluster.power_cut()
    history.wait_for_writes(50)


def wipe(cluster: chronik.Cluster, history: ClusterRecording) -> None:
    cluster.leader("history").wipe()
    history.wait_for_writes(50)


def lose_messages(cluster: chronik.Cluster, history: ClusterRecording) -> None:
    first, second, third = cluster.nodes
    cluster.drop(first, second, 0.1)
    cluster.delay(second, third, 5)
    history.wait_for_writes(50)


@pytest.mark.parametrize("fault", [crash, isolate, freeze, power_cut, wipe, lose_messages])
def test_a_history_under_faults_is_clean_and_ends_healed(chronik_cluster_factory, tmp_path, fault):
    cluster = chronik_cluster_factory(3)
    with cluster.history() as history:
        history.wait_for_writes(50)
        fault(cluster, history)
    verdict = history.check()
    assert verdict
    assert verdict.events == len(history)
    assert all(node.is_running for node in cluster.nodes)
    # Every node was read to the end after the last fault, ...
    final = [event for event in events(history, tmp_path) if event["client"].startswith("final-")]
    ends = {event["node"]: event["result"]["next"] for event in final if event["op"] == "fetch"}
    assert len(ends) == 3
    assert len(set(ends.values())) == 1
    # ... and nobody is left behind.
    assert [thread.name for thread in threading.enumerate() if "history" in thread.name] == []


def test_every_partition_and_every_address_is_used(chronik_cluster, chronik_topic, tmp_path):
    with chronik_cluster.history(chronik_topic, partitions=3, writers=2) as history:
        history.wait_for_writes(100)
        history.wait_for_reads(50)
    history.check()
    seen = {(event["op"], event["client"], event["key"]) for event in events(history, tmp_path)}
    keys = {f"{chronik_topic}/{partition}" for partition in range(3)}
    for op, clients in {
        "send": ["idempotent-0", "idempotent-1", "writer-0", "writer-1"],
        "fetch": ["reader-1-probe", "reader-1-pinned-probe", "reader-3", "reader-3-pinned"],
        "list": ["reader-2-probe", "reader-2-pinned-probe"],
    }.items():
        for client in clients:
            assert {key for seen_op, by, key in seen if (seen_op, by) == (op, client)} == keys


@pytest.mark.filterwarnings("ignore::chronik.ChronikWarning")
@pytest.mark.parametrize("fault", ["lagging-follower", "isolated-leader"])
def test_control_without_the_gate_the_history_is_accused(chronik_cluster_factory, fault):
    cluster = chronik_cluster_factory(3, config={"chronik.test.gate": "off"})
    with cluster.history() as history:
        history.wait_for_writes(20)
        leader, follower = cluster.leader("history"), cluster.followers("history")[0]
        if fault == "lagging-follower":
            cluster.delay(leader, follower, 30)
            history.wait_for_reads(50, [follower.id])
        else:
            cluster.isolate(leader)
            history.wait_for_writes(20)
            history.wait_for_reads(50, [leader.id])
    with pytest.raises(HistoryError, match="stale-read") as caught:
        history.check()
    assert isinstance(caught.value, AssertionError)
    assert caught.value.verdict.anomalies.keys() >= {"stale-read", "false-empty"}
    assert not history.check(raise_on_anomaly=False)


def test_a_history_tells_what_was_done_to_the_cluster(chronik_cluster, chronik_topic, tmp_path):
    first, second, third = chronik_cluster.nodes
    with chronik_cluster.history(chronik_topic) as history:
        chronik_cluster.cut(first, second, one_way=True)
        third.kill()
    chronik_cluster.isolate(first)
    chronik_cluster.recover()
    told = [event["args"]["text"] for event in events(history, tmp_path) if event["op"] == "fault"]
    assert told[:2] == ["cut from node 1 to node 2", "kill of node 3"]
    assert "restart of node 3" in told
    assert "isolation of node 1" not in told


def test_a_saved_history_is_judged_as_it_was(tmp_path):
    history = History()
    history.begin("send", client="a", key="t/0", args={"values": ["x"]}).ok({"offset": 0})
    history.begin("fetch", client="b", key="t/0", node=1, args={"offset": 0}).ok({"hw": 0, "records": []})
    with history.fault("nothing much"):
        pass
    history.save(tmp_path / "bad.jsonl")
    loaded = History.load(tmp_path / "bad.jsonl")
    assert len(loaded) == len(history) == 3
    with pytest.raises(HistoryError) as caught:
        loaded.check()
    assert caught.value.verdict == history.check(raise_on_anomaly=False)
    assert set(caught.value.verdict.anomalies) & LIES


def test_a_send_without_an_answer_may_have_left_its_record():
    history = History()
    send = history.begin("send", client="a", key="t/0", args={"values": ["x"]})
    history.begin("fetch", client="b", key="t/0", args={"offset": 0}).ok({"hw": 1, "records": [(0, "x")]})
    assert history.check().events == 2
    send.ok({"offset": 0})
    assert history.check().events == 2


def test_what_is_no_history_is_refused_with_its_line(tmp_path):
    (tmp_path / "no.jsonl").write_text('{"op": "fault", "t_inv_ns": 1, "t_ret_ns": 2, "status": "ok"}\nnonsense\n')
    with pytest.raises(InvalidValueError, match="line 2"):
        History.load(tmp_path / "no.jsonl").check()


def test_an_error_in_the_block_passes_and_stops_the_clients(chronik_cluster, chronik_topic):
    with pytest.raises(ZeroDivisionError), chronik_cluster.history(chronik_topic) as history:
        history.wait_for_writes(1)
        raise ZeroDivisionError
    assert [thread.name for thread in threading.enumerate() if "history" in thread.name] == []


def test_an_error_stops_clients_that_wait_for_a_frozen_node(chronik_cluster, chronik_topic):
    with pytest.raises(ZeroDivisionError), chronik_cluster.history(chronik_topic) as history:
        history.wait_for_writes(1)
        frozen, *others = chronik_cluster.nodes
        frozen.freeze()
        history.wait_for_reads(20, others)
        raise ZeroDivisionError
    assert [thread.name for thread in threading.enumerate() if "history" in thread.name] == []


def test_kafka_python_clients_are_recorded_and_work_as_before(chronik_cluster, topic, tmp_path):
    history = History()
    producer = history.wrap(KafkaProducer(bootstrap_servers=chronik_cluster.bootstrap_servers), client_name="p")
    consumer = history.wrap(
        KafkaConsumer(bootstrap_servers=chronik_cluster.bootstrap_servers, auto_offset_reset="earliest"),
        client_name="c",
    )
    try:
        assert [producer.send(topic, b"%d" % number).get(10).offset for number in range(3)] == [0, 1, 2]
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek(TopicPartition(topic, 0), 1)
        assert next(consumer).value == b"1"
        assert [record.value for records in consumer.poll(5000).values() for record in records] == [b"2"]
    finally:
        producer.close()
        consumer.close()
    history.check()
    recorded = [(event["client"], event["op"]) for event in events(history, tmp_path)]
    assert recorded == [("p", "send")] * 3 + [("c", "assign"), ("c", "fetch"), ("c", "fetch")]


def test_what_cannot_be_recorded_is_refused(chronik_cluster, chronik_topic):
    with pytest.raises(InvalidTypeError, match="neither"):
        History().wrap(object(), client_name="x")
    with pytest.raises(InvalidValueError, match="writers"):
        chronik_cluster.history(chronik_topic, writers=0)
