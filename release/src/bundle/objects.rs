//! Which object of the manifests goes where in a bundle. A kind that is not known is an error, and so is a part of an object
//! that the bundle would lose.

use serde_json::Value;

use super::Error;

/// Where an object goes.
enum Place {
    /// To the bundle as it is, as the definition of a kind that the operator owns.
    Crd,
    /// To the `ClusterServiceVersion`.
    Deployment,
    /// OLM makes it: the `ClusterServiceVersion` has its name.
    ServiceAccount,
    /// To the `ClusterServiceVersion`, as a suggestion.
    Namespace,
    /// To the `ClusterServiceVersion`, as rights of the service account.
    Role,
    /// The same.
    RoleBinding,
    /// To the bundle, without its namespace: OLM puts it beside the operator.
    Bundle,
    /// Not to the bundle.
    Nowhere,
}

impl Place {
    /// The kinds that a bundle may hold are those of `supported_resources.go` in operator-registry.
    fn of(version: &str, kind: &str) -> Option<Self> {
        match (version, kind) {
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => Some(Self::Crd),
            ("apps/v1", "Deployment") => Some(Self::Deployment),
            ("v1", "ServiceAccount") => Some(Self::ServiceAccount),
            ("v1", "Namespace") => Some(Self::Namespace),
            ("rbac.authorization.k8s.io/v1", "Role") => Some(Self::Role),
            ("rbac.authorization.k8s.io/v1", "RoleBinding") => Some(Self::RoleBinding),
            // Roles for users, which nothing binds: a ClusterRoleBinding is an unknown kind.
            ("rbac.authorization.k8s.io/v1", "ClusterRole") | ("policy/v1", "PodDisruptionBudget") => {
                Some(Self::Bundle)
            }
            // OLM knows the kind since 2025, and an older one refuses the whole bundle. The ports must also be adapted to the
            // cluster, which an object of a bundle cannot be.
            ("networking.k8s.io/v1", "NetworkPolicy") => Some(Self::Nowhere),
            _ => None,
        }
    }
}

/// The objects of the manifests.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) crds: Vec<Value>,
    pub(super) deployment: Value,
    /// Name of the service account.
    pub(super) account: String,
    pub(super) namespace: Value,
    /// The rules of all roles that are bound to the service account.
    pub(super) rules: Vec<Value>,
    pub(super) others: Vec<Value>,
    pub(super) left_out: Vec<String>,
}

impl Objects {
    pub(super) fn sort(documents: Vec<Value>) -> Result<Self, Error> {
        let (mut crds, mut others, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        let (mut deployments, mut accounts, mut namespaces) = (Vec::new(), Vec::new(), Vec::new());
        let (mut roles, mut bindings) = (Vec::new(), Vec::new());
        for mut object in documents {
            match Place::of(text(&object, "/apiVersion")?, text(&object, "/kind")?) {
                Some(Place::Crd) => crds.push(object),
                Some(Place::Deployment) => deployments.push(object),
                Some(Place::ServiceAccount) => accounts.push(object),
                Some(Place::Namespace) => namespaces.push(object),
                Some(Place::Role) => roles.push(object),
                Some(Place::RoleBinding) => bindings.push(object),
                Some(Place::Bundle) => {
                    if let Some(metadata) = object["metadata"].as_object_mut() {
                        metadata.remove("namespace");
                    }
                    others.push(object);
                }
                Some(Place::Nowhere) => left_out.push(name(&object)),
                None => return Err(Error::UnknownKind(name(&object))),
            }
        }
        let account = account(one("ServiceAccount", accounts)?)?;
        Ok(Self {
            crds,
            deployment: one("Deployment", deployments)?,
            rules: rules(roles, &bindings, &account)?,
            account: text(&account, "/metadata/name")?.to_owned(),
            namespace: one("Namespace", namespaces)?,
            others,
            left_out,
        })
    }
}

fn one(kind: &'static str, mut objects: Vec<Value>) -> Result<Value, Error> {
    match (objects.pop(), objects.len()) {
        (Some(object), 0) => Ok(object),
        (Some(_), more) => Err(Error::NotOne(kind, more + 1)),
        (None, _) => Err(Error::NotOne(kind, 0)),
    }
}

/// The service account. The one that OLM makes has nothing but its name.
fn account(account: Value) -> Result<Value, Error> {
    // The pods mount the token in any case: the Deployment says so.
    let known = ["apiVersion", "kind", "metadata", "automountServiceAccountToken"];
    only(&account, "", &known)?;
    only(&account, "/metadata", &["name", "namespace", "labels"])?;
    Ok(account)
}

/// The rules of the roles, each of which must lie beside the service account, and be bound to it and to nobody else.
fn rules(mut roles: Vec<Value>, bindings: &[Value], account: &Value) -> Result<Vec<Value>, Error> {
    let mut granted = Vec::new();
    for binding in bindings {
        let subjects = binding["subjects"].as_array().map_or(&[][..], Vec::as_slice);
        let own = |subject: &Value| {
            subject["kind"] == "ServiceAccount" && subject["name"] == account["metadata"]["name"]
        };
        if subjects.len() != 1 || !subjects.iter().all(own) {
            return Err(lost(
                binding,
                "it binds a role to others than the service account",
            ));
        }
        let role = &binding["roleRef"];
        let bound =
            |candidate: &Value| role["kind"] == "Role" && candidate["metadata"]["name"] == role["name"];
        let Some(at) = roles.iter().position(bound) else {
            return Err(lost(binding, "the role that it binds is none of the manifests"));
        };
        let role = roles.remove(at);
        if role["metadata"]["namespace"] != account["metadata"]["namespace"] {
            return Err(lost(&role, "it is in another namespace than the service account"));
        }
        match role["rules"].as_array() {
            Some(all) => granted.extend(all.iter().cloned()),
            None => return Err(lost(&role, "it has no rules")),
        }
    }
    match roles.first() {
        Some(role) => Err(lost(role, "nothing binds it")),
        None => Ok(granted),
    }
}

/// Fails if an object has more than these fields at a place.
pub(super) fn only(object: &Value, pointer: &str, known: &[&str]) -> Result<(), Error> {
    let fields = object.pointer(pointer).and_then(Value::as_object);
    let other = fields.and_then(|fields| fields.keys().find(|field| !known.contains(&field.as_str())));
    match other {
        Some(field) => Err(lost(
            object,
            &format!("no place is known for its {pointer}/{field}"),
        )),
        None => Ok(()),
    }
}

/// A bundle would lose something of this object.
pub(super) fn lost(object: &Value, why: &str) -> Error {
    Error::Lost(format!("{}: {why}", name(object)))
}

/// A text in an object.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> Result<&'a str, Error> {
    let text = object.pointer(pointer).and_then(Value::as_str);
    text.ok_or_else(|| lost(object, &format!("it has no {pointer}")))
}

fn name(object: &Value) -> String {
    let part = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    format!("{} {}", part("/kind"), part("/metadata/name"))
}
