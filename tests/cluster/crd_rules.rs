//! What the API server accepts and refuses of the two kinds, one row per case, tried as cluster administrator: no
//! role and no fault of the operator gets around it. Each table reads as documentation.

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::ControlPlane;

use desktop_deletion_operator::crd;

mod attempts;
mod deletion_spec;
mod deletion_status;
mod project;
mod seen;
mod size;
mod strange;
mod times;

pub(crate) use attempts::attempt;

/// One case.
struct Row {
    /// What is tried, as the end of the sentence "the API server is asked to ...".
    name: &'static str,
    /// What the object is before, beyond [`DELETION`] or [`PROJECT`].
    before: Value,
    /// What is asked for.
    change: Change,
    /// What comes of it.
    expected: Expected,
}

/// A request to the API server. Every value is laid over the object as a JSON merge patch, where null removes.
enum Change {
    /// Create an object like this, instead of changing one.
    Create(Value),
    /// Create an object like this by an apply that is strict about fields, as that of `kubectl` is.
    Strict(Value),
    /// Change the object through the main resource.
    Object(Value),
    /// Change its status through `/status`.
    Status(Value),
    /// Write its whole status through `/status`, and nothing that is not given here.
    WholeStatus(Value),
}

enum Expected {
    /// The API server does it.
    Allowed,
    /// It does not, and one of the causes holds this text.
    Refused(&'static str),
}

use Change::{Create, Object, Status, Strict, WholeStatus};
use Expected::{Allowed, Refused};

/// A request of two desktops with every optional field away.
fn deletion() -> Value {
    json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1",
        "kind": "DesktopDeletion",
        "spec": {"projectRef": {"name": "prod"}, "desktopIDs": ["d1", "d2"]},
    })
}

/// A project with every optional field away.
fn project() -> Value {
    json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1",
        "kind": "WorkspaceProject",
        "spec": {
            "region": "ap-southeast-1",
            "projectID": "0123456789abcdef",
            "credentials": {"accessKey": {"secretRef": {"name": "login"}}},
        },
    })
}

#[tokio::test]
async fn the_spec_of_a_deletion() {
    judge("deletion-spec", deletion(), deletion_spec::rows()).await;
}

#[tokio::test]
async fn the_status_of_a_deletion() {
    judge("deletion-status", deletion(), deletion_status::rows()).await;
}

#[tokio::test]
async fn the_attempts_of_a_deletion() {
    judge("attempts", deletion(), attempts::rows()).await;
}

#[tokio::test]
async fn the_spec_of_a_project() {
    judge("project", project(), project::rows()).await;
}

#[tokio::test]
async fn strange_values_in_a_deletion() {
    judge("strange-deletion", deletion(), strange::deletions()).await;
}

#[tokio::test]
async fn strange_values_in_a_project() {
    judge("strange-project", project(), strange::projects()).await;
}

#[tokio::test]
async fn times_in_the_status_of_a_deletion() {
    judge("times-deletion", deletion(), times::deletions()).await;
}

#[tokio::test]
async fn times_in_the_status_of_a_project() {
    judge("times-project", project(), times::projects()).await;
}

#[test]
fn every_validation_rule_refuses_at_least_one_row() {
    let rows = [
        deletion_spec::rows(),
        deletion_status::rows(),
        attempts::rows(),
        project::rows(),
    ];
    let refusals: Vec<_> = rows
        .iter()
        .flatten()
        .filter_map(|row| row.expected.refusal())
        .chain(crate::attack::refusals())
        .collect();
    let mut messages = Vec::new();
    for kind in crd::all() {
        let schema = serde_json::to_value(&kind.spec.versions[0].schema).unwrap();
        collect_messages(&schema, &mut messages);
    }
    messages.retain(|message| !refusals.iter().any(|refusal| message.contains(refusal)));
    assert!(
        messages.is_empty(),
        "no row is refused by the rule that says: {}",
        messages.join("\n")
    );
}

fn collect_messages(schema: &Value, messages: &mut Vec<String>) {
    if let Some(rules) = schema["x-kubernetes-validations"].as_array() {
        messages.extend(
            rules
                .iter()
                .map(|rule| rule["message"].as_str().unwrap().to_owned()),
        );
    }
    let parts = schema.as_object().into_iter().flat_map(|object| object.values());
    parts.for_each(|part| collect_messages(part, messages));
}

