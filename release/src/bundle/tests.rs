use super::*;
use crate::version;

const CSV: &str = "manifests/desktop-deletion-operator.clusterserviceversion.yaml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The objects of `deploy/`, without what kustomize adds to them.
fn objects() -> Vec<Value> {
    let mut objects = Vec::new();
    for folder in ["crds", "deploy/base", "deploy/watched-namespace"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(file).unwrap();
            objects.extend(serde_saphyr::from_multiple::<Value>(&text).unwrap());
        }
    }
    objects.retain(|object| !object.is_null() && object["kind"] != "Kustomization");
    objects
}

fn made(objects: &[Value], texts: &Texts) -> Result<Bundle, Error> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let release = Release {
        version: version::of_workspace(&manifest).unwrap(),
        source: "https://example.com/project",
        sources: "https://example.com/project/blob/v1",
        created: "2026-11-29T00:00:00Z",
        architectures: &["amd64".to_owned(), "arm64".to_owned()],
    };
    make(
        &serde_saphyr::to_string_multiple(objects).unwrap(),
        texts,
        release,
    )
}

fn texts() -> Texts {
    Texts::read(root()).unwrap()
}

fn bundle() -> Bundle {
    made(&objects(), &texts()).unwrap()
}

fn text<'a>(bundle: &'a Bundle, path: &str) -> &'a str {
    let file = bundle.files.iter().find(|file| file.path == path);
    std::str::from_utf8(&file.unwrap_or_else(|| panic!("no {path}")).content).unwrap()
}

fn object(bundle: &Bundle, path: &str) -> Value {
    serde_saphyr::from_str(text(bundle, path)).unwrap()
}

fn of_kind(kind: &str) -> Vec<Value> {
    let mut objects = objects();
    objects.retain(|object| object["kind"] == kind);
    objects
}

/// What is said about objects of which the first one of a kind was changed.
fn refused(kind: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut objects = objects();
    change(objects.iter_mut().find(|object| object["kind"] == kind).unwrap());
    made(&objects, &texts()).unwrap_err().to_string()
}

#[test]
fn every_object_of_the_manifests_has_its_place() {
    let bundle = bundle();
    let paths: Vec<_> = bundle.files.iter().map(|file| &*file.path).collect();
    let role =
        |name| format!("manifests/desktop-deletion-{name}_rbac.authorization.k8s.io_v1_clusterrole.yaml");
    assert_eq!(
        paths,
        [
            CSV,
            "manifests/cloud-desktops.dev_desktopdeletions.yaml",
            "manifests/cloud-desktops.dev_workspaceprojects.yaml",
            "manifests/desktop-deletion-operator_policy_v1_poddisruptionbudget.yaml",
            &role("viewer"),
            &role("requester"),
            &role("approver"),
            &role("project-admin"),
            "metadata/annotations.yaml",
            "bundle.Dockerfile",
        ]
    );
    assert_eq!(bundle.left_out, ["NetworkPolicy desktop-deletion-operator"]);
}

#[test]
fn the_deployment_is_the_one_of_the_manifests_but_serves_the_namespaces_of_the_operator_group() {
    let install = &object(&bundle(), CSV)["spec"]["install"]["spec"];
    let mut spec = install["deployments"][0]["spec"].clone();
    let variables = spec["template"]["spec"]["containers"][0]["env"]
        .as_array_mut()
        .unwrap();
    assert_eq!(
        variables.pop().unwrap(),
        serde_json::json!({
            "name": "DESKTOP_DELETION_NAMESPACES",
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['olm.targetNamespaces']"}},
        })
    );
    assert_eq!(spec, of_kind("Deployment")[0]["spec"]);
    assert_eq!(install["deployments"].as_array().unwrap().len(), 1);
}

