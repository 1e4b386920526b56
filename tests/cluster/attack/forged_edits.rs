//! A forged edit of a status. It is tried with every kind of write: through `/status` it must be refused, for the
//! reason that the row names, and through the object itself it must have no effect.

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::Namespace;

use crate::crd_rules::causes;

/// One row of the table.
pub(super) struct ForgedEdit {
    /// What an administrator tries.
    pub(super) name: &'static str,
    /// The status before.
    pub(super) before: Value,
    /// The edits, as a JSON patch of the status.
    pub(super) edits: Vec<Edit>,
    /// A text that the API server says then.
    pub(super) refusal: &'static str,
}

/// One operation of a JSON patch.
pub(super) struct Edit {
    path: &'static str,
    /// What is put there; `None` takes away what is there. `-` at the end of the path is the end of a list.
    value: Option<Value>,
}

/// Puts a value to a path.
pub(super) fn put(path: &'static str, value: impl Into<Value>) -> Edit {
    let value = Some(value.into());
    Edit { path, value }
}

/// Takes away what is at a path.
pub(super) fn drop(path: &'static str) -> Edit {
    Edit { path, value: None }
}

/// A row.
pub(super) fn forged_edit(
    name: &'static str,
    before: fn() -> Value,
    edits: impl Into<Vec<Edit>>,
    refusal: &'static str,
) -> ForgedEdit {
    ForgedEdit {
        name,
        before: before(),
        edits: edits.into(),
        refusal,
    }
}

/// Ways to write.
#[derive(Debug, Clone, Copy)]
pub(super) enum WriteMethod {
    /// The whole object, by PUT.
    Put,
    /// `application/merge-patch+json`.
    MergePatch,
    /// `application/json-patch+json`.
    JsonPatch,
    /// Server-side apply, by force, by the only owner of every field.
    Apply,
}

pub(super) const WRITE_METHODS: [WriteMethod; 4] = [
    WriteMethod::Put,
    WriteMethod::MergePatch,
    WriteMethod::JsonPatch,
    WriteMethod::Apply,
];

/// Who applies.
pub(super) const OWNER: &str = "attacker";

impl ForgedEdit {
    /// Fields that are changed, such as `/attempts/*/outcome`.
    pub(super) fn fields(&self) -> Vec<String> {
        self.edits.iter().map(|edit| general(edit.path)).collect()
    }

    /// Tries it with every kind of write, on a separate object each; returns the unexpected results.
    pub(super) async fn try_all(&self, namespace: &Namespace, name: &str) -> Vec<String> {
        let before = match victim(namespace, name, &self.before).await {
            Ok(object) => object,
            Err(error) => {
                return vec![format!(
                    "{}: cannot be tried: {}",
                    self.name,
                    causes(&error).join("; ")
                )];
            }
        };
        let mut wrong = Vec::new();
        for method in WRITE_METHODS {
            let through_status = Attempted {
                namespace,
                before: &before,
                edits: &self.edits,
                subresource: "/status",
            };
            match through_status.by(method).await {
                Ok(_) => wrong.push(format!("{}, {method:?}: was allowed", self.name)),
                Err(error) => {
                    let causes = causes(&error);
                    if !causes.iter().any(|cause| cause.contains(self.refusal)) {
                        let causes = causes.join("; ");
                        wrong.push(format!(
                            "{}, {method:?}: was refused for another reason: {causes}",
                            self.name
                        ));
                    }
                }
            }
            let through_object = Attempted {
                subresource: "",
                ..through_status
            };
            if let Err(error) = through_object.by(method).await {
                let causes = causes(&error).join("; ");
                wrong.push(format!("{}, {method:?} of the object: {causes}", self.name));
            }
        }
        let after = namespace.deletions().get(name).await.unwrap();
        if after.data["status"] != before.data["status"] {
            wrong.push(format!(
                "{}: something was changed: {:#}",
                self.name, after.data["status"]
            ));
        }
        wrong
    }
}

/// Creates a request and gives it its status, every field of which belongs to [`OWNER`].
pub(super) async fn victim(namespace: &Namespace, name: &str, status: &Value) -> kube::Result<DynamicObject> {
    let manifest = testkit::manifests::desktop_deletion(name, "prod", ["d1", "d2"]);
    let object = serde_json::from_value(manifest).unwrap();
    namespace
        .deletions()
        .create(&PostParams::default(), &object)
        .await?;
    apply(namespace, name, status, "/status").await
}