/// Tries every row on an object of its own, and fails with all rows that came out otherwise.
async fn judge(namespace: &str, base: Value, rows: Vec<Row>) {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace(namespace).await.unwrap();
    let api = if base["kind"] == "DesktopDeletion" {
        namespace.deletions()
    } else {
        namespace.projects()
    };
    let mut wrong = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let name = format!("row-{number}");
        if let Err(error) = row.judge(&api, &base, &name).await {
            wrong.push(format!("{}: {error}", row.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

impl Row {
    async fn judge(&self, api: &Api<DynamicObject>, base: &Value, name: &str) -> Result<(), String> {
        let before = match &self.change {
            Create(_) | Strict(_) => None,
            _ => Some(
                prepare(api, base, &self.before, name)
                    .await
                    .map_err(|e| format!("cannot be tried: {e}"))?,
            ),
        };
        let answer = self.change.ask(api, base, name, before.as_ref()).await;
        match (&self.expected, answer) {
            (Allowed, Ok(_)) => Ok(()),
            (Allowed, Err(error)) => Err(format!("was refused: {}", causes(&error).join("; "))),
            (Refused(_), Ok(_)) => Err("was allowed".to_owned()),
            (Refused(text), Err(error)) => {
                let causes = causes(&error);
                // Users see the field, not "<nil>".
                let said = |cause: &String| cause.contains(text) && !cause.contains("<nil>");
                if causes.iter().any(said) {
                    Ok(())
                } else {
                    Err(format!("was refused for another reason: {}", causes.join("; ")))
                }
            }
        }
    }
}

impl Expected {
    fn refusal(&self) -> Option<&'static str> {
        match self {
            Allowed => None,
            Refused(text) => Some(text),
        }
    }
}

impl Change {
    async fn ask(
        &self,
        api: &Api<DynamicObject>,
        base: &Value,
        name: &str,
        before: Option<&DynamicObject>,
    ) -> kube::Result<DynamicObject> {
        let merge = PatchParams::default();
        match self {
            Create(overlay) => create(api, base, overlay, name).await,
            Strict(overlay) => {
                let manifest = Patch::Apply(laid_over(base, overlay, name));
                let strict = PatchParams::apply("row").validation_strict();
                api.patch(name, &strict, &manifest).await
            }
            Object(change) => api.patch(name, &merge, &Patch::Merge(change)).await,
            Status(change) => {
                api.patch_status(name, &merge, &Patch::Merge(json!({"status": change})))
                    .await
            }
            WholeStatus(status) => {
                let mut object = before.unwrap().clone();
                object.data["status"] = status.clone();
                api.replace_status(name, &PostParams::default(), &object).await
            }
        }
    }
}

/// Creates the object and gives it its status. A first status may hold anything: a restored backup has a past.
async fn prepare(
    api: &Api<DynamicObject>,
    base: &Value,
    before: &Value,
    name: &str,
) -> kube::Result<DynamicObject> {
    let created = create(api, base, before, name).await?;
    match before.get("status") {
        None => Ok(created),
        Some(status) => {
            let patch = Patch::Merge(json!({"status": status}));
            api.patch_status(name, &PatchParams::default(), &patch).await
        }
    }
}

async fn create(
    api: &Api<DynamicObject>,
    base: &Value,
    overlay: &Value,
    name: &str,
) -> kube::Result<DynamicObject> {
    let object = serde_json::from_value(laid_over(base, overlay, name)).unwrap();
    api.create(&PostParams::default(), &object).await
}

fn laid_over(base: &Value, overlay: &Value, name: &str) -> Value {
    let mut manifest = base.clone();
    lay_over(&mut manifest, overlay.clone());
    if manifest["metadata"]["name"].is_null() {
        manifest["metadata"]["name"] = json!(name);
    }
    manifest
}

/// Lays objects over each other field by field; any other value, null included, takes the place of the old one.
fn lay_over(below: &mut Value, above: Value) {
    match above {
        Value::Object(fields) if below.is_object() => {
            for (key, value) in fields {
                lay_over(&mut below[key], value);
            }
        }
        other => *below = other,
    }
}

/// An object with this one field.
fn under(field: &str, value: Value) -> Value {
    Value::from_iter([(field, value)])
}

/// What the API server said is wrong.
pub(crate) fn causes(error: &kube::Error) -> Vec<String> {
    let kube::Error::Api(status) = error else {
        return vec![error.to_string()];
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<_> = causes
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    if causes.is_empty() {
        vec![status.message.clone()]
    } else {
        causes
    }
}
