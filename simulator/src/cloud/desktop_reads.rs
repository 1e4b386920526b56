//! Reads of desktops: one, the short list and the detailed list.

use std::collections::HashSet;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::operation::{Call, Operation};
use super::paging::{Page, check_length, check_repeats};
use super::refusal::Refusal;
use super::residents::{Phase, Resident, failed_task};
use super::{Cloud, Outcome};
use crate::world::{ChargingMode, DeletedDesktop, EmptyStatus, World};

/// `GET /v2/{project_id}/desktops/{desktop_id}`
pub(super) fn show(cloud: &Cloud, now: Timestamp, call: &Call) -> Result<Outcome, Refusal> {
    let world = &cloud.world;
    let resident = cloud.residents.find(&call.project, &call.target);
    let desktop = resident.and_then(|resident| detailed(resident, now, world));
    let desktop = desktop.ok_or_else(|| {
        let message = format!("the desktop {} does not exist", call.target);
        Refusal::workspace(StatusCode::NOT_FOUND, "WKS.00010404", message)
    })?;
    let desktop = if world.switches.desktop_as_array {
        json!([desktop])
    } else {
        desktop
    };
    Ok(Outcome::read(&json!({"desktop": desktop})))
}

/// `GET /v2/{project_id}/desktops` and `GET /v2/{project_id}/desktops/detail`
pub(super) fn list(cloud: &Cloud, now: Timestamp, call: &Call) -> Result<Outcome, Refusal> {
    let page = Page::parse(call, 1000)?;
    let filter = Filter::parse(call, cloud.world.switches.ignore_desktop_filter)?;
    let seen = cloud.world.timings.list_lag.before(now);
    let write = if call.operation == Operation::ListDesktops {
        simple
    } else {
        detailed
    };
    let found: Vec<Value> = cloud
        .residents
        .of_project(&call.project)
        .filter(|resident| {
            cloud.world.switches.lists_show_deleted || resident.shown_phase(seen) != Phase::Gone
        })
        .filter(|resident| filter.takes(resident))
        .filter_map(|resident| write(resident, seen, &cloud.world))
        .filter(|desktop| filter.takes_status(desktop))
        .collect();
    Ok(Outcome::read(
        &json!({"total_count": found.len(), "desktops": page.cut(found)}),
    ))
}

/// The filters that the lists honour; other documented ones are not needed here and are ignored.
struct Filter<'a> {
    /// Only these; `None` for all.
    ids: Option<HashSet<&'a str>>,
    users: Vec<&'a str>,
    names: Vec<&'a str>,
    statuses: Vec<&'a str>,
}

impl<'a> Filter<'a> {
    fn parse(call: &'a Call, ignore_ids: bool) -> Result<Self, Refusal> {
        check_repeats(call, "desktop_id", 100)?;
        for name in ["desktop_id", "user_name", "computer_name", "status"] {
            check_length(call, name, 255)?;
        }
        let ids: HashSet<&str> = call.values("desktop_id").collect();
        let ids = (!ignore_ids && !ids.is_empty()).then_some(ids);
        Ok(Self {
            ids,
            users: call.values("user_name").collect(),
            names: call.values("computer_name").collect(),
            statuses: call.values("status").collect(),
        })
    }

    fn takes(&self, resident: &Resident) -> bool {
        let desktop = &resident.desktop;
        let admits = |wanted: &[&str], value: &str| wanted.is_empty() || wanted.contains(&value);
        self.ids
            .as_ref()
            .is_none_or(|ids| ids.contains(desktop.id.as_str()))
            && admits(&self.users, &desktop.user)
            && admits(&self.names, &desktop.name)
    }

    fn takes_status(&self, desktop: &Value) -> bool {
        let status = desktop["status"].as_str().unwrap_or_default();
        self.statuses.is_empty()
            || self
                .statuses
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(status))
    }
}

/// How the desktop reads, in the form of the short list; `None` when it is gone without a trace.
fn simple(resident: &Resident, now: Timestamp, world: &World) -> Option<Value> {
    let desktop = &resident.desktop;
    let (status, task) = status_and_task(resident, now, world)?;
    let tags: Vec<Value> = desktop
        .tags
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    let attached: Vec<Value> = match desktop.user.as_str() {
        "" => Vec::new(),
        user => vec![json!({"user_name": user, "type": "USER"})],
    };
    Some(json!({
        "desktop_id": desktop.id,
        "computer_name": desktop.name,
        "os_host_name": desktop.name,
        "user_name": desktop.user,
        "attach_user_infos": attached,
        "status": status,
        "task_status": task,
        "connect_status": desktop.login_status,
        "desktop_type": desktop.kind,
        "in_maintenance_mode": desktop.maintenance,
        "tags": tags,
        "enterprise_project_id": "0",
        "created": "2026-01-05 08:00:00",
        "project_id": desktop.project,
    }))
}

/// How the desktop reads, in the detailed form.
fn detailed(resident: &Resident, now: Timestamp, world: &World) -> Option<Value> {
    let desktop = &resident.desktop;
    let mut detailed = simple(resident, now, world)?;
    let gone = resident.shown_phase(now) == Phase::Gone;
    let running = matches!(resident.shown_phase(now), Phase::Deleting | Phase::Emptied);
    let (charge_mode, charging_mode) = match desktop.charging_mode {
        ChargingMode::PrePaid => ("0", "1"),
        ChargingMode::PostPaid => ("1", "0"),
    };
    detailed["login_status"] = desktop.login_status.as_str().into();
    detailed["attach_state"] = match (gone, desktop.user.as_str()) {
        (true, _) => "DEATTACHED",
        (false, "") => "UNATTACH",
        (false, _) => "ATTACHED",
    }
    .into();
    detailed["product"] = json!({"charge_mode": charge_mode});
    detailed["metadata"] = json!({"charging_mode": charging_mode});
    if desktop.charging_mode == ChargingMode::PrePaid {
        detailed["order_id"] = "CS0000000000000000".into();
    }
    detailed["is_freeze"] = if desktop.frozen { "1" } else { "0" }.into();
    detailed["process"] = if running { 50.into() } else { Value::Null };
    detailed["created"] = "2026-01-05T08:00:00.000Z".into();
    Some(detailed)
}

/// The two fields that tell where a desktop stands; `None` when it is gone without a trace.
fn status_and_task(resident: &Resident, now: Timestamp, world: &World) -> Option<(Value, String)> {
    let desktop = &resident.desktop;
    let switches = &world.switches;
    let spelled = |status: &str| -> Value {
        if switches.lower_case_status {
            status.to_lowercase().into()
        } else {
            status.into()
        }
    };
    let reads = match resident.shown_phase(now) {
        Phase::Idle => (spelled(&desktop.status), desktop.task_status.clone()),
        Phase::Deleting => (spelled(&desktop.status), "deleting".to_owned()),
        Phase::Emptied if switches.empty_status == EmptyStatus::Null => (Value::Null, "deleting".to_owned()),
        Phase::Emptied => ("".into(), "deleting".to_owned()),
        Phase::DeleteFailed => (spelled(&desktop.status), failed_task(world).to_owned()),
        Phase::Gone if switches.deleted_desktop == DeletedDesktop::NotFound => return None,
        Phase::Gone => (spelled("DELETED"), String::new()),
    };
    Some(reads)
}
