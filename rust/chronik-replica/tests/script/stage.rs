//! The stage: a world of three nodes, requests that wait for their answers, and the commands that move both.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_log::{Entry, EntryKind, LogConfig, UnsyncedPolicy};
use chronik_replica::*;
use chronik_wire::types::{NodeId, Offset};
use raft::eraftpb::MessageType;

use super::telling::{Names, NodeState, counted};
use crate::harness::{Flight, GateReceiver, KEY, LATE, World, batch, ending, transactional, values_of};

/// Ticks after which what a script waits for will not come any more.
const PATIENCE_TICKS: usize = 1_000;

/// How a script is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variant {
    /// With the read gate switched off, to see which scripts notice.
    pub(crate) gate: GateMode,
}

/// Readers that came together.
struct Readers {
    name: String,
    node: i32,
    gates: Vec<GateReceiver>,
}

struct Append {
    name: String,
    answer: AppendReceiver,
}

pub(super) struct Stage {
    variant: Variant,
    world: World,
    names: Names,
    states: BTreeMap<i32, NodeState>,
    readers: Vec<Readers>,
    appends: Vec<Append>,
    /// How many groups of readers and how many appends there were.
    asked: usize,
    appended: usize,
}

impl Stage {
    pub(super) fn new(variant: Variant) -> Stage {
        Stage {
            variant,
            world: World::new(0),
            names: Names::default(),
            states: BTreeMap::new(),
            readers: Vec::new(),
            appends: Vec::new(),
            asked: 0,
            appended: 0,
        }
    }

    /// Carries out commands and tells what happened.
    pub(super) fn run(&mut self, commands: &[String]) -> String {
        let mut lines = Vec::new();
        for command in commands {
            let words: Vec<&str> = command.split_whitespace().collect();
            let said = self.command(&words).unwrap_or_else(|| panic!("no such command: `{command}`"));
            let journal = self.world.journal.as_mut().map(std::mem::take).unwrap_or_default();
            lines.extend(journal.iter().filter_map(|(fate, flight)| self.names.tell(*fate, flight)));
            self.collect_answers(&mut lines);
            lines.extend(said);
        }
        self.tell_states(&mut lines);
        counted(&lines)
    }

    /// The lines a command has to say by itself; `None` if there is no such command.
    fn command(&mut self, words: &[&str]) -> Option<Vec<String>> {
        let (name, rest) = words.split_first()?;
        let node = || rest.first()?.parse::<i32>().ok();
        let second = || rest.get(1)?.parse::<i64>().ok();
        match *name {
            "cluster" => self.start(rest),
            "append" => self.append(node()?, &rest[1..]),
            "write" => self.write(node()?, second()?, rest.get(2)?.parse().ok()?, rest.get(3)?),
            "end" => self.end(node()?, second()?, *rest.get(2)? == "commit"),
            "show" => return Some(vec![self.show(node()?)]),
            "ask" => self.ask(node()?, &rest[1..]),
            "tick" => self.world.ticks(node()? as usize),
            "until" => return self.until(rest),
            "pause" => self.pause(node()?, second()? as u64),
            "isolate" => self.world.isolate(node()?),
            "cut" => self.world.cut(node()?, second()? as i32),
            "heal" => self.world.recover(),
            "hang" => drop(self.world.no_ticks.insert(NodeId(node()?))),
            "unhang" => drop(self.world.no_ticks.remove(&NodeId(node()?))),
            "hold" => self.hold(node()?, second()? as i32, rest.get(2)?)?,
            "release" => self.world.release(),
            "repeat" => self.repeat_held(),
            "crash" => self.world.crash(node()?, policy(&rest[1..])?),
            "restart" => self.world.restart(node()?),
            "say-down" => self.world.tell_down(node()?, true),
            "transfer" => self.world.host(node()?).transfer_leader(KEY, NodeId(second()? as i32)).unwrap(),
            "hold-syncs" => self.world.node(node()?).hold_syncs = true,
            "free-syncs" => self.world.node(node()?).hold_syncs = false,
            "fail-sync" => self.world.node(node()?).disk.fail_next_syncs(1),
            "fill-disk" => {
                let disk = &self.world.node(node()?).disk;
                disk.set_quota(Some(disk.used_bytes()));
            }
            "free-disk" => self.world.node(node()?).disk.set_quota(None),
            "drop-records" => self.world.host(node()?).move_log_start(KEY, Offset(second()?)).unwrap(),
            "log" => return Some(self.log(node()?)),
            "count" => return self.count(node()?, &rest[1..]),
            _ => return None,
        }
        if !rest.contains(&"unsettled") {
            self.world.settle();
        }
        Some(Vec::new())
    }

    // ---- commands

