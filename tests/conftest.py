"""Fixtures every test may use. The clusters come from chronik's own pytest plugin."""

from __future__ import annotations

from collections.abc import Generator

import pytest

import chronik
from support import Replicas

pytest_plugins = ["pytester"]


@pytest.fixture
def topic(chronik_cluster: chronik.Cluster, chronik_topic: str) -> str:
    """A topic of one partition on three nodes."""
    chronik_cluster.create_topic(chronik_topic, partitions=1, replication_factor=3)
    return chronik_topic


@pytest.fixture
def replicas(chronik_cluster: chronik.Cluster, topic: str) -> Generator[Replicas]:
    """A raw connection to every replica of the topic, to be closed after the test."""
    with Replicas(chronik_cluster, topic) as opened:
        yield opened
