"""The pytest plugin, by running pytest inside pytest."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import chronik
from chronik import _chronik

PASSING = """
import pytest
from kafka import KafkaConsumer, KafkaProducer

def test_read_your_writes(chronik_cluster, chronik_topic):
    producer = KafkaProducer(bootstrap_servers=chronik_cluster.bootstrap_servers)
    producer.send(chronik_topic, b"hello").get(timeout=10)
    producer.close()
    consumer = KafkaConsumer(
        chronik_topic, bootstrap_servers=chronik_cluster.bootstrap_servers, auto_offset_reset="earliest"
    )
    assert next(consumer).value == b"hello"
    consumer.close()
"""


@pytest.fixture
def inner(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder for tests of our own; the inner runs are processes, so that no cluster is shared."""
    pytester.makeini("[pytest]\nfilterwarnings =\n    ignore::DeprecationWarning\n")
    return pytester


def test_the_cluster_is_shared_and_its_topics_are_clean(inner):
    inner.makepyfile(
        """
        addresses = set()

        def check(cluster):
            addresses.add(cluster.bootstrap_servers)
            assert len(addresses) == 1
            assert len(cluster.nodes) == 3
            cluster.create_topic("always-the-same-name")

        def test_one(chronik_cluster):
            check(chronik_cluster)

        def test_two(chronik_cluster):
            check(chronik_cluster)

        def test_three(chronik_cluster, chronik_topic):
            chronik_cluster.cut(1, 2)
            check(chronik_cluster)

        def test_links_are_well_again(chronik_cluster, chronik_topic):
            check(chronik_cluster)
        """
    )
    inner.runpytest_subprocess().assert_outcomes(passed=4)


def test_a_test_that_leaves_a_node_dead_does_not_disturb_the_next(inner):
    inner.makepyfile(
        """
        def test_kill(chronik_cluster):
            chronik_cluster.node(2).kill()

        def test_freeze(chronik_cluster):
            assert all(node.is_running for node in chronik_cluster.nodes)
            chronik_cluster.node(2).freeze()

        def test_after(chronik_cluster):
            assert all(node.is_running for node in chronik_cluster.nodes)
            chronik_cluster.create_topic("t", replication_factor=3)

        def test_stop(chronik_cluster):
            chronik_cluster.stop()

        def test_after_stop(chronik_cluster):
            chronik_cluster.create_topic("t", replication_factor=3)
        """
    )
    inner.runpytest_subprocess().assert_outcomes(passed=5)


def test_the_marker_gives_options_and_topics_are_fresh(inner):
    inner.makepyfile(
        """
        import pytest

        names = set()

        @pytest.mark.chronik(nodes=5, config={"num.partitions": 2}, racks=["a", "b", "c", "d", "e"])
        def test_marked(chronik_cluster):
            assert [node.rack for node in chronik_cluster.nodes] == ["a", "b", "c", "d", "e"]
            chronik_cluster.create_topic("t", replication_factor=5)
            assert len(chronik_cluster.followers("t")) == 4

        @pytest.mark.parametrize("odd", ["a b/c", "ü" * 300, "x"])
        def test_topic(chronik_cluster, chronik_topic, odd):
            assert chronik_topic not in names
            names.add(chronik_topic)
            chronik_cluster.create_topic(chronik_topic)

        def test_factory(chronik_cluster_factory):
            one, two = chronik_cluster_factory(1), chronik_cluster_factory(2, first_node_id=0)
            assert one.bootstrap_servers != two.bootstrap_servers
            assert two.nodes[0].id == 0
        """
    )
    inner.runpytest_subprocess().assert_outcomes(passed=5)


def test_a_failing_test_shows_cluster_and_node_logs(inner):
    inner.makepyfile(
        """
        def test_fails(chronik_cluster):
            chronik_cluster.create_topic("shown")
            chronik_cluster.node(1).kill()
            assert False
        """
    )
    result = inner.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- chronik cluster -*",
            "*<chronik.Cluster of 3 nodes at 1=127.0.0.1:*leaders*shown/0->*",
            "node 1 not running: *",
            "node 2 running: fetches_served_as_leader *",
            "*- chronik node 1 log -*",
            "*- chronik node 2 log -*",
            "*INFO*peer*1*",
        ]
    )


FORGED_ERROR = """
import pytest
from chronik import LogLine
from chronik._plugin import report

real = report.Watch._logs

def forged(watch):
    logs = real(watch)
    logs[2] = [*logs.get(2, []), LogLine(2**60, "ERROR", "chronik_replica", "segment 3 is damaged")]
    return logs

@pytest.fixture(autouse=True)
def forge(monkeypatch):
    monkeypatch.setattr(report.Watch, "_logs", forged)
"""


