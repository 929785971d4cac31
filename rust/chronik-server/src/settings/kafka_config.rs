//! Kafka broker configuration by its Kafka names: `[config]` of the file, and `--set name=value` over it.
//!
//! Some of these names mean the same as a setting of ours. Either may be used; both may be used if they agree.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::findings::Findings;
use crate::layers::{Layers, Setting, Source, Sourced};

use super::CheckKafkaKey;

/// The names and values given, each checked by the catalogue.
pub(super) struct KafkaConfig(BTreeMap<String, Sourced<String>>);

impl KafkaConfig {
    /// Reads and checks them, each on its own, so that a finding keeps its place.
    pub(super) fn read(layers: &Layers<'_>, check: &CheckKafkaKey, findings: &mut Findings) -> KafkaConfig {
        let mut config = BTreeMap::new();
        for (name, written) in &layers.file.kafka_config {
            let source = Source::File(written.place.clone());
            config.insert(name.clone(), Sourced { value: written.text.clone(), source });
        }
        for line in layers.flags.get("--set").iter().flat_map(|text| text.lines()) {
            match line.split_once('=') {
                Some((name, value)) => {
                    let value = value.trim().to_owned();
                    config.insert(name.trim().to_owned(), Sourced { value, source: Source::Flag("--set") });
                }
                None => findings.mistake("--set", format!("\"{line}\" has no value; write name=value")),
            }
        }
        for (name, value) in &config {
            let place = value.source.to_string();
            match check(name, &value.value) {
                Ok(warnings) => warnings.into_iter().for_each(|text| findings.warn(&place, text)),
                Err(mistakes) => mistakes.into_iter().for_each(|text| findings.mistake(&place, text)),
            }
        }
        KafkaConfig(config)
    }

    /// A value that has a name of ours and a Kafka name. Two different values are a mistake.
    pub(super) fn either<T: PartialEq + Display>(
        &self,
        layers: &Layers<'_>,
        own: Setting,
        kafka_name: &str,
        findings: &mut Findings,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Sourced<T>> {
        let own = layers.value(own, findings, &parse);
        // Kafka's -1 means "no number of its own". A text that does not parse has been reported by the catalogue.
        let kafka = self.0.get(kafka_name).filter(|kafka| kafka.value != "-1");
        let kafka = kafka.and_then(|kafka| {
            parse(&kafka.value).ok().map(|value| Sourced { value, source: kafka.source.clone() })
        });
        match (own, kafka) {
            (Some(own), Some(kafka)) if own.value != kafka.value => {
                findings.mistake(
                    kafka.source.to_string(),
                    format!(
                        "{kafka_name} is {}, but {} says {}; keep one",
                        kafka.value, own.source, own.value
                    ),
                );
                None
            }
            (own, kafka) => own.or(kafka),
        }
    }

    /// The names and values.
    pub(super) fn into_map(self) -> BTreeMap<String, Sourced<String>> {
        self.0
    }
}
