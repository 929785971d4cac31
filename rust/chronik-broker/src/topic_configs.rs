//! Topic configuration as the hot path needs it: resolved and parsed once per change of the metadata, not per batch.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use chronik_coord::{MetaImage, Topic, TopicConfig};
use chronik_wire::types::TopicId;

use crate::config::BrokerConfig;

/// The resolved configurations under one image. Bounded by the number of topics, which the controller bounds.
#[derive(Default)]
pub(crate) struct TopicConfigs {
    cached: RefCell<Cached>,
}

#[derive(Default)]
struct Cached {
    image: Option<Arc<MetaImage>>,
    configs: HashMap<TopicId, Rc<TopicConfig>>,
}

impl TopicConfigs {
    /// The configuration of a topic in `image`.
    pub(crate) fn get(
        &self,
        image: &Arc<MetaImage>,
        topic: &Topic,
        config: &BrokerConfig,
    ) -> Rc<TopicConfig> {
        let mut cached = self.cached.borrow_mut();
        if !cached.image.as_ref().is_some_and(|known| Arc::ptr_eq(known, image)) {
            cached.image = Some(Arc::clone(image));
            cached.configs.clear();
        }
        let resolve = || Rc::new(image.effective_topic_config(topic, config.node, &config.broker_config));
        Rc::clone(cached.configs.entry(topic.id).or_insert_with(resolve))
    }
}
