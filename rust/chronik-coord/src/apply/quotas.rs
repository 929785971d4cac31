//! Quotas of clients: Kafka's rules about entities, names and values. One entity is all or nothing.

use std::collections::BTreeMap;

use chronik_wire::error_code::ErrorCode;

use crate::apply::topics::repeated;
use crate::command::{AlterQuotas, EntityKind, QuotaChange, QuotaEntity, QuotaValue};
use crate::controller::State;
use crate::limits;
use crate::reply::ItemError;

/// What the value of a quota must be.
#[derive(Clone, Copy)]
enum Number {
    Long,
    Int,
    Double,
}

/// The quotas of users and client ids.
const OF_CLIENTS: &[(&str, Number)] = &[
    ("producer_byte_rate", Number::Long),
    ("consumer_byte_rate", Number::Long),
    ("request_percentage", Number::Double),
    ("controller_mutation_rate", Number::Double),
];
/// The quotas of addresses.
const OF_ADDRESSES: &[(&str, Number)] = &[("connection_creation_rate", Number::Int)];

/// Changes the quotas of each entity on its own.
pub(crate) fn alter(state: &mut State, alter: &AlterQuotas) -> Vec<Result<(), ItemError>> {
    let entities: Vec<Result<QuotaEntity, ItemError>> =
        alter.entries.iter().map(|change| entity(&change.entity)).collect();
    let twice = repeated(entities.iter().flatten());
    let mut outcomes = Vec::with_capacity(alter.entries.len());
    for (change, entity) in alter.entries.iter().zip(&entities) {
        outcomes.push(match entity {
            Ok(entity) if twice.contains(entity) => {
                Err(refusal("the entity is named more than once".to_owned()))
            }
            Ok(entity) => alter_one(state, entity, change),
            Err(error) => Err(error.clone()),
        });
    }
    outcomes
}

fn alter_one(state: &mut State, entity: &QuotaEntity, change: &QuotaChange) -> Result<(), ItemError> {
    let mut quotas = state.image.quotas.get(entity).cloned().unwrap_or_default();
    for (name, value) in &change.ops {
        let number = rule(entity, name)?;
        match value {
            Some(value) => {
                check(name, number, value.get())?;
                quotas.insert(name.clone(), *value);
            }
            None => {
                quotas.remove(name);
            }
        }
    }
    let is_new = !state.image.quotas.contains_key(entity);
    if is_new && !quotas.is_empty() && state.image.quotas.len() >= limits::QUOTA_ENTITIES_MAX {
        let message =
            format!("{} entities have quotas already; remove some first", limits::QUOTA_ENTITIES_MAX);
        return Err(ItemError::new(ErrorCode::POLICY_VIOLATION, message));
    }
    state.image.set_quotas(entity.clone(), quotas);
    Ok(())
}

/// The entity a client names: a user, a client id, both, or an address.
fn entity(parts: &[(String, Option<String>)]) -> Result<QuotaEntity, ItemError> {
    let mut entity = QuotaEntity::new();
    for (kind, name) in parts {
        let known = EntityKind::from_name(kind)
            .ok_or_else(|| refusal(format!("{kind:?} cannot have quotas; name user, client-id or ip")))?;
        if name.as_deref() == Some("") {
            return Err(refusal(format!("the name of a {kind} is empty; leave it out for the default")));
        }
        if entity.insert(known, name.clone()).is_some() {
            return Err(refusal(format!("the entity has two names of kind {kind}")));
        }
    }
    if entity.is_empty() {
        return Err(refusal("the entity is empty; name a user, a client-id or an ip".to_owned()));
    }
    if entity.contains_key(&EntityKind::Ip) && entity.len() > 1 {
        return Err(refusal("an ip has quotas of its own, not together with a user or client-id".to_owned()));
    }
    Ok(entity)
}

fn rule(entity: &QuotaEntity, name: &str) -> Result<Number, ItemError> {
    let rules = if entity.contains_key(&EntityKind::Ip) { OF_ADDRESSES } else { OF_CLIENTS };
    let known = rules.iter().find(|(known, _)| *known == name);
    known.map(|(_, number)| *number).ok_or_else(|| {
        let names: Vec<&str> = rules.iter().map(|(name, _)| *name).collect();
        refusal(format!("quota {name:?} is unknown here; name one of {}", names.join(", ")))
    })
}

fn check(name: &str, number: Number, value: f64) -> Result<(), ItemError> {
    let most = match number {
        Number::Int => f64::from(i32::MAX),
        Number::Long => i64::MAX as f64,
        Number::Double => f64::MAX,
    };
    let whole = matches!(number, Number::Double) || value.fract() == 0.0;
    if value > 0.0 && value <= most && whole {
        return Ok(());
    }
    let kind = if matches!(number, Number::Double) { "number" } else { "whole number" };
    Err(refusal(format!("quota {name:?} cannot be {value}; give a {kind} greater than 0 and at most {most}")))
}

fn refusal(message: String) -> ItemError {
    ItemError::new(ErrorCode::INVALID_REQUEST, message)
}

/// All quotas, by whom they are for.
pub(crate) type Quotas = BTreeMap<QuotaEntity, BTreeMap<String, QuotaValue>>;