    /// `cluster [deferred-sync] [small-segments] [holding VALUE...]`: three nodes, led by the first.
    fn start(&mut self, options: &[&str]) {
        let gate = self.variant.gate;
        let sync = if options.contains(&"deferred-sync") { SyncMode::Deferred } else { SyncMode::Inline };
        self.world = World::with(3, |config| HostConfig { sync, faults: Faults { gate }, ..config });
        if options.contains(&"small-segments") {
            self.world.log = Arc::new(LogConfig { segment_bytes: 4 * 1024, ..LogConfig::default() });
        }
        self.world.create_all(KEY, TopicSettings::default());
        self.world.until("node 1 leads", |world| world.confirmed_leader(KEY) == Some(NodeId(1)));
        let values = options.iter().skip_while(|word| **word != "holding").skip(1);
        for value in values {
            self.world.produce(1, batch(&[value])).unwrap();
        }
        self.world.settle();
        self.world.journal = Some(Vec::new());
    }

    /// `append NODE VALUE...`, one record each; `filling COUNT` for batches of a kilobyte whose answers are not told.
    fn append(&mut self, node: i32, words: &[&str]) {
        if let ["filling", count] = words {
            let filler = "x".repeat(1_000);
            for _ in 0..count.parse::<usize>().unwrap() {
                self.world.produce(node, batch(&[&filler])).unwrap();
            }
            // Nobody wants to read of these.
            self.world.journal = Some(Vec::new());
            return;
        }
        self.appended += 1;
        let name = format!("append {}", self.appended);
        let answer = self.world.append(node, batch(words));
        self.appends.push(Append { name, answer });
    }

    /// `write NODE PRODUCER SEQUENCE VALUE`: one record of a producer's transaction.
    fn write(&mut self, node: i32, producer: i64, sequence: i32, value: &str) {
        self.appended += 1;
        let name = format!("append {}", self.appended);
        let answer = self.world.append(node, transactional(producer, 0, sequence, value));
        self.appends.push(Append { name, answer });
    }

    /// `end NODE PRODUCER commit|abort`: its coordinator ends the transaction.
    fn end(&mut self, node: i32, producer: i64, commit: bool) {
        self.appended += 1;
        let name = format!("append {}", self.appended);
        let answer = self.world.host(node).append_marker(KEY, ending(producer, 0, commit), LATE);
        self.appends.push(Append { name, answer });
    }

    /// `show NODE`: what a reader of committed records sees there, who does not pass the gate.
    fn show(&mut self, node: i32) -> String {
        format!("committed at {node}: [{}]", self.world.committed(node).join(" "))
    }

    /// `ask NODE [times=COUNT] [wait=MS] [unsettled]`: readers enter the gate.
    fn ask(&mut self, node: i32, options: &[&str]) {
        let option =
            |name: &str| options.iter().find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
        self.asked += 1;
        let times = option("times=").unwrap_or(1);
        let deadline_ms = option("wait=").map_or(LATE, |wait_ms| self.world.now_ms + wait_ms);
        let gates = (0..times).map(|_| self.world.enter_until(node, deadline_ms)).collect();
        let name = format!("reader {}", self.asked);
        self.readers.push(Readers { name, node, gates });
        if options.contains(&"unsettled") {
            // Its node takes its turn; the messages are under way.
            self.world.turn(NodeId(node));
        }
    }

    /// `pause NODE MS`: so much time passes between two ticks of a node.
    fn pause(&mut self, node: i32, ms: u64) {
        self.world.now_ms += ms;
        let now_ms = self.world.now_ms;
        self.world.host(node).on_tick(now_ms);
    }

    /// `until NODE leads`, `until NODE sleeps`, `until NODE has INDEX`.
    fn until(&mut self, words: &[&str]) -> Option<Vec<String>> {
        let node = NodeId(words.first()?.parse().ok()?);
        let index = words.get(2).and_then(|index| index.parse().ok()).map(Index);
        let replica = |world: &World, look: &dyn Fn(&Replica) -> bool| {
            world.nodes[&node].host.as_ref().and_then(|host| host.replica(KEY)).is_some_and(look)
        };
        let done: Box<dyn Fn(&World) -> bool> = match *words.get(1)? {
            "leads" => Box::new(|world| world.confirmed_leader(KEY) == Some(node)),
            "sleeps" => Box::new(|world| replica(world, &|replica| replica.is_asleep())),
            "has" => Box::new(|world| replica(world, &|replica| Some(replica.applied()) >= index)),
            _ => return None,
        };
        self.world.settle();
        for _ in 0..PATIENCE_TICKS {
            if done(&self.world) {
                return Some(Vec::new());
            }
            self.world.tick();
        }
        Some(vec!["it never came true".to_owned()])
    }

