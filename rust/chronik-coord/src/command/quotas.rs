//! Commands about quotas of clients, and the entities that quotas belong to.

use std::collections::BTreeMap;

use crate::codec::{CodecError, Coded, Reader, coded_struct};

/// Quotas to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterQuotas {
    /// The changes by entity.
    pub entries: Vec<QuotaChange>,
}
coded_struct!(AlterQuotas { entries: Vec<QuotaChange> });

/// The change of one entity's quotas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaChange {
    /// The entity, as the client named it: kind and name, without a name for the default of its kind.
    pub entity: Vec<(String, Option<String>)>,
    /// What to set, and with `None` to remove, by the quota's name.
    pub ops: Vec<(String, Option<QuotaValue>)>,
}
coded_struct!(QuotaChange {
    entity: Vec<(String, Option<String>)>,
    ops: Vec<(String, Option<QuotaValue>)>,
});

/// What a quota can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntityKind {
    /// An authenticated user.
    User = 0,
    /// A client id.
    ClientId = 1,
    /// An address.
    Ip = 2,
}

impl EntityKind {
    /// Kafka's name of the kind.
    pub const fn name(self) -> &'static str {
        match self {
            EntityKind::User => "user",
            EntityKind::ClientId => "client-id",
            EntityKind::Ip => "ip",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<EntityKind> {
        [EntityKind::User, EntityKind::ClientId, EntityKind::Ip].into_iter().find(|kind| kind.name() == name)
    }
}

impl Coded for EntityKind {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match u8::get(from)? {
            0 => EntityKind::User,
            1 => EntityKind::ClientId,
            2 => EntityKind::Ip,
            value => return Err(CodecError::Unknown { what: "kind of quota entity", value: value.into() }),
        })
    }
}

/// Whose quotas: a name per kind, `None` for the default of the kind.
pub type QuotaEntity = BTreeMap<EntityKind, Option<String>>;

/// What a quota allows: a floating-point number, compared and stored by its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaValue {
    bits: u64,
}
coded_struct!(QuotaValue { bits: u64 });

impl QuotaValue {
    /// From the number.
    pub fn new(value: f64) -> QuotaValue {
        QuotaValue { bits: value.to_bits() }
    }

    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.bits)
    }
}
