//! DescribeClientQuotas (key 48), versions 0-1.
//!
//! Behaviour: the quotas whose entity matches every component asked about, as of the metadata gate; `strict` leaves out
//! those with other parts as well. A kind of entity that Kafka does not know is 35, a filter that makes no sense 42.
//! Versions: 1 flexible.
//! Tests: tests/administration/quotas.rs.

use std::collections::BTreeMap;

use chronik_coord::{EntityKind, ItemError, QuotaEntity};
use chronik_wire::error_code::ErrorCode;
use chronik_wire::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData, EntryData,
    ValueData,
};

use super::{Answer, Context};
use crate::cluster_picture::ClusterPicture;
use crate::config_admin::refusal;

/// This name.
const EXACT: i8 = 0;
/// The default of the kind.
const DEFAULT: i8 = 1;
/// Any name, the default included.
const SPECIFIED: i8 = 2;

pub(crate) async fn handle(
    context: Context,
    request: DescribeClientQuotasRequest,
) -> Answer<DescribeClientQuotasResponse> {
    let filter = match filter(&request.components) {
        Ok(filter) => filter,
        Err(error) => return refused(error),
    };
    let picture = ClusterPicture::take(&context).await;
    if !picture.confirmed {
        let message = "the metadata cannot be confirmed; ask another node".to_owned();
        return refused(ItemError { code: ErrorCode::LEADER_NOT_AVAILABLE, message });
    }
    let matching = picture.image.quotas.iter().filter(|(entity, _)| matches(&filter, request.strict, entity));
    let entries = matching.map(|(entity, quotas)| EntryData {
        entity: entity
            .iter()
            .map(|(kind, name)| EntityData { entity_type: kind.name().to_owned(), entity_name: name.clone() })
            .collect(),
        values: quotas
            .iter()
            .map(|(key, value)| ValueData { key: key.clone(), value: value.get() })
            .collect(),
    });
    let response = DescribeClientQuotasResponse { entries: Some(entries.collect()), ..Default::default() };
    Ok(Some(response))
}

fn refused(error: ItemError) -> Answer<DescribeClientQuotasResponse> {
    Ok(Some(DescribeClientQuotasResponse {
        error_code: error.code,
        error_message: Some(error.message),
        ..DescribeClientQuotasResponse::default()
    }))
}

/// What the name of one kind must be.
enum Wanted {
    Name(String),
    Default,
    Anything,
}

fn filter(components: &[ComponentData]) -> Result<BTreeMap<EntityKind, Wanted>, ItemError> {
    let mut filter = BTreeMap::new();
    for component in components {
        let shown = &component.entity_type;
        if shown.is_empty() {
            return Err(refusal("a component has no kind; name user, client-id or ip".to_owned()));
        }
        let kind = EntityKind::from_name(shown).ok_or_else(|| ItemError {
            code: ErrorCode::UNSUPPORTED_VERSION,
            message: format!("{shown:?} cannot have quotas; name user, client-id or ip"),
        })?;
        let wanted = match (component.match_type, &component.match_name) {
            (EXACT, Some(name)) => Wanted::Name(name.clone()),
            (DEFAULT, None) => Wanted::Default,
            (SPECIFIED, None) => Wanted::Anything,
            (EXACT | DEFAULT | SPECIFIED, _) => {
                return Err(refusal(format!(
                    "the component {shown} needs a name for match type 0, and for no other"
                )));
            }
            (unknown, _) => {
                return Err(refusal(format!(
                    "match type {unknown} is unknown; use 0 (name), 1 (default) or 2 (any)"
                )));
            }
        };
        if filter.insert(kind, wanted).is_some() {
            return Err(refusal(format!("the component {shown} is named more than once")));
        }
    }
    if filter.contains_key(&EntityKind::Ip) && filter.len() > 1 {
        return Err(refusal("an ip has quotas of its own, not together with a user or client-id".to_owned()));
    }
    Ok(filter)
}

fn matches(filter: &BTreeMap<EntityKind, Wanted>, strict: bool, entity: &QuotaEntity) -> bool {
    let met = |(kind, wanted): (&EntityKind, &Wanted)| {
        entity.get(kind).is_some_and(|name| match wanted {
            Wanted::Name(wanted) => name.as_ref() == Some(wanted),
            Wanted::Default => name.is_none(),
            Wanted::Anything => true,
        })
    };
    filter.iter().all(met) && (!strict || entity.len() == filter.len())
}
