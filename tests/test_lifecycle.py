"""Starting, stopping, leaving nothing behind: threads, ports, descriptors, memory, forks, interpreter exit."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import chronik
from chronik.testing import Connection, wait_for
from support import ROOT

CLUSTERS = 200


def run_python(code: str, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "dev", "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT / "tests")


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def system_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def resident_kib() -> int:
    match = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match
    return int(match.group(1))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads and descriptors in /proc")
def test_two_hundred_clusters_leave_nothing_behind():
    """In a process of its own: the counts are the process's."""
    done = run_python(
        f"""
        import gc, sys
        sys.path.insert(0, ".")
        from test_lifecycle import open_descriptors, resident_kib, system_threads
        import chronik

        def once():
            with chronik.Cluster(3) as cluster:
                cluster.create_topic("t")

        for _ in range(20):
            once()
        gc.collect()
        before = system_threads(), open_descriptors(), resident_kib()
        for _ in range({CLUSTERS - 20}):
            once()
        gc.collect()
        after = system_threads(), open_descriptors(), resident_kib()
        print(before, after)
        assert after[:2] == before[:2], (before, after)
        assert after[2] - before[2] < 16 * 1024, (before, after)
        """,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_does_no_work():
    done = run_python(
        """
        import os, sys, threading
        threads, descriptors = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
        import chronik
        assert len(os.listdir("/proc/self/task")) == threads
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert threading.active_count() == 1
        assert not {"asyncio", "dataclasses", "inspect", "kafka", "logging", "socket"} & set(sys.modules)
        """
    )
    assert done.returncode == 0, done.stderr


def test_stop_frees_the_ports_and_twice_is_fine():
    cluster = chronik.Cluster(3).start()
    addresses = [node.bootstrap_servers for node in cluster.nodes]
    addresses += [node.pinned_bootstrap_servers for node in cluster.nodes]
    cluster.stop()
    cluster.stop()
    assert not cluster.is_running
    for address in addresses:
        host, _, port = address.rpartition(":")
        with pytest.raises(OSError):
            socket.create_connection((host, int(port)), timeout=1)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, int(port)))


def test_ports_are_the_ones_asked_for_and_a_taken_one_is_named():
    ports = free_ports(3)
    with chronik.Cluster(3, ports=ports) as cluster:
        assert [node.port for node in cluster.nodes] == ports
        with pytest.raises(chronik.AddressError, match=str(ports[0])) as caught:
            chronik.Cluster(3, ports=ports).start()
        assert isinstance(caught.value, OSError)
        assert "ports=None" in str(caught.value)


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def test_two_clusters_in_one_process_share_nothing():
    with chronik.Cluster(3, name="a") as a, chronik.Cluster(3, name="b") as b:
        a.create_topic("same", partitions=2)
        b.create_topic("same", partitions=1)
        with Connection(a.leader("same").bootstrap_servers) as connection:
            assert connection.produce("same", [b"a"]).error_code == 0
            ids = {connection.metadata().cluster_id}
        with Connection(b.leader("same").bootstrap_servers) as connection:
            assert connection.fetch("same", max_wait_ms=0).values == []
            metadata = connection.metadata()
        assert len(metadata.topics[0].partitions) == 1
        assert metadata.cluster_id not in ids
        assert {broker.port for broker in metadata.brokers} == {node.port for node in b.nodes}
        a.nodes[0].kill()
        assert b.nodes[0].is_running
        with pytest.raises(chronik.InvalidValueError, match="another cluster"):
            b.isolate(a.nodes[0])


def test_a_stopped_cluster_can_be_started_again():
    cluster = chronik.Cluster(1)
    for _ in range(2):
        with cluster:
            cluster.create_topic("t", replication_factor=1)
            assert cluster.leader("t").id == 1


def test_start_of_a_running_cluster_and_use_of_a_stopped_one_say_so():
    cluster = chronik.Cluster(1)
    for use in (lambda: cluster.bootstrap_servers, lambda: cluster.nodes, cluster.stats):
        with pytest.raises(chronik.ClusterStateError, match="not running"):
            use()
    with cluster, pytest.raises(chronik.ClusterStateError, match="runs already"):
        cluster.start()
    with pytest.raises(chronik.ClusterStateError, match="not running"):
        cluster.create_topic("t")


def test_the_other_threads_run_while_a_call_waits(chronik_cluster: chronik.Cluster, chronik_topic: str):
    """Calls release the interpreter: a call that waits for a leader in vain lets this thread count."""
    chronik_cluster.create_topic(chronik_topic)
    for node in chronik_cluster.nodes[:2]:
        node.freeze()
    errors: list[BaseException] = []

    def wait_in_vain() -> None:
        try:
            chronik_cluster.create_topic("never")
        except chronik.ChronikError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait_in_vain)
    begun = time.monotonic()
    waiting.start()
    counted = 0
    while waiting.is_alive() and counted < 1_000_000:
        counted += 1
    assert counted > 1000
    for node in chronik_cluster.nodes[:2]:
        node.thaw()
    waiting.join(30)
    assert not waiting.is_alive()
    assert time.monotonic() - begun < 30


