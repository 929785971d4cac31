//! What the members of a group are subscribed to: names, patterns and what they match, and whether the cluster's topics
//! have changed under them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_wire::types::TopicId;

use crate::apply::topics::INTERNAL_TOPICS;
use crate::groups::context::Context;
use crate::groups::record::GroupRecord;
use crate::groups::state::{ConsumerGroup, Member, ResolvedPattern};
use crate::image::MetaImage;
use crate::pattern::Pattern;

/// A hash over topics by name, id and size: 64-bit FNV-1a, which is the same everywhere and for ever.
pub(crate) fn topics_hash<'a>(image: &MetaImage, names: impl IntoIterator<Item = &'a str>) -> i64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = BASIS;
    let mut any = false;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    };
    for topic in names.into_iter().filter_map(|name| image.topic(name)) {
        any = true;
        eat(topic.name.as_bytes());
        eat(&topic.id.0.to_be_bytes());
        eat(&topic.partitions.len().to_be_bytes());
    }
    if any { hash.cast_signed() } else { 0 }
}

/// Resolves the members' patterns anew, writes down what is different, and forgets those nobody uses. Says whether any
/// pattern matches other topics than before.
pub(super) fn resolve_patterns(ctx: &mut Context<'_>, group: &Arc<str>) -> bool {
    let Some(consumer) = ctx.state.consumer(group) else { return false };
    let used: BTreeSet<&str> = consumer
        .members
        .values()
        .filter_map(|member| member.metadata.subscribed_topic_regex.as_deref())
        .filter(|pattern| !pattern.is_empty())
        .collect();
    let mut changes: BTreeMap<Arc<str>, Option<ResolvedPattern>> = BTreeMap::new();
    for text in &used {
        let resolved = resolved(ctx, text);
        let known = consumer.patterns.get(*text);
        if known.is_none_or(|known| known.topics != resolved.topics) {
            changes.insert(Arc::from(*text), Some(resolved));
        }
    }
    for text in consumer.patterns.keys().filter(|text| !used.contains(&***text)) {
        changes.insert(text.clone(), None);
    }
    let mut others = false;
    for (pattern, resolved) in changes {
        others |= resolved.is_some();
        let value = resolved.map(|resolved| resolved.to_record());
        ctx.write(GroupRecord::Pattern { group: group.clone(), pattern, value });
    }
    others
}

/// What a pattern matches now. Internal topics are nobody's to subscribe to by accident.
fn resolved(ctx: &Context<'_>, text: &str) -> ResolvedPattern {
    let image = &ctx.config.topics;
    let pattern = Pattern::new(text);
    let matches = |name: &str| pattern.as_ref().is_some_and(|pattern| pattern.matches(name));
    let topics = image
        .topics()
        .filter(|topic| !INTERNAL_TOPICS.contains(&&*topic.name) && matches(&topic.name))
        .map(|topic| topic.name.to_string())
        .collect();
    ResolvedPattern { topics, version: image.offset.0, timestamp_ms: ctx.moment.wall_ms }
}

/// The ids of the topics a member wants, as far as they exist.
pub(super) fn subscribed_ids(image: &MetaImage, group: &ConsumerGroup, member: &Member) -> BTreeSet<TopicId> {
    group
        .subscription(member)
        .into_iter()
        .filter_map(|name| image.topic(name))
        .map(|topic| topic.id)
        .collect()
}
