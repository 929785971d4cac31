"""Bytes no client should send: an error or a closed connection, bounded memory, and neighbours unharmed (P11)."""

from __future__ import annotations

import random
import re
import resource
import socket
import struct
from collections.abc import Generator
from pathlib import Path

import pytest

import chronik
from chronik._kafka.client import parse_address
from chronik.testing import Connection, wait_for
from support import Replicas

IDLE_CONNECTIONS = 2000
# What hostile input may cost at most; a single trusted length would cost gigabytes.
GROWTH_KIB_MAX = 64 * 1024


def frame(key: int, version: int, body: bytes, *, client_id: bytes | None = b"x", flexible: bool = False) -> bytes:
    name = struct.pack(">h", -1) if client_id is None else struct.pack(">h", len(client_id)) + client_id
    header = struct.pack(">hhi", key, version, 77) + name + (b"\0" if flexible else b"")
    return struct.pack(">i", len(header) + len(body)) + header + body


# The seven bytes that abort a decoder which trusts lengths: Metadata v9 with an array of 2^32 - 2 topics.
METADATA_BOMB = b"\xff\xff\xff\xff\x0f\x00\x00"

HOSTILE = {
    "metadata-bomb": frame(3, 9, METADATA_BOMB, flexible=True),
    "metadata-bomb-v12": frame(3, 12, METADATA_BOMB, flexible=True),
    "array-of-two-billion": frame(3, 1, struct.pack(">i", 0x7FFFFFFF)),
    "array-of-minus-two": frame(3, 1, struct.pack(">i", -2)),
    "string-of-minus-five": frame(3, 1, struct.pack(">ih", 1, -5)),
    "fetch-two-billion-topics": frame(1, 4, struct.pack(">iiiibi", -1, 0, 0, 0, 0, 0x7FFFFFFF)),
    "fetch-two-billion-partitions": frame(
        1, 4, struct.pack(">iiiibih", -1, 0, 0, 0, 0, 1, 1) + b"t" + b"\x7f\xff\xff\xff"
    ),
    "produce-records-longer-than-frame": frame(
        0, 7, struct.pack(">hhiih", -1, -1, 1000, 1, 1) + b"t" + struct.pack(">iii", 1, 0, 0x7FFFFFF0)
    ),
    "list-offsets-minus-ten": frame(2, 1, struct.pack(">ii", -1, -10)),
    "create-topics-bomb": frame(19, 5, b"\xff\xff\xff\xff\x0f", flexible=True),
    "unsigned-varint-without-end": frame(3, 9, b"\xff" * 20, flexible=True),
    "tagged-fields-bomb": frame(18, 3, b"\x01\x01\xff\xff\xff\xff\x0f", flexible=True),
    "header-tags-bomb": struct.pack(">i", 16) + struct.pack(">hhih", 3, 9, 1, -1) + b"\xff\xff\xff\xff\x0f\x00",
    "client-id-of-minus-nine": struct.pack(">i", 10) + struct.pack(">hhih", 3, 1, 1, -9),
    "empty-frame": struct.pack(">i", 0),
    "three-byte-frame": struct.pack(">i", 3) + b"abc",
    "negative-frame": struct.pack(">i", -1),
    "most-negative-frame": struct.pack(">i", -(2**31)),
    "two-gigabyte-frame": struct.pack(">i", 0x7FFFFFFF) + b"x" * 100,
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": bytes.fromhex("1603010200010001fc0303") + bytes(200),
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "unknown-api": frame(9999, 0, b""),
    "unknown-version": frame(1, 999, b""),
    "negative-api": frame(-1, -1, b""),
}


@pytest.fixture
def neighbour(replicas: Replicas) -> Generator[Replicas]:
    """Clients that were there before, whose work must go on."""
    assert replicas.at(replicas.leader).produce(replicas.topic, [b"before"]).error_code == 0
    yield replicas
    written = replicas.at(replicas.leader).produce(replicas.topic, [b"after"])
    assert written.error_code == 0
    for node in replicas.nodes:
        assert replicas.at(node).fetch(replicas.topic, written.base_offset).values == [b"after"]


def resident_kib() -> int:
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    match = re.search(r"VmRSS:\s+(\d+)", status.read_text())
    assert match
    return int(match.group(1))


