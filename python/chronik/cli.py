"""The commands ``chronik`` and ``chronik-server``."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Sequence

from . import _chronik
from ._options import ConfigValue
from .cluster import Cluster
from .errors import ChronikError


def main(args: Sequence[str] | None = None) -> int:
    """The command ``chronik``; returns the exit code."""
    parser = _parser()
    chosen = parser.parse_args(args)
    try:
        if chosen.command == "demo":
            from .demo import demo

            return demo()
        if chosen.command == "cluster":
            return _run_cluster(chosen)
        if chosen.command == "server":
            return _chronik.run_server(list(chosen.arguments))
    except KeyboardInterrupt:
        return 130
    except ChronikError as error:
        print(f"chronik: {error}", file=sys.stderr)
        return 1
    parser.print_help()
    return 2


def server() -> int:
    """The command ``chronik-server``, the same program as the stand-alone binary."""
    # The server handles SIGINT and SIGTERM itself; Python's handler would only note them until the call returns.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _chronik.run_server(sys.argv[1:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chronik", description="A Kafka-protocol broker on Raft.")
    parser.add_argument("--version", action="version", version=f"chronik {_chronik.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("demo", help="produce to a leader, read from a follower, and see the proof")
    cluster = commands.add_parser("cluster", help="run a cluster in this process until Ctrl-C")
    cluster.add_argument("--nodes", type=int, default=3, help="how many nodes (default 3)")
    cluster.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1)")
    cluster.add_argument("--ports", help="comma-separated ports, one per node (default: the system chooses)")
    cluster.add_argument("--data-dir", help="keep the data in files here (default: memory)")
    cluster.add_argument("--durability", choices=("fsync", "os"), default="fsync")
    cluster.add_argument(
        "--config", action="append", default=[], metavar="NAME=VALUE", help="Kafka broker configuration"
    )
    server = commands.add_parser(
        "server", help="run chronik-server, one node of a cluster of processes", add_help=False
    )
    server.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def _run_cluster(chosen: argparse.Namespace) -> int:
    config: dict[str, ConfigValue] = {}
    for setting in chosen.config:
        name, equals, value = setting.partition("=")
        if not equals:
            print(f"chronik: --config {setting!r} has no value; allowed is NAME=VALUE", file=sys.stderr)
            return 2
        config[name] = value
    ports = None
    if chosen.ports:
        if not all(port.strip().isdigit() for port in chosen.ports.split(",")):
            print(f"chronik: --ports {chosen.ports!r} is no list of ports; allowed is 9092,9093,...", file=sys.stderr)
            return 2
        ports = [int(port) for port in chosen.ports.split(",")]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    cluster = Cluster(
        chosen.nodes,
        host=chosen.host,
        ports=ports,
        data_dir=chosen.data_dir,
        durability=chosen.durability,
        config=config,
    )
    with cluster:
        print(f"bootstrap servers: {cluster.bootstrap_servers}")
        for node in cluster.nodes:
            print(
                f"node {node.id}: {node.bootstrap_servers}, reads pinned {node.pinned_bootstrap_servers}, {node.rack}"
            )
        print("Ctrl-C stops the cluster.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            ended.wait()
    return 0
