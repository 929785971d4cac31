"""Checks of arguments: every message names the argument, the value and what is allowed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from .errors import InvalidTypeError, InvalidValueError

NODES_MAX: Final = 64
SHARDS_MAX: Final = 64
PORT_MAX: Final = 65535
NODE_ID_MAX: Final = 1_000_000
TIMEOUT_SECONDS_MAX: Final = 3600.0

GATE_SWITCH: Final = "chronik.test.gate"
# Variables that chronik-server reads too, as the defaults of these settings.
_VARIABLES: Final = {
    "CHRONIK_FETCH_FROM_FOLLOWERS": "chronik.fetch.from.followers",
    "CHRONIK_FETCH_FOLLOWER_MAX_WAIT_MS": "chronik.fetch.follower.max.wait.ms",
}

ConfigValue = str | int | float | bool


class Options(NamedTuple):
    """The checked options of a cluster, in the form the extension takes them."""

    nodes: int
    racks: list[str] | None
    ports: list[int] | None
    host: str
    data_dir: str | None
    durability: str
    transport: str
    shards: int
    config: dict[str, str]
    first_node_id: int
    name: str | None
    read_gate: bool


def integer(argument: str, value: object, low: int, high: int) -> int:
    """An int in ``low..=high``; a bool is not an int here."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidTypeError(f"{argument}={value!r} is not an int; allowed is {low} to {high}")
    if not low <= value <= high:
        raise InvalidValueError(f"{argument}={value!r} is out of range; allowed is {low} to {high}")
    return value


def number(argument: str, value: object, low: float, high: float) -> float:
    """A float or int in ``low..=high``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidTypeError(f"{argument}={value!r} is not a number; allowed is {low} to {high}")
    if not low <= value <= high:
        raise InvalidValueError(f"{argument}={value!r} is out of range; allowed is {low} to {high}")
    return float(value)


def text(argument: str, value: object, allowed: str = "a non-empty str") -> str:
    """A str that is not empty."""
    if not isinstance(value, str):
        raise InvalidTypeError(f"{argument}={value!r} is not a str; allowed is {allowed}")
    if not value:
        raise InvalidValueError(f"{argument}={value!r} is empty; allowed is {allowed}")
    return value


def name_or_number(argument: str, value: object) -> str:
    """A name of Kafka's protocol or its number, as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(argument, value, "a name of Kafka's protocol or its number")


def choice(argument: str, value: object, allowed: Sequence[str]) -> str:
    """One of a few words."""
    words = " or ".join(repr(word) for word in allowed)
    if not isinstance(value, str):
        raise InvalidTypeError(f"{argument}={value!r} is not a str; allowed is {words}")
    if value not in allowed:
        raise InvalidValueError(f"{argument}={value!r} is unknown; allowed is {words}")
    return value


def config(argument: str, value: object) -> dict[str, str]:
    """Kafka configuration: names to values; numbers and booleans become Kafka's text for them."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"{argument}={value!r} is not a dict; allowed is a dict of Kafka configuration names")
    checked: dict[str, str] = {}
    for name, setting in value.items():
        text(f"{argument} key", name, "a Kafka configuration name")
        checked[name] = _config_value(f"{argument}[{name!r}]", setting)
    return checked


def _config_value(argument: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise InvalidTypeError(f"{argument}={value!r} has no Kafka form; allowed is a str, int, float or bool")


def _environment_settings() -> dict[str, str]:
    return {name: os.environ[variable] for variable, name in _VARIABLES.items() if variable in os.environ}


def _per_node(argument: str, value: object, nodes: int) -> list[object]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise InvalidTypeError(f"{argument}={value!r} is not a list; allowed is a list with one entry per node")
    entries = list(value)
    if len(entries) != nodes:
        raise InvalidValueError(f"{argument}={value!r} has {len(entries)} entries; allowed is one per node: {nodes}")
    return entries


def _racks(value: object, nodes: int) -> list[str] | None:
    if value is None:
        return None
    return [text(f"racks[{at}]", rack) for at, rack in enumerate(_per_node("racks", value, nodes))]


def _ports(value: object, nodes: int) -> list[int] | None:
    if value is None:
        return None
    ports = [integer(f"ports[{at}]", port, 0, PORT_MAX) for at, port in enumerate(_per_node("ports", value, nodes))]
    chosen = [port for port in ports if port != 0]
    if len(set(chosen)) != len(chosen):
        raise InvalidValueError(f"ports={value!r} names a port twice; allowed is a different port per node, 0 = any")
    return ports


def _data_dir(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        raise InvalidTypeError(f"data_dir={value!r} is not a path; allowed is a path, or None for memory")
    return text("data_dir", os.fsdecode(value), "a path, or None for memory")


def cluster_options(
    *,
    nodes: object,
    racks: object,
    ports: object,
    host: object,
    data_dir: object,
    durability: object,
    transport: object,
    shards: object,
    config_: object,
    clock: object,
    first_node_id: object,
    name: object,
) -> Options:
    """Checks the options of a cluster; raises at the first that is not allowed."""
    node_count = integer("nodes", nodes, 1, NODES_MAX)
    choice("clock", clock, ("real",))
    settings = _environment_settings() | config("config", config_)
    # Not a setting of any broker: it breaks the promises, so that a test can show that it notices.
    read_gate = choice(f"config[{GATE_SWITCH!r}]", settings.pop(GATE_SWITCH, "on"), ("on", "off")) == "on"
    return Options(
        nodes=node_count,
        racks=_racks(racks, node_count),
        ports=_ports(ports, node_count),
        host=text("host", host, "a host name or address to listen on"),
        data_dir=_data_dir(data_dir),
        durability=choice("durability", durability, ("fsync", "os")),
        transport=choice("transport", transport, ("inproc", "tcp")),
        shards=integer("shards", shards, 1, SHARDS_MAX),
        config=settings,
        first_node_id=integer("first_node_id", first_node_id, 0, NODE_ID_MAX),
        name=None if name is None else text("name", name),
        read_gate=read_gate,
    )