def is_answered_or_closed(data: bytes, address: str) -> bytes:
    """Sends and waits for an answer or the end; the socket's timeout would mean neither came."""
    with socket.create_connection(parse_address(address), timeout=15) as client:
        client.sendall(data)
        try:
            return client.recv(65536)
        except ConnectionError:
            return b""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_end_in_an_answer_or_a_close(chronik_cluster, neighbour, name):
    before = resident_kib()
    for _ in range(20):
        is_answered_or_closed(HOSTILE[name], chronik_cluster.nodes[0].bootstrap_servers)
    assert resident_kib() - before < GROWTH_KIB_MAX


def test_half_frames_and_dropped_connections_harm_nobody(chronik_cluster, neighbour):
    whole = frame(3, 1, struct.pack(">i", 0))
    for cut in range(len(whole)):
        with socket.create_connection(parse_address(chronik_cluster.nodes[0].bootstrap_servers)) as client:
            client.sendall(whole[:cut])


def test_a_frame_in_single_bytes_is_answered(chronik_cluster, neighbour):
    whole = frame(3, 1, struct.pack(">i", 0))
    with socket.create_connection(parse_address(chronik_cluster.nodes[0].bootstrap_servers), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(whole)):
            client.sendall(whole[at : at + 1])
        assert struct.unpack(">i", client.recv(8)[4:8])[0] == 77


def test_random_bodies_for_every_request_are_answered_or_closed(chronik_cluster, neighbour):
    address = chronik_cluster.nodes[1].bootstrap_servers
    with Connection(address) as connection:
        versions = connection.api_versions()
    random_bytes = random.Random(20261123)
    before = resident_kib()
    for key, (low, high) in versions.items():
        for version in {low, high}:
            for _ in range(5):
                body = random_bytes.randbytes(random_bytes.randrange(40))
                with socket.create_connection(parse_address(address), timeout=10) as client:
                    client.sendall(frame(key, version, body))
                    # Half-closed: whatever the node still waits for will not come.
                    client.shutdown(socket.SHUT_WR)
                    try:
                        while client.recv(65536):
                            pass
                    except ConnectionError:
                        pass
    assert resident_kib() - before < GROWTH_KIB_MAX


def test_a_batch_with_a_wrong_crc_is_refused_and_not_stored(chronik_cluster, topic, replicas: Replicas):
    from chronik.testing import encode_batch

    broken = bytearray(encode_batch([b"value"]))
    broken[-3] ^= 0x40
    answer = replicas.at(replicas.leader).produce(topic, batch=bytes(broken))
    assert answer.error_code == 2
    assert replicas.at(replicas.leader).fetch(topic, max_wait_ms=0).high_watermark == 0


@pytest.mark.parametrize("batch", [b"", b"x", b"\0" * 61, b"\xff" * 200])
def test_bytes_that_are_no_batch_are_refused_and_not_stored(chronik_cluster, topic, replicas: Replicas, batch):
    answer = replicas.at(replicas.leader).produce(topic, batch=batch)
    assert answer.error_code in {2, 42, 43, 76, 87}
    assert replicas.at(replicas.leader).fetch(topic, max_wait_ms=0).high_watermark == 0


def test_a_batch_above_the_limit_is_refused(chronik_cluster, topic, replicas: Replicas):
    connection = replicas.at(replicas.leader)
    assert connection.produce(topic, [b"x" * 1_100_000]).error_code == 10
    assert connection.produce(topic, [b"x" * 1_000_000]).error_code == 0


def test_two_thousand_idle_connections_harm_nobody(chronik_cluster: chronik.Cluster, neighbour):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Both ends are in this process.
    needed = 2 * IDLE_CONNECTIONS + 500
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"needs {needed} descriptors, the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    clients: list[socket.socket] = []
    address = parse_address(chronik_cluster.nodes[0].bootstrap_servers)
    before = resident_kib()
    open_before = chronik_cluster.nodes[0].stats()["connections_open"]
    try:
        for number in range(IDLE_CONNECTIONS):
            # Loopback addresses of their own: one client may not take all connections.
            clients.append(socket.create_connection(address, source_address=(f"127.0.1.{1 + number % 4}", 0)))
        wait_for(lambda: chronik_cluster.nodes[0].stats()["connections_open"] >= open_before + IDLE_CONNECTIONS, 20)
        with Connection(chronik_cluster.nodes[0].bootstrap_servers) as connection:
            assert len(connection.metadata().brokers) == 3
        assert resident_kib() - before < 2 * GROWTH_KIB_MAX
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_for(lambda: chronik_cluster.nodes[0].stats()["connections_open"] < open_before + 100, 20)