/// One try with one kind of write.
#[derive(Clone, Copy)]
pub(super) struct Attempted<'a> {
    pub(super) namespace: &'a Namespace,
    pub(super) before: &'a DynamicObject,
    pub(super) edits: &'a [Edit],
    /// `/status`, or empty for the object itself.
    pub(super) subresource: &'static str,
}

impl Attempted<'_> {
    pub(super) async fn by(self, method: WriteMethod) -> kube::Result<DynamicObject> {
        let api = self.namespace.deletions();
        let name = self.before.metadata.name.as_deref().unwrap();
        let old = &self.before.data["status"];
        let new = edited(old, self.edits);
        match method {
            WriteMethod::Put => {
                let mut object = self.before.clone();
                object.data["status"] = new;
                if self.subresource.is_empty() {
                    api.replace(name, &PostParams::default(), &object).await
                } else {
                    api.replace_status(name, &PostParams::default(), &object).await
                }
            }
            WriteMethod::MergePatch => {
                let patch = Patch::Merge(json!({"status": difference(old, &new)}));
                if self.subresource.is_empty() {
                    api.patch(name, &PatchParams::default(), &patch).await
                } else {
                    api.patch_status(name, &PatchParams::default(), &patch).await
                }
            }
            WriteMethod::JsonPatch => self.json_patch(name, old).await,
            WriteMethod::Apply => apply(self.namespace, name, &new, self.subresource).await,
        }
    }

    async fn json_patch(self, name: &str, old: &Value) -> kube::Result<DynamicObject> {
        let operations: Vec<_> = self.edits.iter().map(|edit| edit.operation(old)).collect();
        let uri = format!(
            "/apis/cloud-desktops.dev/v1alpha1/namespaces/{}/desktopdeletions/{name}{}",
            self.namespace.name(),
            self.subresource
        );
        let request = http::Request::patch(uri)
            .header("content-type", "application/json-patch+json")
            .body(serde_json::to_vec(&operations).unwrap())
            .unwrap();
        self.namespace.client().request(request).await
    }
}

async fn apply(
    namespace: &Namespace,
    name: &str,
    status: &Value,
    subresource: &str,
) -> kube::Result<DynamicObject> {
    let manifest = json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1",
        "kind": "DesktopDeletion",
        "metadata": {"name": name},
        "status": status,
    });
    let parameters = PatchParams::apply(OWNER).force();
    let api = namespace.deletions();
    if subresource.is_empty() {
        api.patch(name, &parameters, &Patch::Apply(manifest)).await
    } else {
        api.patch_status(name, &parameters, &Patch::Apply(manifest)).await
    }
}

impl Edit {
    fn operation(&self, old: &Value) -> Value {
        let path = format!("/status{}", self.path);
        match &self.value {
            None => json!({"op": "remove", "path": path}),
            Some(value) if old.pointer(self.path).is_some() => {
                json!({"op": "replace", "path": path, "value": value})
            }
            Some(value) => json!({"op": "add", "path": path, "value": value}),
        }
    }
}

/// The status with the edits made, one after the other.
pub(super) fn edited(status: &Value, edits: &[Edit]) -> Value {
    let mut status = status.clone();
    for edit in edits {
        let (parent, key) = edit.path.rsplit_once('/').unwrap();
        match (status.pointer_mut(parent).unwrap(), &edit.value) {
            (Value::Object(fields), Some(value)) => {
                fields.insert(key.to_owned(), value.clone());
            }
            (Value::Object(fields), None) => {
                fields.remove(key).unwrap();
            }
            (Value::Array(items), Some(value)) if key == "-" => items.push(value.clone()),
            (Value::Array(items), Some(value)) => items[key.parse::<usize>().unwrap()] = value.clone(),
            (Value::Array(items), None) => {
                items.remove(key.parse().unwrap());
            }
            (other, _) => panic!("{} is no path into {other}", edit.path),
        }
    }
    status
}

/// The merge patch that makes one value of the other.
fn difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        return new.clone();
    };
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let changed = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value));
    let changed = changed.map(|(key, value)| (key.clone(), difference(&old[key], value)));
    gone.chain(changed).collect()
}

/// A path with `*` for each place in a list.
fn general(path: &str) -> String {
    let place = |part: &str| part == "-" || (!part.is_empty() && part.chars().all(|c| c.is_ascii_digit()));
    let parts: Vec<_> = path
        .split('/')
        .map(|part| if place(part) { "*" } else { part })
        .collect();
    parts.join("/")
}
