//! The Event `GuardrailsRelaxed`: guardrails were relaxed while requests wait, so requests that they blocked may be
//! submitted now.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};

use crate::controllers::Context;
use crate::controllers::events::{EventType, NewEvent};
use crate::crd::WorkspaceProject;
use crate::crd::deletion::DesktopDeletionStatus;
use crate::crd::project::{Approval, Guardrails, Permission};
use crate::plan::attempts::unsettled;

/// The fields of guardrails that permit more than before, or may do so.
pub(super) fn relaxed(before: &Guardrails, after: Option<&Guardrails>) -> Vec<&'static str> {
    let Some(after) = after else {
        return vec!["spec.guardrails was removed"];
    };
    let raised = |before: Option<u32>, after: Option<u32>| match (before, after) {
        (Some(before), Some(after)) => before < after,
        (before, after) => before.is_some() && after.is_none(),
    };
    let allowed = |before, after| before == Permission::Refuse && after == Permission::Allow;
    // Named one by one, so that a new guardrail is not forgotten here.
    let Guardrails {
        approval,
        approval_above,
        max_desktops_per_request,
        max_desktops_per_day,
        allow_force,
        allow_delete_users,
        required_tags,
        protected_tags,
        protected_names,
        pooled_desktops,
        prepaid_desktops,
        connected_sessions,
        require_maintenance,
        windows,
    } = before;
    let approves = |guardrails: &Guardrails| guardrails.approval == Approval::Required;
    let fewer_approvals = approval_above.unwrap_or_default() < after.approval_above.unwrap_or_default();
    let changes = [
        ("approval", *approval == Approval::Required && !approves(after)),
        (
            "approvalAbove",
            approves(before) && approves(after) && fewer_approvals,
        ),
        (
            "maxDesktopsPerRequest",
            raised(*max_desktops_per_request, after.max_desktops_per_request),
        ),
        (
            "maxDesktopsPerDay",
            raised(*max_desktops_per_day, after.max_desktops_per_day),
        ),
        ("allowForce", !allow_force && after.allow_force),
        (
            "allowDeleteUsers",
            !allow_delete_users && after.allow_delete_users,
        ),
        ("requiredTags", lacks_one(&after.required_tags, required_tags)),
        ("protectedTags", lacks_one(&after.protected_tags, protected_tags)),
        (
            "protectedNames",
            lacks_one(&after.protected_names, protected_names),
        ),
        ("pooledDesktops", allowed(*pooled_desktops, after.pooled_desktops)),
        (
            "prepaidDesktops",
            allowed(*prepaid_desktops, after.prepaid_desktops),
        ),
        (
            "connectedSessions",
            allowed(*connected_sessions, after.connected_sessions),
        ),
        (
            "requireMaintenance",
            *require_maintenance && !after.require_maintenance,
        ),
        ("windows", !windows.is_empty() && *windows != after.windows),
    ];
    let relaxed = changes.into_iter().filter(|(_, relaxed)| *relaxed);
    relaxed.map(|(field, _)| field).collect()
}

fn lacks_one<T: PartialEq>(after: &[T], before: &[T]) -> bool {
    before.iter().any(|item| !after.contains(item))
}

/// Publishes an Event if requests of the project wait.
pub(super) async fn report(project: &WorkspaceProject, relaxed: &[&str], context: &Context) {
    let (namespace, name) = (project.namespace().unwrap_or_default(), project.name_any());
    let waits = |status: Option<&DesktopDeletionStatus>| {
        status.is_none_or(|status| status.completion_time.is_none() && unsettled(status).is_none())
    };
    let requests = context.requests.cache.of_project(&namespace, &name);
    let waiting = requests
        .iter()
        .filter(|request| waits(request.status.as_ref()))
        .count();
    if waiting == 0 {
        return;
    }
    let requests = match waiting {
        1 => "1 waiting request".to_owned(),
        many => format!("{many} waiting requests"),
    };
    let note = format!(
        "guardrails were changed and may permit more than before ({}); this can unblock {requests}",
        relaxed.join(", ")
    );
    tracing::warn!(namespace, name, "{note}");
    let version = ObjectReference {
        resource_version: project.resource_version(),
        ..project.object_ref(&())
    };
    let event = NewEvent {
        kind: EventType::Warning,
        reason: "GuardrailsRelaxed",
        note: &note,
        related: Some(version),
    };
    context.kube.events.publish(&project.object_ref(&()), event).await;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn guardrails(fields: &Value) -> Guardrails {
        serde_json::from_value(fields.clone()).unwrap()
    }

    #[test]
    fn relaxed_guardrails_are_named_and_stricter_ones_are_not() {
        let window = |to: &str| json!([{"from": "22:00", "to": to, "timeZone": "Europe/Berlin"}]);
        let keep = json!([{"key": "keep"}, {"key": "env", "value": "prod"}]);
        for (field, strict, loose) in [
            ("approval", json!("Required"), json!("None")),
            ("maxDesktopsPerRequest", json!(5), json!(6)),
            ("maxDesktopsPerRequest", json!(5), Value::Null),
            ("maxDesktopsPerDay", json!(5), json!(6)),
            ("maxDesktopsPerDay", json!(5), Value::Null),
            ("allowForce", json!(false), json!(true)),
            ("allowDeleteUsers", json!(false), json!(true)),
            ("requiredTags", keep.clone(), json!([{"key": "keep"}])),
            ("protectedTags", keep.clone(), json!([{"key": "keep"}])),
            ("protectedNames", json!(["srv-*"]), json!([])),
            ("pooledDesktops", json!("Refuse"), json!("Allow")),
            ("prepaidDesktops", json!("Refuse"), json!("Allow")),
            ("connectedSessions", json!("Refuse"), json!("Allow")),
            ("requireMaintenance", json!(true), json!(false)),
            ("windows", window("06:00"), json!([])),
        ] {
            let with = |value: &Value| match value {
                Value::Null => guardrails(&json!({})),
                value => guardrails(&json!({field: value})),
            };
            let (strict, loose) = (with(&strict), with(&loose));
            assert_eq!(relaxed(&strict, Some(&loose)), [field]);
            assert_eq!(relaxed(&loose, Some(&strict)), [""; 0], "{field}");
            assert_eq!(relaxed(&strict, Some(&strict)), [""; 0], "{field}");
            assert_eq!(relaxed(&strict, None), ["spec.guardrails was removed"]);
        }
        let above = |most: Value| guardrails(&json!({"approval": "Required", "approvalAbove": most}));
        assert_eq!(
            relaxed(&above(json!(1)), Some(&above(json!(2)))),
            ["approvalAbove"]
        );
        assert_eq!(relaxed(&above(json!(2)), Some(&above(json!(1)))), [""; 0]);
        let other = guardrails(&json!({"windows": window("07:00")}));
        let window = guardrails(&json!({"windows": window("06:00")}));
        assert_eq!(relaxed(&window, Some(&other)), ["windows"], "it may be wider");
    }
}
