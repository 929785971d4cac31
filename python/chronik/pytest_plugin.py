"""The pytest plugin: clusters as fixtures, their state in failure reports, errors in node logs as failures.

Fixtures: ``chronik_cluster`` (three nodes, started once per session, no topics at the start of a test),
``chronik_topic`` (a fresh topic name), ``chronik_cluster_factory`` (clusters of your own, stopped after the test).
Marker: ``@pytest.mark.chronik(nodes=5, config={...}, allow_errors=["regular expression"])``; takes every option of
``chronik.Cluster``. Option: ``--chronik-bootstrap HOST:PORT`` runs the same tests against any Kafka cluster.
Configuration: ``chronik_allowed_errors``, regular expressions of ERROR lines that fail no test.

Works under pytest-xdist: every worker has clusters of its own. Nothing starts before a test asks for a fixture.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ._plugin.external import ExternalCluster
    from ._plugin.pool import Pool
    from ._plugin.report import Watch
    from .cluster import Cluster

_POOL: pytest.StashKey[Pool] = pytest.StashKey()
_WATCHES: pytest.StashKey[list[Watch]] = pytest.StashKey()
_TOPIC_NUMBERS = itertools.count(1)
_TOPIC_NAME_MAX = 80


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--chronik-bootstrap`` and ``chronik_allowed_errors``."""
    group = parser.getgroup("chronik", "chronik, a Kafka-protocol cluster in the test process")
    group.addoption(
        "--chronik-bootstrap",
        metavar="HOST:PORT",
        default=None,
        help="run the chronik fixtures against this Kafka cluster; tests that need faults or counters are skipped",
    )
    parser.addini(
        "chronik_allowed_errors", type="linelist", help="regular expressions of ERROR log lines that fail no test"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker."""
    config.addinivalue_line(
        "markers",
        "chronik(nodes=3, config={...}, allow_errors=[...], **options): options of the cluster the test gets; "
        "allow_errors are regular expressions of ERROR lines in node logs that do not fail the test",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops the clusters of the session."""
    pool = config.stash.get(_POOL, None)
    if pool is not None:
        pool.close()


@pytest.fixture
def chronik_cluster(request: pytest.FixtureRequest) -> Generator[Cluster | ExternalCluster]:
    """A running cluster, three nodes unless the marker says otherwise, shared by the session, without topics."""
    options, allowed = _marked(request.node)
    address = request.config.getoption("--chronik-bootstrap")
    if address is not None:
        yield from _external(request, address, options)
        return
    pool = _pool(request.config)
    options.setdefault("nodes", 3)
    cluster = pool.lend(options)
    watch = _watch(request, cluster, allowed)
    yield cluster
    pool.give_back(cluster, options)
    _fail_on_errors([watch])


@pytest.fixture
def chronik_topic(request: pytest.FixtureRequest) -> str:
    """A topic name no other test uses; the topic does not exist yet."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    test = re.sub(r"[^a-zA-Z0-9._-]+", "-", request.node.name).strip("-")[:_TOPIC_NAME_MAX]
    name = f"{test}-{worker}-{next(_TOPIC_NUMBERS)}-{secrets.token_hex(3)}"
    if request.config.getoption("--chronik-bootstrap") is not None:
        request.getfixturevalue("chronik_cluster").will_delete(name)
    return name


@pytest.fixture
def chronik_cluster_factory(request: pytest.FixtureRequest) -> Generator[Callable[..., Cluster]]:
    """A function that takes the options of ``chronik.Cluster``, starts one and stops it after the test."""
    if request.config.getoption("--chronik-bootstrap") is not None:
        pytest.skip("chronik_cluster_factory starts clusters; --chronik-bootstrap points at a foreign one")
    from .cluster import Cluster

    _, allowed = _marked(request.node)
    clusters: list[Cluster] = []

    def start(nodes: int = 3, **options: Any) -> Cluster:
        cluster = Cluster(nodes, **options).start()
        clusters.append(cluster)
        _watch(request, cluster, allowed)
        return cluster

    yield start
    for cluster in clusters:
        cluster.stop()
    _fail_on_errors(request.node.stash.get(_WATCHES, []))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fails a test that passed although a node logged an ERROR."""
    outcome = yield
    _fail_on_errors(item.stash.get(_WATCHES, []))
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds cluster state and node logs to the report of a failed test."""
    report = yield
    if report.failed:
        for watch in item.stash.get(_WATCHES, []):
            report.sections.extend(watch.sections())
    return report


def _marked(item: pytest.Item) -> tuple[dict[str, Any], list[str]]:
    """The options of the nearest marker, and the allowed errors of marker and configuration."""
    options: dict[str, Any] = {}
    marker = item.get_closest_marker("chronik")
    if marker is not None:
        if marker.args:
            raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.chronik takes keywords only, such as nodes=5")
        options.update(marker.kwargs)
    allowed = options.pop("allow_errors", ())
    if isinstance(allowed, str):
        raise pytest.UsageError(f"{item.nodeid}: allow_errors={allowed!r} is a str; allowed is a list of patterns")
    return options, [*item.config.getini("chronik_allowed_errors"), *allowed]


def _pool(config: pytest.Config) -> Pool:
    if _POOL not in config.stash:
        from ._plugin.pool import Pool

        config.stash[_POOL] = Pool()
    return config.stash[_POOL]


def _watch(request: pytest.FixtureRequest, cluster: Cluster, allowed: list[str]) -> Watch:
    from ._plugin.report import Watch

    watch = Watch(cluster, allowed)
    request.node.stash.setdefault(_WATCHES, []).append(watch)
    return watch


def _external(request: pytest.FixtureRequest, address: str, options: dict[str, Any]) -> Generator[ExternalCluster]:
    from ._plugin.external import ExternalCluster

    cluster = ExternalCluster(address)
    refused = sorted(set(options) - {"nodes"})
    if refused:
        pytest.skip(f"the marker sets {', '.join(refused)}, which --chronik-bootstrap cannot set on a foreign cluster")
    if len(cluster.nodes) < options.get("nodes", 1):
        pytest.skip(f"the marker asks for {options['nodes']} nodes and {address} has {len(cluster.nodes)}")
    yield cluster
    cluster.delete_made()


def _fail_on_errors(watches: list[Watch]) -> None:
    errors = [error for watch in watches for error in watch.new_errors()]
    if errors:
        pytest.fail("a node logged an ERROR:\n" + "\n".join(errors), pytrace=False)