def test_an_unlisted_error_in_a_nodes_log_fails_the_test(inner):
    inner.makeconftest(FORGED_ERROR)
    inner.makepyfile(
        """
        import pytest

        def test_unlisted(chronik_cluster):
            pass

        @pytest.mark.chronik(allow_errors=["segment . is damaged"])
        def test_listed(chronik_cluster):
            pass

        def test_without_a_cluster():
            pass
        """
    )
    result = inner.runpytest_subprocess()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*a node logged an ERROR:*", "*node 2: ERROR chronik_replica: segment 3 is damaged*"])


def test_errors_can_be_listed_in_the_configuration(inner):
    inner.makeconftest(FORGED_ERROR)
    inner.makeini("[pytest]\nchronik_allowed_errors =\n    is damaged\n")
    inner.makepyfile("def test_listed(chronik_cluster): pass")
    inner.runpytest_subprocess().assert_outcomes(passed=1)


def test_it_works_under_xdist(inner):
    inner.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(12))
        def test_parallel(chronik_cluster, chronik_topic, number):
            chronik_cluster.create_topic("the-same-name-in-every-worker")
            chronik_cluster.create_topic(chronik_topic)
        """
    )
    inner.runpytest_subprocess("-n", "4").assert_outcomes(passed=12)


def test_the_same_tests_run_against_a_foreign_cluster(inner):
    """Played by a chronik cluster of this process, reached by its address only."""
    inner.makepyfile(
        PASSING
        + """
def test_names(chronik_cluster, chronik_topic):
    chronik_cluster.create_topic(chronik_topic, partitions=2, replication_factor=3)
    assert chronik_cluster.leader(chronik_topic) not in chronik_cluster.followers(chronik_topic)
    assert chronik_cluster.controller() in chronik_cluster.nodes
    assert chronik_cluster.node(1).rack == "rack-1"

def test_faults(chronik_cluster):
    chronik_cluster.node(1).kill()

def test_counters(chronik_cluster):
    chronik_cluster.nodes[0].stats()

@pytest.mark.chronik(nodes=5)
def test_size(chronik_cluster):
    pass

@pytest.mark.chronik(config={"num.partitions": 2})
def test_config(chronik_cluster):
    pass

def test_own(chronik_cluster_factory):
    pass
"""
    )
    with chronik.Cluster(3) as foreign:
        result = inner.runpytest_subprocess("--chronik-bootstrap", foreign.nodes[0].bootstrap_servers, "-rs")
        result.assert_outcomes(passed=2, skipped=5)
        assert [topic for topic, _, _ in foreign._running_engine().leaders() if not topic.startswith("__")] == []
    result.stdout.fnmatch_lines(["*Node.kill needs chronik's in-process cluster*"])


def test_the_plugin_costs_little_where_it_is_not_used(inner):
    """No cluster, no client and no event loop is imported by a run without chronik fixtures."""
    inner.makepyfile(
        """
        import sys

        def test_plain():
            loaded = set(sys.modules)
            assert "chronik.pytest_plugin" in loaded
            assert not loaded & {"chronik.testing", "chronik.aio", "chronik._plugin.pool", "kafka", "asyncio"}
        """
    )
    inner.runpytest_subprocess("-p", "no:xdist", "-p", "no:timeout").assert_outcomes(passed=1)


def test_wrong_markers_say_so(inner):
    inner.makepyfile(
        """
        import pytest

        @pytest.mark.chronik(5)
        def test_positional(chronik_cluster):
            pass

        @pytest.mark.chronik(allow_errors="text")
        def test_text(chronik_cluster):
            pass

        @pytest.mark.chronik(nods=5)
        def test_unknown(chronik_cluster):
            pass
        """
    )
    result = inner.runpytest_subprocess()
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*takes keywords only*", "*allowed is a list of patterns*", "*nods*"])


@pytest.mark.parametrize("command", [["chronik"], ["-m", "chronik"]])
def test_the_command_runs_a_cluster_until_it_is_told_to_stop(command):
    import signal

    name = os.path.join(os.path.dirname(sys.executable), "chronik")
    line = [name] if command == ["chronik"] else [sys.executable, *command]
    with subprocess.Popen([*line, "cluster", "--nodes", "2"], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        assert first.startswith("bootstrap servers: 127.0.0.1:")
        from chronik.testing import Connection

        with Connection(first.split()[-1]) as connection:
            assert len(connection.metadata().brokers) == 2
        while "Ctrl-C" not in running.stdout.readline():
            pass
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0


def test_the_demo_proves_itself():
    done = subprocess.run(
        [sys.executable, "-m", "chronik", "demo"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "proved: a follower served the reads" in done.stdout
    assert "!!" not in done.stdout


def test_the_demo_says_what_is_missing():
    code = "import sys; sys.modules['kafka'] = None; from chronik.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "kafka-python is missing" in done.stderr


def test_the_server_command_is_the_server():
    name = os.path.join(os.path.dirname(sys.executable), "chronik-server")
    done = subprocess.run([name, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "chronik-server" in done.stdout
    assert _chronik.__version__
