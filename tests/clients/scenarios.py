"""What a client does against three nodes, and what must be seen of it.

Each class is one ability; a client's test file puts those together that the client has, and says how its program is
made.
"""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

import chronik
from support import Rises

from .builds import Recipe, ToolMissingError
from .program import Event, Program, run

JOIN_SECONDS = 30.0
# As short as Kafka lets it be, and shorter than what is waited for records: a client may lose some with a partition
# that is taken from it, and then nobody has them until their time is over.
RECORD_LOCK_MS = 15_000
PARTITIONS = 4
# In groups of KIP-848 the broker says how often members report, by default every five seconds.
QUICK_HEARTBEATS = pytest.mark.chronik(
    config={"group.consumer.min.heartbeat.interval.ms": 100, "group.consumer.heartbeat.interval.ms": 200}
)
GROUP_TOPIC_PARTITIONS = {"partitions": PARTITIONS, "replication_factor": 3}


class Client:
    """What all scenarios need of a client."""

    name: str
    version: str
    recipe: Recipe
    command: list[str]

    @pytest.fixture(autouse=True)
    def _has_its_program(self) -> None:
        try:
            self.command = self.recipe.make()
        except ToolMissingError as missing:
            pytest.skip(str(missing))

    def run(self, cluster: chronik.Cluster, job: str, **arguments: object) -> list[Event]:
        """Runs a job to its end against the cluster; what the program said."""
        return run(self.command, job, **{"bootstrap": cluster.bootstrap_servers, **arguments})

    def start(self, cluster: chronik.Cluster, job: str, **arguments: object) -> Program:
        """Starts a job that goes on until its input ends."""
        return Program(self.command, job, bootstrap=cluster.bootstrap_servers, **arguments)

    def produce(self, cluster: chronik.Cluster, topic: str, values: list[str], partitions: int = 1) -> list[Event]:
        """Writes values round the partitions; each acknowledged by all in-sync replicas."""
        said = self.run(cluster, "produce", topic=topic, partitions=partitions, values=",".join(values))
        produced = [(event["event"], event["partition"]) for event in said]
        assert produced == [("produced", number % partitions) for number in range(len(values))]
        return said

    def read(self, cluster: chronik.Cluster, topic: str, count: int, **arguments: object) -> list[str]:
        """The first values of partition 0, read without a group."""
        return [record["value"] for record in self.run(cluster, "read", topic=topic, count=count, **arguments)]


class Writes(Client):
    """Writes with `acks=all` and reads back."""

    def test_what_is_written_is_read(self, chronik_cluster, topic):
        values = [f"value-{number}" for number in range(10)]
        assert [event["offset"] for event in self.produce(chronik_cluster, topic, values)] == list(range(10))
        records = self.run(chronik_cluster, "read", topic=topic, count=10)
        assert [(record["offset"], record["value"]) for record in records] == list(enumerate(values))


class Pinned(Client):
    """Reads at the follower whose pinned address it was given, for clients that know no racks."""

    def test_reads_are_served_by_the_follower_whose_pinned_address_it_has(self, chronik_cluster, topic):
        self.produce(chronik_cluster, topic, ["a", "b"])
        leader, follower = chronik_cluster.leader(topic), chronik_cluster.followers(topic)[0]
        rises = Rises([leader, follower])
        address = follower.pinned_bootstrap_servers
        assert self.read(chronik_cluster, topic, 2, bootstrap=address) == ["a", "b"]
        assert_the_follower_served(rises, leader, follower)


class Racks(Client):
    """Follows its rack to a follower (KIP-392)."""

    def test_a_consumer_with_a_rack_is_served_by_the_follower_there(self, chronik_cluster, topic):
        self.produce(chronik_cluster, topic, ["a", "b"])
        leader, follower = chronik_cluster.leader(topic), chronik_cluster.followers(topic)[0]
        rises = Rises([leader, follower])
        assert self.read(chronik_cluster, topic, 2, rack=follower.rack) == ["a", "b"]
        assert rises.of(leader, "preferred_replica_hints") > 0
        assert_the_follower_served(rises, leader, follower)


