"""Ports for server processes, which must know them before they start."""

from __future__ import annotations

import os
import socket

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
OWN_PORTS = iter(range(20_000 + 1_000 * (WORKER % 12), 21_000 + 1_000 * (WORKER % 12)))


def free_ports(count: int) -> list[int]:
    """Ports that nobody takes before the servers do.

    They lie below the range from which the system gives ports to everybody who asks for any, each worker of a parallel
    run looks in a part of its own, and no port is used twice.
    """
    return [next(port for port in OWN_PORTS if is_free(port)) for _ in range(count)]


def is_free(port: int) -> bool:
    """True when nobody listens there."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