#[test]
fn every_place_names_the_image_that_is_installed() {
    let image = format!(
        "registry.example.com/organisation/desktop-deletion-operator@sha256:{:064}",
        1
    );
    let mut objects = objects();
    let deployment = objects
        .iter_mut()
        .find(|object| object["kind"] == "Deployment")
        .unwrap();
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image.clone().into();
    let bundle = made(&objects, &texts()).unwrap();
    let csv = object(&bundle, CSV);
    let install = "/spec/install/spec/deployments/0/spec/template/spec/containers/0/image";
    for place in [
        install,
        "/metadata/annotations/containerImage",
        "/spec/relatedImages/0/image",
    ] {
        assert_eq!(csv.pointer(place).unwrap(), &image, "{place}");
    }
    // `release/run` looks for this line.
    assert!(text(&bundle, CSV).contains(&format!(" image: {image}\n")));
}

#[test]
fn the_rights_are_those_of_all_roles_of_the_operator() {
    let permissions = &object(&bundle(), CSV)["spec"]["install"]["spec"]["permissions"];
    let roles = of_kind("Role");
    assert_eq!(roles.len(), 3);
    let count: usize = roles
        .iter()
        .map(|role| role["rules"].as_array().unwrap().len())
        .sum();
    let granted = permissions[0]["rules"].as_array().unwrap();
    assert_eq!(granted.len(), count);
    for role in roles {
        for rule in role["rules"].as_array().unwrap() {
            assert!(granted.contains(rule), "{rule} of {}", role["metadata"]["name"]);
        }
    }
    assert_eq!(permissions[0]["serviceAccountName"], "desktop-deletion-operator");
    assert_eq!(permissions.as_array().unwrap().len(), 1);
}

