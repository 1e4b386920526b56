//! The bundle of the Operator Lifecycle Manager (OLM): the validators of operator-sdk and operator-registry accept it
//! and refuse invalid ones, a real API server accepts its objects, and the operator works with what OLM creates from
//! it.

use std::collections::BTreeMap;
use std::path::Path;

use release::bundle::{Bundle, Release, Texts, make};
use serde_json::{Value, json};
use testkit::{ControlPlane, GENEROUS, eventually};

use crate::{path, read, run};

mod olm;

const CSV: &str = "manifests/desktop-deletion-operator.clusterserviceversion.yaml";
/// The definition of the kind of the file above, which OLM installs.
const DEFINITION: &str = "crds/operators.coreos.com_clusterserviceversions.yaml";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The bundle that a release has.
async fn bundle(cluster: &ControlPlane) -> Bundle {
    let folder = path("deploy").display().to_string();
    let manifests = cluster.kubectl(["kustomize", &folder]).await.unwrap();
    let release = Release {
        version: VERSION,
        source: "https://example.com/project",
        sources: "https://example.com/project/blob/v1",
        created: "2026-11-29T00:00:00Z",
        architectures: &["amd64".to_owned(), "arm64".to_owned()],
    };
    let texts = Texts::read(&testkit::workspace()).unwrap();
    make(&manifests.stdout().unwrap(), &texts, release).unwrap()
}

/// Its files, by path.
type Files = BTreeMap<String, String>;

fn files(bundle: Bundle) -> Files {
    let text = |content| String::from_utf8(content).unwrap();
    let files = bundle.files.into_iter();
    files.map(|file| (file.path, text(file.content))).collect()
}

fn object(files: &Files, path: &str) -> Value {
    serde_saphyr::from_str(&files[path]).unwrap()
}

/// Changes an object in a file.
fn edit(files: &mut Files, path: &str, change: impl FnOnce(&mut Value)) {
    let mut object = object(files, path);
    change(&mut object);
    files.insert(path.to_owned(), object.to_string());
}

