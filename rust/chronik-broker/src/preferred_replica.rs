//! KIP-392: which follower a consumer in some rack should read from. A pure choice.
//!
//! A hint to a dead or lagging follower starves clients, so only a follower that is alive, active in the group and in
//! sync qualifies.

use chronik_replica::{ReadView, Role};
use chronik_wire::types::NodeId;

/// The follower to name to a consumer in `rack`, or `None` to serve it here. Never names this node: only followers are
/// looked at. `rack_of` answers for live nodes only.
pub(crate) fn preferred(
    view: &ReadView,
    rack: &str,
    own_rack: Option<&str>,
    rack_of: impl Fn(NodeId) -> Option<String>,
) -> Option<NodeId> {
    if view.role != Role::Leader || !view.confirmed || rack.is_empty() || own_rack == Some(rack) {
        return None;
    }
    view.followers
        .iter()
        .filter(|follower| follower.active && follower.in_sync)
        .filter(|follower| rack_of(follower.node).as_deref() == Some(rack))
        .max_by_key(|follower| (follower.matched, std::cmp::Reverse(follower.node)))
        .map(|follower| follower.node)
}