def test_use_after_fork_raises_and_the_parent_goes_on():
    done = run_python(
        """
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import chronik

        cluster = chronik.Cluster(3).start()
        child = os.fork()
        if child == 0:
            for use in (lambda: cluster.bootstrap_servers, lambda: cluster.create_topic("t"), cluster.stop):
                try:
                    use()
                except chronik.ForkError as error:
                    assert isinstance(error, chronik.ChronikError) and "fork()" in str(error)
                else:
                    os._exit(1)
            repr(cluster)
            with chronik.Cluster(1) as own:
                own.create_topic("t")
            raise SystemExit(7)  # an ordinary exit: finalisers and exit handlers run
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        cluster.create_topic("t")
        cluster.stop()
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unstopped_cluster_ends_with_the_interpreter_within_two_seconds():
    done = run_python(
        """
        import time
        import chronik

        clusters = [chronik.Cluster(3).start() for _ in range(3)]
        print(time.monotonic(), flush=True)
        """
    )
    took = time.monotonic() - float(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert took < 4.0


def test_a_dropped_cluster_warns_and_frees_its_ports_without_blocking():
    """In a process of its own, where no other cluster keeps the log thread."""
    done = run_python(
        """
        import gc, socket, threading, time, warnings
        import chronik.testing

        def is_closed():
            try:
                socket.create_connection((host, port), timeout=1).close()
            except OSError:
                return True

        cluster = chronik.Cluster(3).start()
        host, port = cluster.nodes[0].host, cluster.nodes[0].port
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            begun = time.monotonic()
            del cluster
            gc.collect()
            assert time.monotonic() - begun < 0.5
        assert [warning.category for warning in caught] == [ResourceWarning]
        assert "without stop()" in str(caught[0].message)
        chronik.testing.wait_for(is_closed)
        chronik.testing.wait_for(lambda: threading.active_count() == 1)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_inside_the_block_stops_the_cluster():
    with pytest.raises(ZeroDivisionError), chronik.Cluster(1) as cluster:
        raise ZeroDivisionError
    assert not cluster.is_running


def test_node_logs_reach_logging_and_the_thread_ends_with_the_last_cluster():
    done = run_python(
        """
        import logging, threading
        import chronik.testing

        records = []

        class Keep(logging.Handler):
            def emit(self, record):
                records.append(record)

        logging.getLogger("chronik").addHandler(Keep())
        logging.getLogger("chronik").setLevel(logging.INFO)
        with chronik.Cluster(3, name="logged") as cluster:
            assert any(thread.name == "chronik-logs" for thread in threading.enumerate())
            cluster.node(1).kill()
            chronik.testing.wait_for(lambda: {"chronik.node.2", "chronik.node.3"} <= {r.name for r in records})
            node = cluster.node(2)
            assert any("peer" in line.text for line in node.logs())
        assert threading.active_count() == 1
        assert {record.chronik_cluster for record in records} == {"logged"}
        assert all(record.levelno <= logging.INFO for record in records), [r.getMessage() for r in records]
        assert any("peer" in str(line) for line in node.logs())
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_clean_start_and_stop_logs_no_warning(chronik_cluster_factory):
    cluster = chronik_cluster_factory(3)
    cluster.create_topic("t", partitions=3)
    cluster.stop()
    lines = [line for lines in cluster.logs().values() for line in lines]
    assert [str(line) for line in lines if line.level in ("ERROR", "WARN")] == []


def test_ctrl_c_reaches_a_program_that_waits_in_a_cluster():
    code = """
    import chronik, signal, threading, os
    # A shell that starts jobs in the background has them ignore the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with chronik.Cluster(3) as cluster:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        cluster.wait_for(lambda: False, 30)
    """
    begun = time.monotonic()
    done = run_python(code)
    assert "KeyboardInterrupt" in done.stderr
    assert time.monotonic() - begun < 10


def test_repr_shows_addresses_and_leaders(chronik_cluster: chronik.Cluster, topic: str):
    shown = repr(chronik_cluster)
    for node in chronik_cluster.nodes:
        assert node.bootstrap_servers in shown
        assert node.bootstrap_servers in repr(node)
        assert node.pinned_bootstrap_servers in repr(node)
    wait_for(lambda: f"{topic}/0->{chronik_cluster.leader(topic).id}" in repr(chronik_cluster))
    assert "not running" in repr(chronik.Cluster(3))


def test_stats_have_the_promised_counters(chronik_cluster: chronik.Cluster, topic: str):
    promised = {
        "fetches_served_as_leader",
        "fetches_served_as_follower",
        "read_gate_rounds",
        "read_gate_waits",
        "read_gate_timeouts",
        "preferred_replica_hints",
        "bytes_in",
        "bytes_out",
    }
    stats = chronik_cluster.node(1).stats()
    assert promised <= set(stats)
    assert all(isinstance(count, int) and count >= 0 for count in stats.values())
    assert chronik_cluster.stats()["bytes_in"] >= stats["bytes_in"] > 0