fn write(files: &Files, folder: &Path) {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// Whether the validators accept a bundle, and what they print.
fn judged(files: &Files) -> (bool, Vec<String>) {
    // The validators skip a folder whose name begins with a dot.
    let folder = tempfile::Builder::new().prefix("bundle-").tempdir().unwrap();
    write(files, folder.path());
    let program = testkit::go_tool("olm-bundle").unwrap();
    let printed = run(&program, [folder.path()], &[], "");
    assert_eq!(printed.stderr, "");
    (
        printed.success,
        printed.stdout.lines().map(str::to_owned).collect(),
    )
}

#[tokio::test]
async fn the_validators_accept_the_bundle_with_only_the_expected_warning() {
    let files = files(bundle(ControlPlane::shared().await).await);
    // There is no logo.
    let meant =
        format!("Warning: Value : (desktop-deletion-operator.v{VERSION}) csv.Spec.Icon not specified");
    assert_eq!(judged(&files), (true, vec![meant]));
}

#[tokio::test]
async fn the_page_for_users_names_every_object_that_is_not_in_the_bundle() {
    let bundle = bundle(ControlPlane::shared().await).await;
    let page = read("docs/install.md");
    assert!(!bundle.left_out.is_empty());
    for object in bundle.left_out {
        let kind = object.split(' ').next().unwrap();
        assert!(page.contains(&format!("`{kind}`")), "{object}");
    }
}

/// What is wrong, the change that makes it so, and what the validators say then.
type Fault = (&'static str, fn(&mut Files), &'static str);

const FAULTS: [Fault; 9] = [
    (
        "a kind is not owned",
        |files| edit(files, CSV, |csv| owned(csv).truncate(1)),
        "Kind=WorkspaceProject\" is present in bundle",
    ),
    (
        "the definition of a kind is missing",
        |files| {
            files
                .remove("manifests/cloud-desktops.dev_workspaceprojects.yaml")
                .unwrap();
        },
        "Kind=WorkspaceProject\" not found in bundle",
    ),
    (
        "the version is none",
        |files| edit(files, CSV, |csv| csv["spec"]["version"] = json!("latest")),
        "Invalid character(s) found in major number",
    ),
    (
        "no install mode is supported",
        |files| {
            edit(files, CSV, |csv| {
                for mode in csv["spec"]["installModes"].as_array_mut().unwrap() {
                    mode["supported"] = json!(false);
                }
            });
        },
        "none of InstallModeTypes are supported",
    ),
    (
        "an example is of no kind of the operator",
        |files| {
            edit(files, CSV, |csv| {
                csv["metadata"]["annotations"]["alm-examples"] =
                    json!(r#"[{"apiVersion": "v1", "kind": "Secret"}]"#);
            });
        },
        "example must have a provided API",
    ),
    (
        "an annotation of the bundle is missing",
        |files| {
            edit(files, "metadata/annotations.yaml", |annotations| {
                let annotations = annotations["annotations"].as_object_mut().unwrap();
                annotations
                    .remove("operators.operatorframework.io.bundle.package.v1")
                    .unwrap();
            });
        },
        "Missing annotation \"operators.operatorframework.io.bundle.package.v1\"",
    ),
    (
        "a kind is none that a bundle may hold",
        |files| {
            let policy = read("deploy/policies/keep-finalizer.yaml");
            files.insert("manifests/policy.yaml".to_owned(), policy);
        },
        "ValidatingAdmissionPolicy is not supported type for registryV1 bundle",
    ),
    (
        "the service account is there twice",
        |files| {
            let account = read("deploy/base/service-account.yaml");
            files.insert("manifests/account.yaml".to_owned(), account);
        },
        "invalid service account found in bundle",
    ),
    (
        "nodes could not be drained",
        |files| {
            let budget = "manifests/desktop-deletion-operator_policy_v1_poddisruptionbudget.yaml";
            edit(files, budget, |budget| {
                budget["spec"]["maxUnavailable"] = json!(0);
            });
        },
        "maxUnavailable field cannot be set to 0 or 0%",
    ),
];

fn owned(csv: &mut Value) -> &mut Vec<Value> {
    let owned = csv.pointer_mut("/spec/customresourcedefinitions/owned");
    owned.unwrap().as_array_mut().unwrap()
}

#[tokio::test]
async fn the_validators_refuse_a_bundle_that_is_wrong() {
    let valid = files(bundle(ControlPlane::shared().await).await);
    let mut unnoticed = Vec::new();
    for (what, change, message) in FAULTS {
        let mut files = valid.clone();
        change(&mut files);
        let (accepted, printed) = judged(&files);
        let named = printed
            .iter()
            .any(|line| line.starts_with("Error:") && line.contains(message));
        if accepted || !named {
            unnoticed.push(format!("{what}: {printed:#?}"));
        }
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}

#[tokio::test]
async fn an_api_server_accepts_every_object_and_drops_no_field() {
    let cluster = ControlPlane::shared().await;
    cluster.install_crds().await.unwrap();
    let module = testkit::go_module_folder("olm-bundle", "github.com/operator-framework/api").unwrap();
    let definition = module.join(DEFINITION).display().to_string();
    let apply = ["apply", "--server-side", "--filename", &definition];
    cluster.kubectl(apply).await.unwrap().stdout().unwrap();

    let files = files(bundle(cluster).await);
    let namespace = cluster.namespace("bundle").await.unwrap();
    for path in files.keys().filter(|path| path.starts_with("manifests/")) {
        let sent = object(&files, path);
        // The definition is not served at once.
        let taken = async || {
            let apply = [
                "apply",
                "--server-side",
                "--force-conflicts",
                "--dry-run=server",
                "--validate=strict",
                "--output=json",
                "--namespace",
                namespace.name(),
                "--filename=-",
            ];
            // As the file has it: kubectl reads YAML as other programs of the cluster do.
            let output = cluster.kubectl_with_input(apply, &files[path]).await.unwrap();
            output.stdout().map_err(|error| error.to_string())
        };
        let taken = eventually(path, GENEROUS, taken).await;
        let taken: Value = serde_json::from_str(&taken.unwrap_or_else(|error| panic!("{error}"))).unwrap();
        assert_eq!(missing("", &sent, &taken), [""; 0], "{path}");
    }
}

/// What of a value is not in another one that may have more.
fn missing(place: &str, sent: &Value, taken: &Value) -> Vec<String> {
    match (sent, taken) {
        (Value::Object(sent), Value::Object(taken)) => {
            let fields = sent.iter();
            fields
                .flat_map(|(name, value)| {
                    missing(
                        &format!("{place}/{name}"),
                        value,
                        taken.get(name).unwrap_or(&Value::Null),
                    )
                })
                .collect()
        }
        (Value::Array(sent), Value::Array(taken)) if sent.len() == taken.len() => {
            let items = sent.iter().zip(taken).enumerate();
            items
                .flat_map(|(index, (sent, taken))| missing(&format!("{place}/{index}"), sent, taken))
                .collect()
        }
        _ if sent == taken => Vec::new(),
        _ => vec![format!("{place}: {sent}, {taken}")],
    }
}
