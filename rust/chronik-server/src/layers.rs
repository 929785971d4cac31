//! One setting, several places that may set it: flag before environment before file before default.
//!
//! A setting's text is parsed by one function wherever it comes from, and a text that does not parse is a mistake that
//! names its place.

use std::collections::BTreeMap;
use std::fmt;

use crate::env::Variable;
use crate::file::ConfigFile;
use crate::findings::Findings;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A command-line flag.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// A file and its line.
    File(String),
    /// Nobody set it.
    Default,
    /// It follows from another setting.
    Derived(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(text) | Source::Environment(text) => f.write_str(text),
            Source::File(text) | Source::Derived(text) => f.write_str(text),
            Source::Default => f.write_str("default"),
        }
    }
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value in force.
    pub value: T,
    /// Its origin.
    pub source: Source,
}

impl<T> Sourced<T> {
    /// A value nobody set.
    pub(crate) fn default_value(value: T) -> Sourced<T> {
        Sourced { value, source: Source::Default }
    }

    /// A value that follows from `from`.
    pub(crate) fn derived(value: T, from: impl Into<String>) -> Sourced<T> {
        Sourced { value, source: Source::Derived(from.into()) }
    }
}

/// One setting's names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Setting {
    /// The flag, with its dashes.
    pub(crate) flag: Option<&'static str>,
    /// The environment variable.
    pub(crate) variable: Option<Variable>,
    /// The key in the file.
    pub(crate) key: Option<&'static str>,
}

/// All places together.
pub(crate) struct Layers<'a> {
    /// Flags by their names with dashes.
    pub(crate) flags: &'a BTreeMap<&'static str, String>,
    /// The environment.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// The file, empty if there is none.
    pub(crate) file: ConfigFile,
}

impl Layers<'_> {
    /// The text in force. An empty variable counts as unset, which is how shells and compose files unset one.
    pub(crate) fn text(&self, setting: Setting) -> Option<Sourced<String>> {
        if let Some(flag) = setting.flag
            && let Some(text) = self.flags.get(flag)
        {
            return Some(Sourced { value: text.clone(), source: Source::Flag(flag) });
        }
        if let Some(variable) = setting.variable
            && let Some(text) = self.environment.get(variable.name)
            && !text.trim().is_empty()
        {
            return Some(Sourced { value: text.clone(), source: Source::Environment(variable.name) });
        }
        let written = self.file.values.get(setting.key?)?;
        Some(Sourced { value: written.text.clone(), source: Source::File(written.place.clone()) })
    }

    /// The value in force, or `None` if nobody set it or what they set is a mistake, which is recorded.
    pub(crate) fn value<T, E: fmt::Display>(
        &self,
        setting: Setting,
        findings: &mut Findings,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Sourced<T>> {
        let text = self.text(setting)?;
        match parse(text.value.trim()) {
            Ok(value) => Some(Sourced { value, source: text.source }),
            Err(error) => {
                let place = match (&text.source, setting.key) {
                    (Source::File(place), Some(key)) => format!("{place}: {key}"),
                    (source, _) => source.to_string(),
                };
                findings.mistake(place, error.to_string());
                None
            }
        }
    }
}

/// Parses a whole number within a range.
pub(crate) fn number(smallest: u64, largest: u64) -> impl FnOnce(&str) -> Result<u64, String> {
    move |text| match text.parse::<u64>() {
        Ok(number) if (smallest..=largest).contains(&number) => Ok(number),
        _ => Err(format!("\"{text}\" is not a whole number from {smallest} to {largest}")),
    }
}

/// Parses a port.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a port; a port is a number from 0 to 65535"))
}

/// Parses a switch, in the spellings that environments use.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("\"{text}\" is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env;

    const NODE_ID: Setting =
        Setting { flag: Some("--node-id"), variable: Some(env::NODE_ID), key: Some("node_id") };

    fn look(flag: Option<&str>, variable: Option<&str>, file: &str) -> (Option<Sourced<u64>>, Findings) {
        let mut findings = Findings::default();
        let flags = flag.map(|text| ("--node-id", text.to_owned())).into_iter().collect();
        let environment =
            variable.map(|text| ("CHRONIK_NODE_ID".to_owned(), text.to_owned())).into_iter().collect();
        let file = ConfigFile::read("node.toml", file, &mut findings);
        let layers = Layers { flags: &flags, environment: &environment, file };
        let value = layers.value(NODE_ID, &mut findings, number(0, 9));
        (value, findings)
    }

    #[test]
    fn flag_before_environment_before_file() {
        let all = look(Some("1"), Some("2"), "node_id = 3").0.unwrap();
        assert_eq!((all.value, all.source), (1, Source::Flag("--node-id")));
        let no_flag = look(None, Some("2"), "node_id = 3").0.unwrap();
        assert_eq!((no_flag.value, no_flag.source), (2, Source::Environment("CHRONIK_NODE_ID")));
        let file_only = look(None, Some(" "), "\nnode_id = 3").0.unwrap();
        assert_eq!((file_only.value, file_only.source), (3, Source::File("node.toml:2".into())));
        assert_eq!(look(None, None, "").0, None);
    }

    #[test]
    fn a_mistake_names_its_place_and_does_not_fall_through() {
        for (flag, variable, file, line) in [
            (Some("x"), None, "node_id = 3", "--node-id: \"x\" is not a whole number from 0 to 9"),
            (None, Some("10"), "", "CHRONIK_NODE_ID: \"10\" is not a whole number from 0 to 9"),
            (None, None, "node_id = -1", "node.toml:1: node_id: \"-1\" is not a whole number from 0 to 9"),
        ] {
            let (value, findings) = look(flag, variable, file);
            assert_eq!(value, None);
            assert_eq!(findings.mistakes[0].to_string(), line);
        }
    }

    #[test]
    fn switches_have_their_usual_spellings() {
        assert_eq!(switch("TRUE"), Ok(true));
        assert_eq!(switch("0"), Ok(false));
        assert!(switch("maybe").is_err());
    }
}
