//! Traps in raft-rs that this crate is built around.
//!
//! Bare raft, no code of this crate: the tests document why read contexts are never reused, why barriers have
//! messages of their own, and why appends are looked at before they leave. If one fails after an upgrade of raft,
//! its trap is gone and the rule may be reconsidered.

#![allow(clippy::unwrap_used, reason = "test code")]

use raft::eraftpb::{Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, RawNode, ReadState, StateRole};

struct Trio(Vec<RawNode<MemStorage>>);

impl Trio {
    fn new() -> Trio {
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = |id| {
            let config = Config {
                id,
                pre_vote: true,
                check_quorum: true,
                batch_append: true,
                max_size_per_msg: 1 << 20,
                ..Config::default()
            };
            let storage = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
            RawNode::new(&config, storage, &logger).unwrap()
        };
        Trio((1..=3).map(node).collect())
    }

    fn node(&mut self, id: u64) -> &mut RawNode<MemStorage> {
        &mut self.0[id as usize - 1]
    }

    /// Handles all readies of one node; gives its messages and read states.
    fn drain(&mut self, id: u64) -> (Vec<Message>, Vec<ReadState>) {
        let node = self.node(id);
        let (mut messages, mut reads) = (Vec::new(), Vec::new());
        while node.has_ready() {
            let mut ready = node.ready();
            reads.extend(ready.take_read_states());
            messages.extend(ready.take_messages());
            node.mut_store().wl().append(ready.entries()).unwrap();
            if let Some(state) = ready.hs() {
                node.mut_store().wl().set_hardstate(state.clone());
            }
            messages.extend(ready.take_persisted_messages());
            let mut light = node.advance(ready);
            messages.extend(light.take_messages());
            if let Some(commit) = light.commit_index() {
                node.mut_store().wl().mut_hard_state().commit = commit;
            }
            node.advance_apply();
        }
        (messages, reads)
    }

