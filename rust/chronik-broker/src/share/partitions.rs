//! Whether this node may speak for partitions: it leads them, and has just proved it.

use chronik_replica::{GateError, GatePass, Role};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::common::{LeaderIdAndEpoch, NodeEndpoint};
use chronik_wire::types::{LeaderEpoch, PartitionIndex, PartitionKey};
use tokio::sync::oneshot;

use super::sessions::SharedPartition;
use crate::broker::Broker;
use crate::errors;
use crate::handlers::Context;
use crate::hosts::HostReply;
use crate::leader_hint::{endpoints, hint};
use crate::topics::{Absent, TopicName};

/// The version of the codes of a gate that could not be passed: those that every client of share groups knows.
const GATE_CODES_OF_FETCH: i16 = 18;

type Gate = HostReply<Result<oneshot::Receiver<Result<GatePass, GateError>>, ErrorCode>>;

impl Context {
    /// The epoch in which this node leads each of the partitions, proved by its read gate after the call. All gates are
    /// entered before any is waited for.
    pub(crate) async fn led_here(
        &self,
        partitions: &[SharedPartition],
        deadline_ms: u64,
    ) -> Vec<Result<(PartitionKey, LeaderEpoch), ErrorCode>> {
        let wanted: Vec<(TopicName, i32)> =
            partitions.iter().map(|(topic, partition)| (TopicName::Id(*topic), *partition)).collect();
        let broker = &self.broker;
        let enter =
            |_, _: &_, target: crate::topics::Target| (target.key, enter(broker, target.key, deadline_ms));
        let gates = broker.look_up(deadline_ms, &wanted, enter).await;
        let mut led = Vec::with_capacity(gates.len());
        for gate in gates {
            led.push(match gate {
                Ok((key, gate)) => pass(broker, key, gate).await.map(|epoch| (key, epoch)),
                Err(Absent::Unknown(code)) => Err(code),
                Err(Absent::Unconfirmed) => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            });
        }
        led
    }

    /// Whom to turn to for partitions that are led elsewhere, and where that is. On the pinned address there is nobody else.
    pub(crate) fn share_hints(
        &self,
        partitions: impl Iterator<Item = (SharedPartition, ErrorCode)>,
    ) -> (Vec<LeaderIdAndEpoch>, Vec<NodeEndpoint>) {
        let hints: Vec<LeaderIdAndEpoch> = partitions
            .map(|((topic, partition), code)| {
                let moved = [ErrorCode::NOT_LEADER_OR_FOLLOWER, ErrorCode::FENCED_LEADER_EPOCH];
                if self.connection.pinned || !moved.contains(&code) {
                    return LeaderIdAndEpoch::default();
                }
                hint(&self.broker, PartitionKey::new(topic, PartitionIndex(partition)))
            })
            .collect();
        let named: Vec<LeaderIdAndEpoch> = hints.iter().filter(|hint| hint.leader_id >= 0).cloned().collect();
        (hints, endpoints(&self.broker.node.image(), &named))
    }
}

fn enter(broker: &Broker, key: PartitionKey, deadline_ms: u64) -> Gate {
    broker.hosts.with(key, move |host| {
        let view = host.view(key).map_err(|error| errors::replica(&error))?;
        if view.role != Role::Leader {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        Ok(host.enter_gate(key, deadline_ms))
    })
}

async fn pass(broker: &Broker, key: PartitionKey, gate: Gate) -> Result<LeaderEpoch, ErrorCode> {
    let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    let gate = gate.await.map_err(|_| gone)??;
    let passed = gate.await.map_err(|_| gone)?;
    passed.map_err(|error| errors::fetch_gate(error.kind, GATE_CODES_OF_FETCH))?;
    let led = broker.hosts.with(key, move |host| {
        let view = host.view(key).map_err(|error| errors::replica(&error))?;
        let leads = view.role == Role::Leader && view.confirmed && !view.stopped;
        if leads { Ok(view.leader_epoch) } else { Err(gone) }
    });
    led.await.map_err(|_| gone)?
}