class Groups(Client):
    """Reads in a group that grows, shrinks and comes back."""

    def test_a_group_reads_every_record_once_while_members_come_and_go(self, chronik_cluster, chronik_topic):
        """Everything is committed before a member comes or goes, so nothing may be read twice."""
        cluster, topic = chronik_cluster, chronik_topic
        cluster.create_topic(topic, **GROUP_TOPIC_PARTITIONS)
        batches = Batches(self, cluster, topic)
        member = {"topic": topic, "group": f"{topic}-group"}
        with self.start(cluster, "member", **member) as first:
            batches.write(40)
            first.wait_for(lambda: first.partitions == [0, 1, 2, 3], JOIN_SECONDS, "the whole topic")
            batches.are_read_by(first)
            with self.start(cluster, "member", **member) as second:
                first.wait_for(lambda: is_shared(first, second), JOIN_SECONDS, "two partitions each", second)
                batches.write(40)
                batches.are_read_by(first, second)
                first.finish()
                second.wait_for(lambda: second.partitions == [0, 1, 2, 3], JOIN_SECONDS, "the partitions of the other")
                batches.write(20)
                batches.are_read_by(first, second)
                second.finish()
        batches.write(8)
        with self.start(cluster, "member", **member) as third:
            batches.are_read_by(first, second, third)
            assert len(third.values) == 8
            third.finish()


class Shares(Client):
    """Reads in a share group: several members of one partition, and every record with one of them at a time."""

    def test_members_share_the_records_and_a_released_one_comes_again(self, chronik_cluster, chronik_topic):
        cluster, topic = chronik_cluster, chronik_topic
        cluster.create_topic(topic, **GROUP_TOPIC_PARTITIONS)
        shared = Shared(self, cluster, topic)
        member = {"topic": topic, "group": shared.group}
        giver = {**member, "release": "3"}
        with self.start(cluster, "share", **giver) as first, self.start(cluster, "share", **giver) as second:
            for _ in range(20):
                shared.write(20)
                shared.are_accepted_by(first, second)
                if first.values and second.values and shared.released(first, second):
                    break
            assert first.values, "it has had records"
            assert second.values, "it has had records"
            assert shared.released(first, second), "some were given back"
            shared.came_again(first, second)
            first.finish()
            shared.write(20)
            shared.are_accepted_by(first, second)
            second.finish()
        shared.write(8)
        with self.start(cluster, "share", **member) as third:
            shared.are_accepted_by(first, second, third)
            assert len(third.values) == 8, "what was accepted does not come again"
            third.finish()

    def test_what_was_accepted_survives_the_leader(self, chronik_cluster, chronik_topic):
        cluster, topic = chronik_cluster, chronik_topic
        cluster.create_topic(topic, partitions=1, replication_factor=3)
        shared = Shared(self, cluster, topic, partitions=1)
        with self.start(cluster, "share", topic=topic, group=shared.group) as member:
            shared.write(20)
            shared.are_accepted_by(member)
            leader = cluster.leader(topic, 0)
            leader.kill()
            shared.write(20)
            shared.are_accepted_by(member)
            leader.restart()
            member.finish()


class Transactions(Client):
    """Commits and aborts."""

    def test_an_aborted_transaction_is_invisible_to_committed_readers(self, chronik_cluster, topic):
        ended = self.run(chronik_cluster, "transact", topic=topic, id=f"{topic}-id")
        assert [event["how"] for event in ended] == ["commit", "abort", "commit"]
        kept, dropped, last = ([f"{name}-{number}" for number in (0, 1)] for name in ("kept", "dropped", "last"))
        committed = self.read(chronik_cluster, topic, 4, isolation="read_committed")
        assert committed == kept + last
        everything = self.read(chronik_cluster, topic, 6, isolation="read_uncommitted")
        assert everything == kept + dropped + last


class Copies(Client):
    """Reads, writes and commits its offsets in one transaction."""

    def test_a_copy_is_exact_and_an_aborted_one_leaves_nothing(self, chronik_cluster, topic):
        cluster, target = chronik_cluster, f"{topic}-copy"
        cluster.create_topic(target, partitions=1, replication_factor=3)
        values = [f"value-{number}" for number in range(6)]
        self.produce(cluster, topic, values)
        names = {"topic": topic, "target": target, "group": f"{topic}-group", "id": f"{topic}-id"}
        for end in ("abort", "commit"):
            copied = self.run(cluster, "copy", count=len(values), end=end, **names)
            assert sum(event["count"] for event in copied) == len(values)
        assert self.read(cluster, target, len(values), isolation="read_committed") == values
        self.produce(cluster, topic, ["next"])
        self.run(cluster, "copy", count=1, end="commit", **names)
        assert self.read(cluster, target, len(values) + 1, isolation="read_committed") == [*values, "next"]


