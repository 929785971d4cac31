"""The process that carries every byte between nodes, and between clients and nodes.

It runs alone, so that clients written in Python never wait for it inside one interpreter. Its argument is a JSON list
of `[name, "host:port"]`; the first line it prints is a JSON object of name and port. From then on each line it reads is
a command, answered with one line:

- `{"shape": name, "direction": "forward" | "backward", "held": bool, "delay_ms": number}`: bytes of that direction wait
  while it is held, as they would in a network that loses every packet; when it is let go they arrive after all.
- `{"reset": name}`: every connection of the link ends with a reset, and what it carried is lost.

A link that is held accepts connections and carries nothing, so a connect succeeds and every answer fails to come.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from typing import Any

CHUNK_BYTES = 1 << 16
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Direction:
    """One way of a link: whether bytes pass, and how long they take (up to twice that when they come densely)."""

    def __init__(self) -> None:
        self.delay_seconds = 0.0
        self._passes = asyncio.Event()
        self._passes.set()

    def shape(self, held: bool, delay_ms: float) -> None:
        self.delay_seconds = delay_ms / 1000
        if held:
            self._passes.clear()
        else:
            self._passes.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            await self._passes.wait()
            writer.write(data)
            await writer.drain()


class Link:
    """A listening port, where it leads, and the connections that it carries now."""

    def __init__(self, destination: str) -> None:
        host, _, port = destination.rpartition(":")
        self._destination = (host, int(port))
        self.forward, self.backward = Direction(), Direction()
        self._carried: set[asyncio.Task[None]] = set()

    async def listen(self) -> int:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
        return int(server.sockets[0].getsockname()[1])

    def reset(self) -> None:
        for task in self._carried:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carried.add(task)
        try:
            await self._carry(reader, writer)
        except asyncio.CancelledError:
            break_off(writer)
        except OSError:
            writer.close()
        finally:
            self._carried.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._destination, limit=CHUNK_BYTES)
        for end in (writer, far_writer):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = [
            asyncio.create_task(self.forward.carry(reader, far_writer)),
            asyncio.create_task(self.backward.carry(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            far_writer.close()
            writer.close()
        except asyncio.CancelledError:
            break_off(far_writer)
            raise
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


def break_off(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with a reset."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


def obey(links: dict[str, Link], command: dict[str, Any]) -> None:
    if "reset" in command:
        links[command["reset"]].reset()
        return
    direction: Direction = getattr(links[command["shape"]], command["direction"])
    direction.shape(command["held"], command["delay_ms"])


async def main() -> None:
    links = {name: Link(destination) for name, destination in json.loads(sys.argv[1])}
    ports = {name: await link.listen() for name, link in links.items()}
    say(ports)
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        obey(links, json.loads(line))
        say("done")


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