#[test]
fn what_consoles_offer_as_an_example_deletes_nothing() {
    let csv = object(&bundle(), CSV);
    let examples = csv["metadata"]["annotations"]["alm-examples"].as_str().unwrap();
    let examples: Vec<Value> = serde_json::from_str(examples).unwrap();
    let kinds: Vec<_> = examples
        .iter()
        .map(|example| example["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["DesktopDeletion", "WorkspaceProject"]);
    assert_eq!(examples[0]["spec"]["suspend"], true);
}

#[test]
fn the_texts_are_those_of_the_chart_and_the_readme() {
    let csv = object(&bundle(), CSV);
    assert_eq!(csv["spec"]["minKubeVersion"], "1.32.0");
    let description = csv["spec"]["description"].as_str().unwrap();
    assert!(
        description.starts_with("Deletes [Huawei Cloud Workspace](https://www.huaweicloud.com/"),
        "{description}"
    );
    assert!(
        description.contains("(https://example.com/project/blob/v1/docs/gitops.md)"),
        "{description}"
    );
    assert!(!description.contains("Try it"), "{description}");
    for owned in csv["spec"]["customresourcedefinitions"]["owned"]
        .as_array()
        .unwrap()
    {
        for field in ["displayName", "description"] {
            assert!(!owned[field].as_str().unwrap().is_empty(), "{field} of {owned}");
        }
    }
}

#[test]
fn an_image_of_the_bundle_has_the_annotations_as_labels() {
    let bundle = bundle();
    let annotations = object(&bundle, "metadata/annotations.yaml");
    let annotations = annotations["annotations"].as_object().unwrap();
    assert_eq!(annotations.len(), 6);
    for (name, value) in annotations {
        let label = format!("\nLABEL {name}={}\n", value.as_str().unwrap());
        assert!(text(&bundle, "bundle.Dockerfile").contains(&label), "{label}");
    }
}

#[test]
fn a_kind_without_a_place_is_refused() {
    let message = refused("NetworkPolicy", |object| object["kind"] = "Ingress".into());
    assert!(
        message.starts_with("Ingress desktop-deletion-operator: "),
        "{message}"
    );
    let message = refused("ClusterRole", |object| {
        object["kind"] = "ClusterRoleBinding".into();
    });
    assert!(
        message.starts_with("ClusterRoleBinding desktop-deletion-viewer: "),
        "{message}"
    );
    // The kind alone says nothing.
    let message = refused("Deployment", |object| {
        object["apiVersion"] = "example.com/v1".into();
    });
    assert!(
        message.starts_with("Deployment desktop-deletion-operator: "),
        "{message}"
    );
}

#[test]
fn a_second_deployment_and_a_missing_one_are_refused() {
    let mut objects = objects();
    let at = objects
        .iter()
        .position(|object| object["kind"] == "Deployment")
        .unwrap();
    objects.push(objects[at].clone());
    let message = made(&objects, &texts()).unwrap_err().to_string();
    assert_eq!(
        message,
        "there are 2 objects of kind Deployment, and a bundle needs one"
    );
    objects.retain(|object| object["kind"] != "Deployment");
    let message = made(&objects, &texts()).unwrap_err().to_string();
    assert_eq!(
        message,
        "there are 0 objects of kind Deployment, and a bundle needs one"
    );
}

#[test]
fn a_deployment_of_another_shape_is_refused() {
    let container = |object: &mut Value| object["spec"]["template"]["spec"]["containers"][0].clone();
    let message = refused("Deployment", |object| {
        let more = container(object);
        let containers = &mut object["spec"]["template"]["spec"]["containers"];
        containers.as_array_mut().unwrap().push(more);
    });
    assert_eq!(
        message,
        "Deployment desktop-deletion-operator: it has not exactly one container"
    );
    let message = refused("Deployment", |object| {
        object["metadata"]["annotations"] = serde_json::json!({"a": "b"});
    });
    assert!(
        message.ends_with("no place is known for its /metadata/annotations"),
        "{message}"
    );
    let message = refused("Deployment", |object| {
        object["spec"]["template"]["spec"]["serviceAccountName"] = "other".into();
    });
    assert!(message.ends_with("it has another service account"), "{message}");
    let message = refused("Deployment", |object| {
        let variables = &mut object["spec"]["template"]["spec"]["containers"][0]["env"];
        variables[0]["name"] = "DESKTOP_DELETION_NAMESPACES".into();
    });
    assert!(
        message.ends_with("it sets DESKTOP_DELETION_NAMESPACES, which OLM decides"),
        "{message}"
    );
}

#[test]
fn rights_that_the_bundle_would_lose_are_refused() {
    let message = refused("RoleBinding", |object| {
        object["subjects"] = serde_json::json!([{"kind": "Group", "name": "all"}]);
    });
    assert!(
        message.ends_with("it binds a role to others than the service account"),
        "{message}"
    );
    let message = refused("RoleBinding", |object| object["subjects"] = serde_json::json!([]));
    assert!(
        message.ends_with("it binds a role to others than the service account"),
        "{message}"
    );
    let message = refused("RoleBinding", |object| {
        object["roleRef"]["kind"] = "ClusterRole".into();
    });
    assert!(
        message.ends_with("the role that it binds is none of the manifests"),
        "{message}"
    );
    let message = refused("Role", |object| object["metadata"]["namespace"] = "other".into());
    assert!(
        message.ends_with("it is in another namespace than the service account"),
        "{message}"
    );
    let message = refused("Role", |object| object["rules"] = Value::Null);
    assert!(message.ends_with("it has no rules"), "{message}");
    let message = refused("ServiceAccount", |object| {
        object["imagePullSecrets"] = serde_json::json!([{"name": "registry"}]);
    });
    assert!(
        message.ends_with("no place is known for its /imagePullSecrets"),
        "{message}"
    );

    let mut objects = objects();
    let at = objects
        .iter()
        .position(|object| object["kind"] == "RoleBinding")
        .unwrap();
    objects.remove(at);
    let message = made(&objects, &texts()).unwrap_err().to_string();
    assert!(message.ends_with("nothing binds it"), "{message}");
}

#[test]
fn a_text_that_is_missing_is_named() {
    let mut without = texts();
    without.readme = "# Title\n\nText without a section.\n".to_owned();
    let message = made(&objects(), &without).unwrap_err().to_string();
    assert_eq!(
        message,
        "README.md does not have an introduction before its first section"
    );
    for (pointer, value) in [
        ("/kubeVersion", "^1.32"),
        ("/annotations/artifacthub.io~1crds", "[]"),
        ("/annotations/artifacthub.io~1crds", "["),
    ] {
        let mut changed = texts();
        *changed.chart.pointer_mut(pointer).unwrap() = value.into();
        let message = made(&objects(), &changed).unwrap_err().to_string();
        assert!(message.contains("Chart.yaml"), "{pointer}: {message}");
    }
}