    /// Delivers messages among `members` until nothing moves.
    fn settle(&mut self, members: &[u64]) {
        loop {
            let mut moved = false;
            for id in members {
                for message in self.drain(*id).0 {
                    if members.contains(&message.to) {
                        moved = true;
                        let to = message.to;
                        let _ = self.node(to).step(message);
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn step(&mut self, message: Message) {
        let to = message.to;
        self.node(to).step(message).unwrap();
    }
}

/// Steps 1 to 3: a second response to context A is kept back; another leader commits index 4; node 1 still
/// believes that it leads.
fn deposed_leader_with_a_kept_response() -> (Trio, Message) {
    let mut trio = Trio::new();
    trio.node(1).campaign().unwrap();
    trio.settle(&[1, 2, 3]);
    trio.node(1).propose(vec![], b"v1".to_vec()).unwrap();
    trio.settle(&[1, 2, 3]);
    assert_eq!(trio.node(1).raft.raft_log.committed, 2);

    trio.node(1).read_index(b"A".to_vec());
    let mut heartbeats = trio.drain(1).0;
    trio.node(1).ping();
    heartbeats.extend(trio.drain(1).0);
    let mut responses = Vec::new();
    for heartbeat in heartbeats.into_iter().filter(|message| message.to == 3) {
        trio.step(heartbeat);
        responses.extend(trio.drain(3).0);
    }
    assert_eq!(responses.len(), 2);
    assert!(responses.iter().all(|response| {
        response.get_msg_type() == MessageType::MsgHeartbeatResponse && response.context.as_ref() == b"A"
    }));
    let kept = responses.pop().unwrap();
    trio.step(responses.pop().unwrap());
    assert_eq!(trio.drain(1).1, vec![ReadState { index: 2, request_ctx: b"A".to_vec() }], "rightly");

    while ![2, 3].iter().any(|id| trio.0[*id - 1].raft.state == StateRole::Leader) {
        trio.node(2).tick();
        trio.node(3).tick();
        trio.settle(&[2, 3]);
    }
    let leader = if trio.0[1].raft.state == StateRole::Leader { 2 } else { 3 };
    trio.node(leader).propose(vec![], b"v2".to_vec()).unwrap();
    trio.settle(&[2, 3]);
    assert_eq!(trio.node(leader).raft.raft_log.committed, 4, "v2 is acknowledged");
    assert_eq!(trio.node(1).raft.state, StateRole::Leader, "node 1 does not know");
    (trio, kept)
}

fn reads_released(contexts: &[&str]) -> Vec<(String, u64)> {
    let (mut trio, kept) = deposed_leader_with_a_kept_response();
    for context in contexts {
        trio.node(1).read_index(context.as_bytes().to_vec());
    }
    trio.drain(1);
    trio.step(kept);
    let released = trio.drain(1).1;
    released.into_iter().map(|state| (String::from_utf8(state.request_ctx).unwrap(), state.index)).collect()
}

#[test]
fn a_reused_context_releases_stale_reads_on_a_deposed_leader() {
    let stale = |context: &str| (context.to_owned(), 2);
    assert_eq!(reads_released(&["B", "A"]), [stale("B"), stale("A")], "though index 4 is committed");
    assert_eq!(reads_released(&["A", "B"]), [stale("A")]);
}

#[test]
fn a_fresh_context_releases_nothing() {
    assert!(reads_released(&["B", "C"]).is_empty());
    assert!(reads_released(&["C", "B"]).is_empty());
}

#[test]
fn raft_drops_reads_in_silence() {
    let mut trio = Trio::new();
    trio.node(2).read_index(b"no leader".to_vec());
    assert_eq!(trio.drain(2).1, vec![]);

    trio.node(1).campaign().unwrap();
    let mut guard = 0;
    while trio.node(1).raft.state != StateRole::Leader {
        for message in trio.drain(1).0 {
            trio.step(message);
        }
        for id in [2, 3] {
            for message in trio.drain(id).0 {
                trio.step(message);
            }
        }
        guard += 1;
        assert!(guard < 100);
    }
    trio.node(1).read_index(b"no commit in this term".to_vec());
    assert_eq!(trio.node(1).raft.pending_read_count(), 0);

    trio.settle(&[1, 2, 3]);
    trio.node(1).read_index(b"role change".to_vec());
    assert_eq!(trio.node(1).raft.pending_read_count(), 1);
    let term = trio.node(1).raft.term;
    trio.node(1).raft.become_follower(term + 1, 0);
    trio.settle(&[1, 2, 3]);
    assert_eq!(trio.node(1).raft.pending_read_count(), 0, "thrown away, and nobody was told");
}

#[test]
fn a_merged_append_may_not_follow_its_own_position() {
    let mut trio = Trio::new();
    trio.node(1).campaign().unwrap();
    trio.settle(&[1, 2, 3]);
    // Node 3 loses everything from index 2 on; the leader believes that it is up to date.
    for _ in 0..3 {
        trio.node(1).propose(vec![], b"lost".to_vec()).unwrap();
        trio.settle(&[1, 2]);
    }
    // An empty append waits to be sent, as after every commit; then the refusal of an earlier one arrives.
    trio.node(1).raft.send_append(3);
    let mut refusal = Message::default();
    refusal.set_msg_type(MessageType::MsgAppendResponse);
    (refusal.from, refusal.to, refusal.term) = (3, 1, 1);
    (refusal.reject, refusal.index, refusal.reject_hint, refusal.log_term) = (true, 4, 1, 1);
    trio.node(1).step(refusal).unwrap();
    let sent = trio.drain(1).0;
    let append = sent.iter().find(|message| message.to == 3 && !message.entries.is_empty()).unwrap();
    assert_eq!(append.entries[0].index, 2);
    assert_eq!(append.index, 4, "it should be 1: the entries were merged into an append of another position");
}
