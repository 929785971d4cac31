//! What the handlers of group requests share: find the coordinator, carry the request there or ask it, pick the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_coord::groups::{Caller, GroupCall, GroupReply, GroupRequest, Groups};
use chronik_coord::{Endpoint, Topic};
use chronik_wire::api::Request;
use chronik_wire::error_code::ErrorCode;
use chronik_wire::types::{NodeId, PartitionKey};

use super::kinds::{Kind, Verified};
use super::{NoCoordinator, topics};
use crate::connection::CloseReason;
use crate::counters::count;
use crate::handlers::{Answer, Context};
use crate::limits;
use crate::topics::{Absent, TopicName};

const WRONG_REPLY: CloseReason = CloseReason::Unanswerable("a coordinator answered another question");

impl Context {
    /// Who asks, as the machine of groups wants to know it.
    fn caller(&self) -> Caller {
        Caller {
            version: self.version,
            client_id: self.client_id.clone().unwrap_or_default(),
            client_host: format!("/{}", self.connection.peer.ip()),
        }
    }

    /// Has a group's coordinator answer, if this node is it.
    pub(crate) async fn ask_group(&self, group: &str, call: GroupCall) -> GroupReply {
        self.ask_coordinator::<Groups>(group, GroupRequest { call, caller: self.caller() }).await
    }

    /// Has a group's coordinator take what is part of a transaction.
    pub(crate) async fn ask_group_verified(
        &self,
        group: &str,
        call: GroupCall,
        verified: Option<Verified>,
    ) -> GroupReply {
        let request = GroupRequest { call, caller: self.caller() };
        self.ask_coordinator_verified::<Groups>(group, request, verified).await
    }

    /// Has the coordinator of a name answer, if this node is it.
    pub(crate) async fn ask_coordinator<K: Kind>(&self, name: &str, request: K::Request) -> K::Reply {
        self.ask_coordinator_verified::<K>(name, request, None).await
    }

    async fn ask_coordinator_verified<K: Kind>(
        &self,
        name: &str,
        request: K::Request,
        verified: Option<Verified>,
    ) -> K::Reply {
        match self.broker.coordinated_here::<K>(name) {
            Ok(key) => {
                let refusal = K::refusal(&request, ErrorCode::NOT_COORDINATOR);
                let reply = self.broker.ask_office_verified::<K>(key, request, verified);
                reply.await.unwrap_or(refusal)
            }
            Err(nobody) => {
                count(&self.broker.node.counters.coordinator_refusals);
                K::refusal(&request, nobody.code())
            }
        }
    }

    /// Asks every coordinator of a kind that this node should have, one request each.
    ///
    /// # Errors
    /// 14: one of them is not in office yet.
    pub(crate) async fn ask_all_here<K: Kind>(
        &self,
        request: impl Fn() -> K::Request,
    ) -> Result<Vec<K::Reply>, ErrorCode> {
        let own = self.broker.node.config.node;
        let mut replies = Vec::new();
        for key in topics::partitions(&self.broker.node.image(), K::TOPIC) {
            if self.broker.coordinator_node(key) == Some(own) {
                let reply = self.broker.ask_office::<K>(key, request()).await;
                replies.push(reply.ok_or(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)?);
            }
        }
        Ok(replies)
    }

    /// The same of groups.
    pub(crate) async fn ask_all_groups_here(
        &self,
        call: impl Fn() -> GroupCall,
    ) -> Result<Vec<GroupReply>, ErrorCode> {
        self.ask_all_here::<Groups>(|| GroupRequest { call: call(), caller: self.caller() }).await
    }

    /// The address of a node for this client.
    pub(crate) fn address_of(&self, node: NodeId) -> Option<Endpoint> {
        let image = self.broker.node.image();
        let known = image.brokers.get(&node)?;
        let pinned = known.pinned.as_ref().filter(|_| self.connection.pinned);
        Some(pinned.unwrap_or(&known.endpoint).clone())
    }

