//! The query parameters of the two lists of desktops. Those about networks, images and zones are ignored.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::cloud::api_error::ApiError;
use crate::cloud::desktops::DesktopRecord;
use crate::cloud::operation::{Call, Operation};
use crate::cloud::paging::{check_length, check_repeats};
use crate::world::{ChargingMode, Desktop};

/// Filters of both lists.
const COMMON_FILTERS: [&str; 7] = [
    "desktop_id",
    "user_name",
    "computer_name",
    "status",
    "desktop_type",
    "pool_id",
    "tag",
];

/// Which desktops a list holds, and in which order.
pub(super) struct Filter<'a> {
    /// Only these; `None` for all.
    ids: Option<HashSet<&'a str>>,
    users: Users<'a>,
    /// Only with one of these names; empty for all, as of the other lists here.
    names: Vec<&'a str>,
    statuses: Vec<&'a str>,
    types: Vec<&'a str>,
    pools: Vec<&'a str>,
    /// Only with all of these tags.
    tags: Vec<(&'a str, &'a str)>,
    charging_mode: Option<ChargingMode>,
    maintenance: Option<bool>,
    attached: Option<bool>,
    untagged: bool,
    order: Option<Order>,
}

/// Which users a list asks for; the short list takes parts of a name.
enum Users<'a> {
    WithPart(Vec<&'a str>),
    Named(Vec<&'a str>),
}

struct Order {
    by_name: bool,
    descending: bool,
}

impl<'a> Filter<'a> {
    pub(super) fn parse(call: &'a Call, ignore_ids: bool) -> Result<Self, ApiError> {
        for name in ["desktop_id", "user_names", "computer_names"] {
            check_repeats(call, name, 100)?;
        }
        for name in COMMON_FILTERS.iter().chain(&["user_names", "computer_names"]) {
            check_length(call, name, 255)?;
        }
        let detailed = call.operation == Operation::ListDesktopsDetail;
        let values = |name: &'a str| call.values(name).collect::<Vec<_>>();
        let of_detailed = |name: &'a str| if detailed { values(name) } else { Vec::new() };
        let ids: HashSet<&str> = call.values("desktop_id").collect();
        // According to the manual, `user_names` overrides `user_name`.
        let users = match (detailed, of_detailed("user_names")) {
            (false, _) => Users::WithPart(values("user_name")),
            (true, names) if names.is_empty() => Users::Named(values("user_name")),
            (true, names) => Users::Named(names),
        };
        Ok(Self {
            ids: (!ignore_ids && !ids.is_empty()).then_some(ids),
            users,
            names: [values("computer_name"), of_detailed("computer_names")].concat(),
            statuses: values("status"),
            types: parts(call, "desktop_type"),
            pools: parts(call, "pool_id"),
            tags: parts(call, "tag")
                .into_iter()
                .map(|tag| tag.split_once('=').unwrap_or((tag, "")))
                .collect(),
            charging_mode: match of_detailed("charge_mode").first() {
                None => None,
                Some(&"0") => Some(ChargingMode::PrePaid),
                Some(&"1") => Some(ChargingMode::PostPaid),
                Some(other) => return Err(invalid("charge_mode", "0 or 1", other)),
            },
            maintenance: flag("in_maintenance_mode", &of_detailed("in_maintenance_mode"))?,
            attached: flag("user_attached", &of_detailed("user_attached"))?,
            untagged: flag("without_any_tag", &of_detailed("without_any_tag"))? == Some(true),
            order: order(&of_detailed("sort_field"), &of_detailed("sort_type"))?,
        })
    }

    pub(super) fn takes(&self, desktop: &Desktop) -> bool {
        let admits = |wanted: &[&str], value: &str| wanted.is_empty() || wanted.contains(&value);
        let tagged = |(key, value): &(&str, &str)| desktop.tags.get(*key).is_some_and(|held| held == value);
        self.ids
            .as_ref()
            .is_none_or(|ids| ids.contains(desktop.id.as_str()))
            && self.users.take(desktop)
            && admits(&self.names, &desktop.name)
            && admits(&self.types, desktop.kind.as_str())
            && admits(&self.pools, &desktop.pool_id().unwrap_or_default())
            && self.tags.iter().all(tagged)
            && self
                .charging_mode
                .is_none_or(|mode| mode == desktop.charging_mode)
            && self.maintenance.is_none_or(|mode| mode == desktop.maintenance)
            && self
                .attached
                .is_none_or(|attached| attached != desktop.attached().is_empty())
            && (!self.untagged || desktop.tags.is_empty())
    }

    pub(super) fn takes_status(&self, status: &str) -> bool {
        let same = |wanted: &&str| wanted.eq_ignore_ascii_case(status);
        self.statuses.is_empty() || self.statuses.iter().any(same)
    }

    pub(super) fn sort(&self, records: &mut [&DesktopRecord], seen: Timestamp) {
        let Some(order) = &self.order else { return };
        records.sort_by(|one, other| {
            let (one, other) = (one.state_at(seen), other.state_at(seen));
            let ascending = if order.by_name {
                one.name.cmp(&other.name)
            } else {
                one.created.cmp(&other.created)
            };
            if order.descending {
                ascending.reverse()
            } else {
                ascending
            }
        });
    }
}

impl Users<'_> {
    fn take(&self, desktop: &Desktop) -> bool {
        let (Self::WithPart(wanted) | Self::Named(wanted)) = self;
        let is_wanted = |user: &str| {
            wanted.iter().any(|name| match self {
                Self::WithPart(_) => user.contains(name),
                Self::Named(_) => user == *name,
            })
        };
        wanted.is_empty()
            || is_wanted(&desktop.user)
            || desktop.attached().iter().any(|user| is_wanted(&user.name))
    }
}

/// The parts of a comma-separated parameter.
fn parts<'a>(call: &'a Call, name: &'a str) -> Vec<&'a str> {
    call.values(name)
        .flat_map(|value| value.split(','))
        .filter(|part| !part.is_empty())
        .collect()
}

fn flag(name: &str, values: &[&str]) -> Result<Option<bool>, ApiError> {
    match values.first() {
        None => Ok(None),
        Some(value) => match value.parse() {
            Ok(flag) => Ok(Some(flag)),
            Err(_) => Err(invalid(name, "true or false", value)),
        },
    }
}

fn order(fields: &[&str], types: &[&str]) -> Result<Option<Order>, ApiError> {
    let by_name = match fields.first() {
        // The type counts only together with a field.
        None => return Ok(None),
        Some(&"created") => false,
        Some(&"computer_name") => true,
        Some(other) => return Err(invalid("sort_field", "created or computer_name", other)),
    };
    let descending = match types.first() {
        None | Some(&"ASC") => false,
        Some(&"DESC") => true,
        Some(other) => return Err(invalid("sort_type", "ASC or DESC", other)),
    };
    Ok(Some(Order { by_name, descending }))
}

fn invalid(name: &str, wanted: &str, value: &str) -> ApiError {
    ApiError::invalid(format!("{name} must be {wanted}, not `{value}`"))
}