    /// `hold FROM TO appends|heartbeat-answers|barriers|answers`: such messages stay under way.
    fn hold(&mut self, from: i32, to: i32, what: &str) -> Option<()> {
        let raft = |flight: &Flight, wanted| match &flight.message {
            ReplicaMessage::Raft(message) => message.get_msg_type() == wanted,
            _ => false,
        };
        let wanted: Box<dyn Fn(&Flight) -> bool> = match what {
            "appends" => Box::new(move |flight| raft(flight, MessageType::MsgAppend)),
            "append-answers" => Box::new(move |flight| raft(flight, MessageType::MsgAppendResponse)),
            "heartbeat-answers" => Box::new(move |flight| raft(flight, MessageType::MsgHeartbeatResponse)),
            "barriers" => Box::new(|flight| matches!(flight.message, ReplicaMessage::ReadBarrier { .. })),
            "answers" => Box::new(|flight| matches!(flight.message, ReplicaMessage::ReadBarrierReply { .. })),
            _ => return None,
        };
        let (from, to) = (NodeId(from), NodeId(to));
        self.world.hold =
            Some(Box::new(move |flight| flight.from == from && flight.to == to && wanted(flight)));
        Some(())
    }

    /// Delivers a copy of everything held; the originals stay under way.
    fn repeat_held(&mut self) {
        for flight in self.world.held.clone() {
            self.world.deliver(flight);
        }
    }

    fn log(&mut self, node: i32) -> Vec<String> {
        let host = self.world.host(node);
        let log = host.replica(KEY).unwrap().log();
        let entries = log.entries(log.first_index(), log.last_index().next(), u64::MAX).unwrap();
        entries.iter().map(entry_in_words).collect()
    }

    fn count(&mut self, node: i32, names: &[&str]) -> Option<Vec<String>> {
        let map = self.world.counters(node).to_map();
        names.iter().map(|name| Some(format!("{name} {}", map.get(*name)?))).collect()
    }

    // ---- what came of it

    fn collect_answers(&mut self, lines: &mut Vec<String>) {
        let mut appends = std::mem::take(&mut self.appends);
        appends.retain_mut(|append| match append.answer.try_recv() {
            Ok(Ok(appended)) => {
                let place = match appended.base_offset {
                    Offset::UNKNOWN => "it had ended before".to_owned(),
                    offset => format!("offset {offset}"),
                };
                lines.push(format!("{}: acknowledged, {place}", append.name));
                false
            }
            Ok(Err(error)) => {
                let words = match error {
                    AppendError::NotLeader { hint: Some(leader) } => {
                        format!("failed for sure, {leader} leads")
                    }
                    AppendError::TimedOut => "its fate is open".to_owned(),
                    AppendError::Storage => "refused, the disk is full or has failed".to_owned(),
                    other => other.to_string(),
                };
                lines.push(format!("{}: {words}", append.name));
                false
            }
            Err(_) => true,
        });
        self.appends = appends;
        let mut readers = std::mem::take(&mut self.readers);
        for group in &mut readers {
            let (name, node) = (group.name.clone(), group.node);
            group.gates.retain_mut(|gate| {
                let Ok(answer) = gate.try_recv() else { return true };
                lines.push(match answer {
                    Ok(_) => format!("{name} passes at {node} and sees {}", self.seen_at(node)),
                    Err(error) => format!("{name} is refused at {node}: {:?}", error.kind),
                });
                false
            });
        }
        readers.retain(|group| !group.gates.is_empty());
        self.readers = readers;
    }

    /// What a reader that was let in reads: few values by name, many by their number.
    fn seen_at(&mut self, node: i32) -> String {
        let values = self.world.values(node);
        if values.iter().all(|value| value.len() < 20) {
            format!("[{}]", values.join(" "))
        } else {
            format!("{} records", values.len())
        }
    }

    fn tell_states(&mut self, lines: &mut Vec<String>) {
        for id in self.world.ids() {
            let now = NodeState::of(&self.world, id.0);
            let before = self.states.entry(id.0).or_default();
            lines.extend(now.tell(before).map(|words| format!("{id}: {words}")));
            *before = now;
        }
    }
}

fn entry_in_words(entry: &Entry) -> String {
    let what = match entry.kind {
        EntryKind::Batch => format!("offset {} [{}]", entry.base_offset, values_of(&entry.data).join(" ")),
        kind => format!("{kind:?}").to_lowercase(),
    };
    format!("{}/{} {what}", entry.index, entry.term)
}

fn policy(words: &[&str]) -> Option<UnsyncedPolicy> {
    match words {
        ["drop"] => Some(UnsyncedPolicy::Drop),
        ["keep"] => Some(UnsyncedPolicy::Keep),
        ["torn", seed] => Some(UnsyncedPolicy::Torn { seed: seed.parse().ok()? }),
        _ => None,
    }
}