    /// Refuses a request that names more groups than anybody has.
    pub(crate) fn check_group_count(&self, count: usize) -> Result<(), CloseReason> {
        if count > limits::REQUEST_GROUPS_MAX {
            return Err(CloseReason::Unanswerable("a request names too many groups"));
        }
        Ok(())
    }

    /// Describes groups one after the other, each at its coordinator: here, or, on the pinned address, wherever that is.
    /// `alone` asks for one group, `pick` and `results` take it out of what comes back.
    pub(crate) async fn describe_groups<Q: Request, G>(
        &self,
        group_ids: Vec<String>,
        alone: impl Fn(String) -> Q,
        results: impl Fn(Q::Response) -> Vec<G>,
        call: impl Fn(String) -> GroupCall,
        pick: impl Fn(GroupReply) -> Option<G>,
    ) -> Result<Vec<G>, CloseReason> {
        self.check_group_count(group_ids.len())?;
        let mut groups = Vec::with_capacity(group_ids.len());
        for group in group_ids {
            match self.carry::<Groups, Q>(&group, &alone(group.clone())).await {
                Some(response) => groups.extend(results(response).into_iter().next()),
                None => groups.extend(pick(self.ask_group(&group, call(group.clone())).await)),
            }
        }
        Ok(groups)
    }

    /// The topics of the partitions that a request to a coordinator names, in their order.
    ///
    /// # Errors
    /// Each on its own: the code for what does not exist; 14, so that the client tries again, where that could not be
    /// found out.
    pub(crate) async fn topics_of(&self, wanted: &[(TopicName, i32)]) -> Vec<Result<Arc<Topic>, ErrorCode>> {
        let deadline_ms = self.gate_deadline_ms();
        let found = self.broker.look_up(deadline_ms, wanted, |_, _, target| target.topic).await;
        let topic = |found: Result<Arc<Topic>, Absent>| {
            found.map_err(|absent| match absent {
                Absent::Unknown(code) => code,
                Absent::Unconfirmed => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            })
        };
        found.into_iter().map(topic).collect()
    }

    /// Carries a request to every other node that has coordinators of a kind.
    pub(crate) async fn carry_to_all<K: Kind, Q: Request>(&self, request: &Q) -> Vec<Option<Q::Response>> {
        let own = self.broker.node.config.node;
        let mut others: BTreeMap<NodeId, PartitionKey> = BTreeMap::new();
        for key in topics::partitions(&self.broker.node.image(), K::TOPIC) {
            if let Some(node) = self.broker.coordinator_node(key).filter(|node| *node != own) {
                others.entry(node).or_insert(key);
            }
        }
        let mut answers = Vec::with_capacity(others.len());
        for other in others {
            let client_id = self.client_id.clone();
            answers.push(self.broker.forward_to_coordinator(other, self.version, client_id, request).await);
        }
        answers
    }

    /// Answers a request about one group: at its coordinator, or, on the pinned address, wherever that is.
    pub(crate) async fn answer_for_group<Q: Request>(
        self,
        group: String,
        request: Q,
        call: impl FnOnce(Q) -> GroupCall,
        pick: impl FnOnce(GroupReply) -> Option<Q::Response>,
    ) -> Answer<Q::Response> {
        if let Some(response) = self.carry::<Groups, Q>(&group, &request).await {
            return Ok(Some(response));
        }
        pick(self.ask_group(&group, call(request)).await).map(Some).ok_or(WRONG_REPLY)
    }

    /// On the pinned address: the answer of a name's coordinator at another node, if there is one that answers.
    pub(crate) async fn carry<K: Kind, Q: Request>(&self, name: &str, request: &Q) -> Option<Q::Response> {
        if !self.connection.pinned {
            return None;
        }
        match self.broker.coordinated_here::<K>(name) {
            Err(NoCoordinator::Elsewhere(node, key)) => {
                let client_id = self.client_id.clone();
                self.broker.forward_to_coordinator((node, key), self.version, client_id, request).await
            }
            _ => None,
        }
    }
}
