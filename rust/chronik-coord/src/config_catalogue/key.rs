//! One configuration key: what it is called, what it takes, what it does here.
//!
//! The builder functions are `const`, so the tables in the neighbouring files are plain data, one
//! line per key.

/// The type of a value, with Kafka's numbers (DescribeConfigs v3+).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigKind {
    /// `true` or `false`.
    Boolean = 1,
    /// Any text.
    String = 2,
    /// A 32-bit integer.
    Int = 3,
    /// A 16-bit integer.
    Short = 4,
    /// A 64-bit integer.
    Long = 5,
    /// A floating-point number.
    Double = 6,
    /// Texts separated by commas.
    List = 7,
    /// The name of a Java class; accepted and kept as text.
    Class = 8,
    /// A secret, never shown.
    Password = 9,
}

/// When a broker key may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only at start.
    ReadOnly,
    /// At run time, for one broker or for all of them.
    PerBroker,
    /// At run time, for one broker or for all of them; meant for all.
    ClusterWide,
}

/// What a key does in chronik.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Something reads it.
    Works,
    /// Known to Kafka, kept and shown, and read by nothing here.
    None,
}

/// What a value must satisfy beyond its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Nothing.
    Any,
    /// A number of at least this.
    AtLeast(i64),
    /// A number of at least this, or -1.
    MinusOneOrAtLeast(i64),
    /// A number within these bounds, both included.
    Between(i64, i64),
    /// A floating-point number from 0 to 1.
    Fraction,
    /// Where a share group may begin: see [`super::AutoOffsetReset`].
    OffsetReset,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words only.
    ListOf(&'static [&'static str]),
    /// `false`, because the promises of this system exclude the alternative.
    OnlyFalse,
}

/// One key of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfigKey {
    /// Kafka's name.
    pub name: &'static str,
    /// The type of its value.
    pub kind: ConfigKind,
    /// The value in force when nobody sets one; `None` for Kafka's null.
    pub default: Option<&'static str>,
    /// What a value must satisfy.
    pub rule: Rule,
    /// When it may change; topic and group keys always may.
    pub scope: Scope,
    /// Whether its value is kept from clients.
    pub sensitive: bool,
    /// What it does here.
    pub effect: Effect,
}

impl ConfigKey {
    const fn new(name: &'static str, kind: ConfigKind, default: Option<&'static str>) -> Self {
        let sensitive = matches!(kind, ConfigKind::Password);
        ConfigKey {
            name,
            kind,
            default,
            rule: Rule::Any,
            scope: Scope::ReadOnly,
            sensitive,
            effect: Effect::None,
        }
    }

    /// Whether Kafka keeps the key from listings: it is shown only where it is set.
    pub fn is_internal(&self) -> bool {
        self.name.starts_with("internal.") || self.name.starts_with("unstable.")
    }

    /// A sentence or two for people: what the value must be, when it may change, what it does here.
    pub fn documentation(&self) -> String {
        let rule = match self.rule {
            Rule::Any => String::new(),
            Rule::AtLeast(least) => format!(", at least {least}"),
            Rule::MinusOneOrAtLeast(least) => format!(", -1 or at least {least}"),
            Rule::Between(least, most) => format!(", {least} to {most}"),
            Rule::Fraction => ", 0 to 1".to_owned(),
            Rule::OffsetReset => ", earliest, latest or by_duration:PnDTnHnMn.nS".to_owned(),
            Rule::OneOf(words) => format!(", one of {}", words.join(", ")),
            Rule::ListOf(words) => format!(" of {}", words.join(", ")),
            Rule::OnlyFalse => ", always false".to_owned(),
        };
        let effect = match self.effect {
            Effect::Works => "",
            Effect::None => " Known to Kafka; has no effect in chronik.",
        };
        format!("{:?}{rule}.{effect}", self.kind)
    }

    const fn rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    pub(super) const fn at_least(self, least: i64) -> Self {
        self.rule(Rule::AtLeast(least))
    }

    pub(super) const fn minus_one_or_at_least(self, least: i64) -> Self {
        self.rule(Rule::MinusOneOrAtLeast(least))
    }

    pub(super) const fn between(self, least: i64, most: i64) -> Self {
        self.rule(Rule::Between(least, most))
    }

    pub(super) const fn fraction(self) -> Self {
        self.rule(Rule::Fraction)
    }

    pub(super) const fn offset_reset(self) -> Self {
        self.rule(Rule::OffsetReset)
    }

    pub(super) const fn one_of(self, words: &'static [&'static str]) -> Self {
        self.rule(Rule::OneOf(words))
    }

    pub(super) const fn list_of(self, words: &'static [&'static str]) -> Self {
        self.rule(Rule::ListOf(words))
    }

    pub(super) const fn only_false(self) -> Self {
        self.rule(Rule::OnlyFalse)
    }

    pub(super) const fn per_broker(mut self) -> Self {
        self.scope = Scope::PerBroker;
        self
    }

    pub(super) const fn cluster_wide(mut self) -> Self {
        self.scope = Scope::ClusterWide;
        self
    }

    pub(super) const fn works(mut self) -> Self {
        self.effect = Effect::Works;
        self
    }
}

pub(super) const fn boolean(name: &'static str, default: &'static str) -> ConfigKey {
    ConfigKey::new(name, ConfigKind::Boolean, Some(default))
}

pub(super) const fn string(name: &'static str, default: &'static str) -> ConfigKey {
    ConfigKey::new(name, ConfigKind::String, Some(default))
}

pub(super) const fn int(name: &'static str, default: &'static str) -> ConfigKey {
    ConfigKey::new(name, ConfigKind::Int, Some(default))
}

pub(super) const fn short(name: &'static str, default: &'static str) -> ConfigKey {
    ConfigKey::new(name, ConfigKind::Short, Some(default))
}

pub(super) const fn long(name: &'static str, default: &'static str) -> ConfigKey {
    ConfigKey::new(name, ConfigKind::Long, Some(default))
}

pub(super) const fn double(name: &'static str, default: &'static str) -> ConfigKey {
    ConfigKey::new(name, ConfigKind::Double, Some(default))
}

pub(super) const fn list(name: &'static str, default: &'static str) -> ConfigKey {
    ConfigKey::new(name, ConfigKind::List, Some(default))
}

pub(super) const fn class(name: &'static str, default: &'static str) -> ConfigKey {
    ConfigKey::new(name, ConfigKind::Class, Some(default))
}

/// A key whose default is Kafka's null.
pub(super) const fn unset(name: &'static str, kind: ConfigKind) -> ConfigKey {
    ConfigKey::new(name, kind, None)
}
