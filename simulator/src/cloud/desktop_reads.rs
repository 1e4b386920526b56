//! Reads of desktops: one, the short list and the detailed list.

mod filter;
mod form;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::operation::{Call, Operation};
use super::paging::Page;
use super::refusal::Refusal;
use super::residents::{Phase, Resident};
use super::{Cloud, Outcome};
use filter::Filter;

/// Maximum number of rows of a page of the short list, and of the detailed one, for which the manual states a lower
/// limit than the API definition.
const SHORT_PAGE: usize = 1000;
const DETAILED_PAGE: usize = 500;

/// `GET /v2/{project_id}/desktops/{desktop_id}`
pub(super) fn show(cloud: &Cloud, now: Timestamp, call: &Call) -> Result<Outcome, Refusal> {
    let resident = cloud.residents.find(&call.project, &call.target);
    let desktop = resident.and_then(|resident| form::written(resident, now, &cloud.world, call.operation));
    let desktop = desktop.ok_or_else(|| {
        let message = format!("the desktop {} does not exist", call.target);
        Refusal::workspace(StatusCode::NOT_FOUND, "WKS.00010404", message)
    })?;
    let desktop = if cloud.world.switches.desktop_as_array {
        json!([desktop])
    } else {
        desktop
    };
    Ok(Outcome::read(&json!({"desktop": desktop})))
}

/// `GET /v2/{project_id}/desktops` and `GET /v2/{project_id}/desktops/detail`
pub(super) fn list(cloud: &Cloud, now: Timestamp, call: &Call) -> Result<Outcome, Refusal> {
    let greatest = match call.operation {
        Operation::ListDesktopsDetail => DETAILED_PAGE,
        _ => SHORT_PAGE,
    };
    let page = Page::parse(call, greatest)?;
    let filter = Filter::parse(call, cloud.world.switches.ignore_desktop_filter)?;
    let seen = cloud.world.timings.list_lag.before(now);
    let mut residents: Vec<&Resident> = cloud
        .residents
        .of_project(&call.project)
        .filter(|resident| {
            cloud.world.switches.lists_show_deleted || resident.shown_phase(seen) != Phase::Gone
        })
        .filter(|resident| filter.takes(resident.at(seen)))
        .filter(|resident| filter.takes_status(&form::status(resident, seen, &cloud.world)))
        .collect();
    filter.sort(&mut residents, seen);
    let found: Vec<Value> = residents
        .into_iter()
        .filter_map(|resident| form::written(resident, seen, &cloud.world, call.operation))
        .collect();
    Ok(Outcome::read(
        &json!({"total_count": found.len(), "desktops": page.cut(found)}),
    ))
}
