//! How a desktop reads: the short form of `GET …/desktops`, and the detailed form of the other two reads.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cloud::derived_id;
use crate::cloud::desktops::{DesktopRecord, Phase, failed_task};
use crate::cloud::operation::Operation;
use crate::world::{ChargingMode, DeletedDesktop, Desktop, EmptyStatus, World};

/// The desktop in a response of `operation`; `None` if it is gone and no longer listed.
pub(super) fn render(
    record: &DesktopRecord,
    now: Timestamp,
    world: &World,
    operation: Operation,
) -> Option<Value> {
    let desktop = record.state_at(now);
    let mut written = common(record, now, world)?;
    let rest = if operation == Operation::ListDesktops {
        short(desktop, world)
    } else {
        detailed(desktop, record.shown_phase(now))
    };
    for (field, value) in rest {
        written[field] = value;
    }
    for field_override in world.switches.fields.iter().chain(&desktop.fields) {
        field_override.apply(&mut written, operation);
    }
    Some(written)
}

/// Its `status`, empty when it has none.
pub(super) fn status(record: &DesktopRecord, now: Timestamp, world: &World) -> String {
    let status = status_and_task(record, now, world).map(|(status, _)| status);
    status
        .as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The fields that both forms have.
fn common(record: &DesktopRecord, now: Timestamp, world: &World) -> Option<Value> {
    let desktop = record.state_at(now);
    let (status, task) = status_and_task(record, now, world)?;
    let tags = desktop.tags.iter();
    let tags: Vec<Value> = tags
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    let attached: Vec<Value> = desktop
        .attached()
        .iter()
        .map(|user| {
            json!({
                "user_id": derived_id(world.seed, "user", &user.name),
                "user_name": user.name,
                "user_group": user.group.as_ref().unwrap_or(&desktop.user_group),
                "type": user.kind,
            })
        })
        .collect();
    Some(json!({
        "desktop_id": desktop.id,
        "computer_name": desktop.name,
        "os_host_name": desktop.name,
        "user_name": desktop.user,
        "user_group": desktop.user_group,
        "attach_user_infos": attached,
        "status": status,
        "task_status": task,
        "desktop_type": desktop.kind,
        "in_maintenance_mode": desktop.maintenance,
        "tags": tags,
        "enterprise_project_id": "0",
        "ou_name": "Default",
        "domain_status": 1,
        "bill_resource_id": derived_id(world.seed, "bill", &desktop.id),
    }))
}

/// The fields of the short form only; its times have no zone.
fn short(desktop: &Desktop, world: &World) -> Vec<(&'static str, Value)> {
    let account = world
        .projects
        .iter()
        .find(|project| project.id == desktop.project)
        .and_then(|project| {
            world
                .accounts
                .iter()
                .find(|account| account.name == project.account)
        });
    let mut fields = vec![
        ("created", time(desktop, "%Y-%m-%d %H:%M:%S")),
        ("connect_status", desktop.login_status.as_str().into()),
        ("project_id", desktop.project.as_str().into()),
        ("domain_id", account.map(|account| account.id.as_str()).into()),
    ];
    fields.extend(desktop.pool_id().map(|pool| ("pool_id", pool.into())));
    fields
}

/// The fields of the detailed form only.
fn detailed(desktop: &Desktop, phase: Phase) -> Vec<(&'static str, Value)> {
    let (charge_mode, charging_mode) = match desktop.charging_mode {
        ChargingMode::PrePaid => ("0", "1"),
        ChargingMode::PostPaid => ("1", "0"),
    };
    let attach_state = match phase {
        Phase::Gone => "DEATTACHED",
        _ if desktop.attached().is_empty() => "UNATTACH",
        _ => "ATTACHED",
    };
    let process = match phase {
        Phase::Deleting | Phase::Emptied => 50.into(),
        _ => Value::Null,
    };
    let product = json!({
        "product_id": "workspace.k.large2.windows",
        "flavor_id": "rs3.large.2",
        "type": "BASE",
        "cpu": "2",
        "memory": "4096",
        "descriptions": "CPU:2vCPUs,Memory:4GB",
        "charge_mode": charge_mode,
    });
    let metadata = json!({"charging_mode": charging_mode, "os_type": "Windows", "os_bit": "64"});
    let mut fields = vec![
        ("created", time(desktop, "%Y-%m-%dT%H:%M:%S%.3fZ")),
        ("login_status", desktop.login_status.as_str().into()),
        ("attach_state", attach_state.into()),
        ("product_id", product["product_id"].clone()),
        ("product", product),
        ("metadata", metadata),
        ("is_freeze", desktop.frozen.into()),
        ("process", process),
    ];
    fields.extend(desktop.order().map(|order| ("order_id", order.into())));
    fields
}

fn time(desktop: &Desktop, form: &str) -> Value {
    desktop.created.strftime(form).to_string().into()
}

/// The two fields for the state of a desktop; `None` if it is gone and no longer listed.
fn status_and_task(record: &DesktopRecord, now: Timestamp, world: &World) -> Option<(Value, String)> {
    let desktop = record.state_at(now);
    let switches = &world.switches;
    let spelled = |status: &str| -> Value {
        if switches.lower_case_status {
            status.to_lowercase().into()
        } else {
            status.into()
        }
    };
    let reads = match record.shown_phase(now) {
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
