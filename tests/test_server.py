"""`chronik-server`: three processes from the three files of `examples/`, and the same scenario as in one process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

import chronik
from chronik.testing import Connection, fetch_at, wait_for
from idempotent import IdempotentSends
from ports import free_ports, is_free
from support import ROOT, read_with_aiokafka, read_with_confluent, read_with_kafka_python

TOPIC = "ryw-test"
ORIGINAL_PORTS = {9092: 9092, 9093: 9093, 9094: 9094, 5001: 5001, 5002: 5002, 5003: 5003}
VALUES = [b"one", b"two", b"three"]
LEADER_KILL_SECONDS = 2.0


def _server() -> Path:
    return Path(sys.executable).parent / "chronik-server"


class Processes:
    """Three server processes, started as the original script did: a file by environment, the command `standalone`."""

    def __init__(self, folder: Path, ports: dict[int, int]) -> None:
        self._folder = folder
        self._ports = ports
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self.addresses = {id: f"127.0.0.1:{ports[9091 + id]}" for id in (1, 2, 3)}
        self.bootstrap_servers = ",".join(self.addresses.values())
        for id in self.addresses:
            text = (ROOT / "examples" / f"node{id}.toml").read_text()
            for original, ours in ports.items():
                text = text.replace(str(original), str(ours))
            (folder / f"node{id}.toml").write_text(text)
            self.start(id)

    def start(self, id: int) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CHRONIK_")}
        environment |= {
            "CHRONIK_CLUSTER_CONFIG": str(self._folder / f"node{id}.toml"),
            "CHRONIK_DATA_DIR": str(self._folder / f"data{id}"),
            "CHRONIK_RACK": f"rack-{id}",
            "RUST_LOG": "info,chronik_server::fetch_handler=debug,chronik_raft::read_index=debug",
        }
        with (self._folder / f"node{id}.log").open("ab") as log:
            self._running[id] = subprocess.Popen([_server(), "standalone"], env=environment, stdout=log, stderr=log)

    def join(self, id: int) -> None:
        """Starts one more, which joins the cluster by way of the first."""
        kafka, raft = free_ports(2)
        self.addresses[id] = f"127.0.0.1:{kafka}"
        text = f'node_id = {id}\nkafka_port = {kafka}\njoin = "{self._raft(1)}"\n[bind]\nraft = "127.0.0.1:{raft}"\n'
        (self._folder / f"node{id}.toml").write_text(text)
        self.start(id)

    def remove(self, id: int) -> int:
        """Takes one out for good by way of the first. Returns how its process ended."""
        command = [_server(), "remove", "--node-id", str(id), "--join", self._raft(1)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        del self.addresses[id]
        return self._running.pop(id).wait(15)

    def _raft(self, id: int) -> str:
        return f"127.0.0.1:{self._ports[5000 + id]}"

    def kill(self, id: int) -> None:
        self._running[id].kill()
        self._running[id].wait(10)

    def wipe(self, id: int) -> None:
        shutil.rmtree(self._folder / f"data{id}")

    def terminate(self, id: int) -> int:
        self._running[id].send_signal(signal.SIGTERM)
        return self._running[id].wait(15)

    def log(self, id: int) -> str:
        return (self._folder / f"node{id}.log").read_text(errors="replace")

    def wait_until_whole(self) -> None:
        wait_for(lambda: all(self._sees_all(address) for address in self.addresses.values()), 30)

    def leader(self, topic: str) -> int:
        """The leader as any running node knows it; -1 while there is none."""
        for address in self.addresses.values():
            try:
                with Connection(address, timeout=5) as connection:
                    found = connection.metadata([topic]).topics[0]
            except chronik.ChronikError:
                continue
            if found.error_code == 0 and found.partitions[0].leader > 0:
                return found.partitions[0].leader
        return -1

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait(10)

    def _sees_all(self, address: str) -> bool:
        try:
            with Connection(address, timeout=5) as connection:
                return len(connection.metadata([]).brokers) == len(self.addresses)
        except chronik.ChronikError:
            return False


@pytest.fixture
def processes(tmp_path: Path) -> Generator[Processes]:
    started = Processes(tmp_path, dict(zip(ORIGINAL_PORTS, free_ports(len(ORIGINAL_PORTS)), strict=True)))
    try:
        started.wait_until_whole()
        yield started
    finally:
        started.stop()


def run_the_scenario(processes: Processes) -> None:
    admin = KafkaAdminClient(bootstrap_servers=processes.bootstrap_servers)
    try:
        admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=3)], validate_only=False)
    finally:
        admin.close()
    producer = KafkaProducer(bootstrap_servers=processes.bootstrap_servers)
    try:
        assert [producer.send(TOPIC, value).get(timeout=10).offset for value in VALUES] == [0, 1, 2]
    finally:
        producer.close()
    leader = processes.leader(TOPIC)
    for id in processes.addresses:
        answer = fetch_at(processes.addresses[id], TOPIC)
        assert (answer.error_code, answer.values, answer.high_watermark) == (0, VALUES, 3)
        if id != leader:
            served = [line for line in processes.log(id).splitlines() if "chronik_server::fetch_handler" in line]
            assert any("Follower" in line for line in served)
            assert any("chronik_raft::read_index" in line for line in processes.log(id).splitlines())
            for read, rack in (
                (read_with_kafka_python, "client_rack"),
                (read_with_aiokafka, "client_rack"),
                (read_with_confluent, "client.rack"),
            ):
                assert read(processes.bootstrap_servers, TOPIC, len(VALUES), **{rack: f"rack-{id}"}) == VALUES


def assert_clean_logs(processes: Processes) -> None:
    for id in processes.addresses:
        lines = processes.log(id).splitlines()
        assert [line for line in lines if "ERROR" in line] == []
        assert [line for line in lines if "replica not found" in line.lower()] == []


def test_three_processes_on_free_ports(processes):
    run_the_scenario(processes)
    assert_clean_logs(processes)
    assert [processes.terminate(id) for id in processes.addresses] == [0, 0, 0]


def test_three_processes_on_the_original_ports(tmp_path: Path):
    for port in ORIGINAL_PORTS:
        if not is_free(port):
            pytest.skip(f"port {port} is taken on this machine")
    processes = Processes(tmp_path, ORIGINAL_PORTS)
    try:
        processes.wait_until_whole()
        run_the_scenario(processes)
        assert_clean_logs(processes)
    finally:
        processes.stop()


def test_kill_9_of_one_process_after_the_other_loses_nothing(processes):
    with Connection(processes.addresses[1]) as connection:
        connection.create_topic(TOPIC, 1, 3)
    with IdempotentSends(processes.bootstrap_servers, TOPIC) as sends:
        for id in (1, 2, 3, processes.leader(TOPIC)):
            goal = len(sends.acknowledged()) + 50
            wait_for(lambda goal=goal: len(sends.acknowledged()) >= goal, 30)
            processes.kill(id)
            goal = len(sends.acknowledged()) + 50
            wait_for(lambda goal=goal: len(sends.acknowledged()) >= goal, 30)
            processes.start(id)
            processes.wait_until_whole()
        values = sends.finish()
    assert_every_process_holds(processes, values)


def test_kill_9_of_all_processes_loses_nothing_acknowledged(processes):
    with Connection(processes.addresses[1]) as connection:
        connection.create_topic(TOPIC, 1, 3)
    with IdempotentSends(processes.bootstrap_servers, TOPIC) as sends:
        for _ in range(2):
            goal = len(sends.acknowledged()) + 50
            wait_for(lambda goal=goal: len(sends.acknowledged()) >= goal, 30)
            processes.stop()
            for id in processes.addresses:
                processes.start(id)
            processes.wait_until_whole()
        values = sends.finish()
    assert_every_process_holds(processes, values)


def test_a_process_that_lost_its_data_catches_up_and_elects_nobody(processes):
    with Connection(processes.addresses[1]) as connection:
        connection.create_topic(TOPIC, 1, 3)
    wait_for(lambda: processes.leader(TOPIC) > 0, 10)
    leader = processes.leader(TOPIC)
    wiped, behind = (id for id in processes.addresses if id != leader)
    with IdempotentSends(processes.bootstrap_servers, TOPIC) as sends:
        wait_for(lambda: len(sends.acknowledged()) >= 50, 30)
        # What is acknowledged from here on lies on the leader and on the disk that will be lost.
        processes.kill(behind)
        goal = len(sends.acknowledged()) + 50
        wait_for(lambda: len(sends.acknowledged()) >= goal, 30)
        processes.kill(wiped)
        processes.wipe(wiped)
        processes.kill(leader)
        processes.start(wiped)
        processes.start(behind)
        wait_for(lambda: "no vote" in processes.log(wiped), 10)
        end = time.monotonic() + 2 * LEADER_KILL_SECONDS
        while time.monotonic() < end:
            assert processes.leader(TOPIC) == -1, "a leader that lacks acknowledged records"
        processes.start(leader)
        processes.wait_until_whole()
        wait_for(lambda: processes.leader(TOPIC) == leader, 10)
        values = sends.finish()
    assert_every_process_holds(processes, values)


def test_processes_join_and_leave_while_a_client_produces(processes):
    with Connection(processes.addresses[1]) as connection:
        connection.create_topic(TOPIC, 1, 3)
    wait_for(lambda: processes.leader(TOPIC) > 0, 10)
    leaver = next(id for id in (2, 3) if id != processes.leader(TOPIC))
    with IdempotentSends(processes.addresses[1], TOPIC) as sends:
        wait_for(lambda: len(sends.acknowledged()) >= 50, 30)
        processes.join(4)
        processes.wait_until_whole()
        assert processes.remove(leaver) == 0, processes.log(leaver)
        processes.wait_until_whole()
        goal = len(sends.acknowledged()) + 50
        wait_for(lambda: len(sends.acknowledged()) >= goal, 30)
        values = sends.finish()
    assert_every_process_holds(processes, values)
    assert_clean_logs(processes)


def assert_every_process_holds(processes: Processes, expected: list[bytes]) -> None:
    for address in processes.addresses.values():
        with Connection(address, timeout=20) as connection:
            values: list[bytes | None] = []
            while len(values) < len(expected):
                answer = connection.fetch(TOPIC, len(values), max_wait_ms=2000)
                assert answer.error_code == 0
                assert answer.records
                values += answer.values
        assert values == expected


def test_the_next_write_after_a_leaders_death_takes_at_most_two_seconds(processes):
    with Connection(processes.addresses[1]) as connection:
        connection.create_topic(TOPIC, 1, 3)
    wait_for(lambda: processes.leader(TOPIC) > 0, 10)
    seconds = []
    for _ in range(3):
        leader = processes.leader(TOPIC)
        processes.kill(leader)
        seconds.append(seconds_until_written(processes, leader))
        processes.start(leader)
        processes.wait_until_whole()
        wait_for(lambda: processes.leader(TOPIC) > 0, 10)
    assert max(seconds) <= LEADER_KILL_SECONDS, seconds


def seconds_until_written(processes: Processes, dead_leader: int) -> float:
    begun = time.monotonic()

    def is_written() -> bool:
        new = processes.leader(TOPIC)
        if new in (-1, dead_leader):
            return False
        with Connection(processes.addresses[new], timeout=5) as connection:
            return connection.produce(TOPIC, [b"next"]).error_code == 0

    wait_for(is_written, 20)
    return time.monotonic() - begun
