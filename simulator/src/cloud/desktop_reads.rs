//! Reads of desktops: one, the short list and the detailed list.

mod filter;
mod render;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::desktops::{DesktopRecord, Phase};
use super::operation::{Call, Operation};
use super::paging::Page;
use super::{Cloud, HandledRequest};
use filter::Filter;

/// Maximum number of rows of a page of the short list, and of the detailed one, for which the manual states a lower
/// limit than the API definition.
const MAX_SHORT_PAGE: usize = 1000;
const MAX_DETAILED_PAGE: usize = 500;

/// `GET /v2/{project_id}/desktops/{desktop_id}`
pub(super) fn show(cloud: &Cloud, now: Timestamp, call: &Call) -> Result<HandledRequest, ApiError> {
    let record = cloud.desktops.find(&call.project, &call.target);
    let desktop = record.and_then(|record| render::render(record, now, &cloud.world, call.operation));
    let desktop = desktop.ok_or_else(|| {
        let message = format!("the desktop {} does not exist", call.target);
        ApiError::workspace(StatusCode::NOT_FOUND, "WKS.00010404", message)
    })?;
    let desktop = if cloud.world.switches.desktop_as_array {
        json!([desktop])
    } else {
        desktop
    };
    Ok(HandledRequest::read(&json!({"desktop": desktop})))
}

/// `GET /v2/{project_id}/desktops` and `GET /v2/{project_id}/desktops/detail`
pub(super) fn list(cloud: &Cloud, now: Timestamp, call: &Call) -> Result<HandledRequest, ApiError> {
    let greatest = match call.operation {
        Operation::ListDesktopsDetail => MAX_DETAILED_PAGE,
        _ => MAX_SHORT_PAGE,
    };
    let page = Page::parse(call, greatest)?;
    let filter = Filter::parse(call, cloud.world.switches.ignore_desktop_filter)?;
    let seen = cloud.world.timings.list_lag.before(now);
    let mut records: Vec<&DesktopRecord> = cloud
        .desktops
        .of_project(&call.project)
        .filter(|record| cloud.world.switches.lists_show_deleted || record.shown_phase(seen) != Phase::Gone)
        .filter(|record| filter.takes(record.state_at(seen)))
        .filter(|record| filter.takes_status(&render::status(record, seen, &cloud.world)))
        .collect();
    filter.sort(&mut records, seen);
    let found: Vec<Value> = records
        .into_iter()
        .filter_map(|record| render::render(record, seen, &cloud.world, call.operation))
        .collect();
    Ok(HandledRequest::read(
        &json!({"total_count": found.len(), "desktops": page.cut(found)}),
    ))
}