class Administers(Client):
    """Creates, lists, alters and deletes a topic by the client's own means; its file names the steps it has."""

    steps: tuple[str, ...] = ("create", "list", "configs", "alter", "partitions", "delete")

    def test_a_topic_is_created_listed_altered_and_deleted(self, chronik_cluster, chronik_topic):
        topic = chronik_topic
        said = self.run(chronik_cluster, "admin", topic=topic)
        expected: dict[str, list[dict[str, Any]]] = {
            "create": [{"event": "created"}],
            "list": [{"event": "listed", "found": True}],
            "configs": [{"event": "config", "value": "60000"}],
            "alter": [{"event": "altered"}, {"event": "config", "value": "120000"}],
            "partitions": [{"event": "grown"}, {"event": "partitions", "count": 4}],
            "delete": [{"event": "deleted"}, {"event": "listed", "found": False}],
        }
        assert said == [event for step in self.steps for event in expected[step]]


class Batches:
    """Records written to a topic, and the check that a group read each of them exactly once."""

    def __init__(self, client: Client, cluster: chronik.Cluster, topic: str) -> None:
        self._client, self._cluster, self._topic = client, cluster, topic
        self._written: list[str] = []

    def write(self, count: int) -> None:
        values = [f"value-{len(self._written) + number}" for number in range(count)]
        self._client.produce(self._cluster, self._topic, values, PARTITIONS)
        self._written += values

    def are_read_by(self, *members: Program) -> None:
        """Waits until the members together have read and committed everything; nothing twice."""

        def are_read() -> bool:
            return sum(len(member.values) for member in members) >= len(self._written) and all(
                member.events[-1]["event"] != "record" for member in members if member.events
            )

        members[0].wait_for(are_read, JOIN_SECONDS, f"{len(self._written)} records", *members[1:])
        assert sorted(value for member in members for value in member.values) == sorted(self._written)


class Shared:
    """Records written to a topic, and the check that a share group accepted each of them exactly once."""

    def __init__(self, client: Client, cluster: chronik.Cluster, topic: str, partitions: int = PARTITIONS) -> None:
        self._client, self._cluster, self._topic, self._partitions = client, cluster, topic, partitions
        self._written: list[str] = []
        self.group = f"{topic}-share"
        settings = {"share.auto.offset.reset": "earliest", "share.record.lock.duration.ms": str(RECORD_LOCK_MS)}
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
        ]
        group = ConfigResource(ResourceType.GROUP, self.group, incremental_configs=entries)
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
        for altered in admin.incremental_alter_configs([group]).values():
            altered.result(timeout=JOIN_SECONDS)

    def write(self, count: int) -> None:
        values = [f"value-{len(self._written) + number}" for number in range(count)]
        self._client.produce(self._cluster, self._topic, values, self._partitions)
        self._written += values

    def are_accepted_by(self, *members: Program) -> None:
        """Waits until the members together have accepted everything, and it counts; nothing twice."""

        def accepted() -> list[str]:
            return [said["value"] for member in members for said in member.named("record") if said["accepted"]]

        def are_accepted() -> bool:
            return len(accepted()) >= len(self._written) and all(
                member.events[-1]["event"] != "record" for member in members if member.events
            )

        members[0].wait_for(are_accepted, JOIN_SECONDS, f"{len(self._written)} records", *members[1:])
        assert sorted(accepted()) == sorted(self._written)

    def released(self, *members: Program) -> list[Event]:
        """What the members have said of records that they gave back."""
        return [said for member in members for said in member.named("record") if not said["accepted"]]

    def came_again(self, *members: Program) -> None:
        """Every record that was given back was given back at its first delivery, and accepted at a later one."""
        records = [said for member in members for said in member.named("record")]
        accepted = {said["value"]: said["deliveries"] for said in records if said["accepted"]}
        for said in self.released(*members):
            assert said["deliveries"] == 1, said
            assert accepted[said["value"]] > 1, said


def is_shared(first: Program, second: Program) -> bool:
    """True when two members have two partitions each, all four together."""
    shares = (first.partitions, second.partitions)
    return all(len(share) == 2 for share in shares) and sorted([*shares[0], *shares[1]]) == [0, 1, 2, 3]


def assert_the_follower_served(rises: Rises, leader: chronik.Node, follower: chronik.Node) -> None:
    """The proof of a follower read: its counters rose, and the leader served no record to a consumer."""
    assert rises.of(follower, "fetches_served_as_follower") > 0
    assert rises.of(follower, "read_gate_rounds") > 0
    assert rises.of(leader, "fetches_served_as_leader") == 0
