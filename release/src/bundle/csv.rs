//! The `ClusterServiceVersion`: what OLM installs, with which rights, and what catalogs show.

use serde_json::{Map, Value, json};

use super::objects::{Objects, lost, only, text};
use super::{CHART, Error, PACKAGE, Release, Texts, yaml};

const DISPLAY_NAME: &str = "Desktop Deletion Operator";
/// The category of the chart (`artifacthub.io/category`), as OLM names it.
const CATEGORY: &str = "Integration & Delivery";
const MATURITY: &str = "alpha";

/// The install modes, and whether the operator supports them. For all namespaces, OLM hands over an empty list, which the
/// operator refuses: it would serve every namespace as soon as somebody forgets a value.
const INSTALL_MODES: [(&str, bool); 4] = [
    ("OwnNamespace", true),
    ("SingleNamespace", true),
    ("MultiNamespace", true),
    ("AllNamespaces", false),
];

/// The variable that names the namespaces to serve, and where OLM writes them: the namespaces of the operator group,
/// separated by commas.
const NAMESPACES: &str = "DESKTOP_DELETION_NAMESPACES";
const TARGETS: &str = "metadata.annotations['olm.targetNamespaces']";

const ABOUT_OLM: &str = "\
## Before you install it

- OLM adds the kinds of each operator to the ClusterRoles `edit` and `admin`: everyone with `edit` in a namespace can have \
desktops deleted there, and everyone with `admin` can also approve.
- The operator serves the namespaces of its OperatorGroup. All namespaces are not supported.
- The network policy of the operator's pods and the admission policies are not part of the bundle. Apply them yourself, as \
[Install](SOURCES/docs/install.md) describes.";

pub(super) fn manifest(objects: &Objects, texts: &Texts, release: Release<'_>) -> Result<Value, Error> {
    let Release {
        version,
        source,
        sources,
        ..
    } = release;
    let image = text(&objects.deployment, "/spec/template/spec/containers/0/image")?;
    let about = format!(
        "{}\n\n{}\n",
        texts.introduction(sources)?,
        ABOUT_OLM.replace("SOURCES", sources)
    );
    let modes = INSTALL_MODES.map(|(mode, supported)| json!({"type": mode, "supported": supported}));
    Ok(json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": format!("{PACKAGE}.v{version}"),
            "labels": platforms(release.architectures),
            "annotations": annotations(objects, texts, release, image)?,
        },
        "spec": {
            "version": version,
            "displayName": DISPLAY_NAME,
            "description": about,
            "maturity": MATURITY,
            "minKubeVersion": min_kube_version(texts)?,
            "keywords": texts.chart["keywords"],
            "provider": {"name": format!("The authors of {PACKAGE}"), "url": source},
            "links": [
                {"name": "Source", "url": source},
                {"name": "Documentation", "url": format!("{sources}/README.md")},
            ],
            "installModes": modes,
            "install": {
                "strategy": "deployment",
                "spec": {
                    "deployments": [deployment(objects)?],
                    "permissions": [{"serviceAccountName": objects.account, "rules": objects.rules}],
                },
            },
            "customresourcedefinitions": {"owned": owned(&objects.crds, texts)?},
            "relatedImages": [{"name": "operator", "image": image}],
        },
    }))
}

fn platforms(architectures: &[String]) -> Map<String, Value> {
    let architectures = architectures.iter().map(|name| format!("arch.{name}"));
    let platforms = architectures.chain(["os.linux".to_owned()]);
    platforms
        .map(|name| (format!("operatorframework.io/{name}"), json!("supported")))
        .collect()
}

fn annotations(objects: &Objects, texts: &Texts, release: Release<'_>, image: &str) -> Result<Value, Error> {
    let namespace = &objects.namespace;
    Ok(json!({
        "alm-examples": format!("{:#}", json!(texts.examples)),
        "capabilities": texts.of_chart("/annotations/artifacthub.io~1operatorCapabilities")?,
        "categories": CATEGORY,
        "containerImage": image,
        "createdAt": release.created,
        "description": texts.of_chart("/description")?,
        "repository": release.source,
        // The template has the labels, which require restricted pods.
        "operatorframework.io/suggested-namespace": text(namespace, "/metadata/name")?,
        "operatorframework.io/suggested-namespace-template": namespace.to_string(),
    }))
}

/// The Deployment as it is, but for the namespaces that it serves.
fn deployment(objects: &Objects) -> Result<Value, Error> {
    let deployment = &objects.deployment;
    only(deployment, "", &["apiVersion", "kind", "metadata", "spec"])?;
    only(deployment, "/metadata", &["name", "namespace", "labels"])?;
    let pod = "/spec/template/spec";
    if text(deployment, &format!("{pod}/serviceAccountName"))? != objects.account {
        return Err(lost(deployment, "it has another service account"));
    }
    let mut spec = deployment["spec"].clone();
    let Some([container]) = spec["template"]["spec"]["containers"]
        .as_array_mut()
        .map(Vec::as_mut_slice)
    else {
        return Err(lost(deployment, "it has not exactly one container"));
    };
    let Some(variables) = container["env"].as_array_mut() else {
        return Err(lost(deployment, "its container has no variables"));
    };
    if variables.iter().any(|variable| variable["name"] == NAMESPACES) {
        return Err(lost(
            deployment,
            &format!("it sets {NAMESPACES}, which OLM decides"),
        ));
    }
    variables.push(json!({"name": NAMESPACES, "valueFrom": {"fieldRef": {"fieldPath": TARGETS}}}));
    Ok(json!({
        "name": text(deployment, "/metadata/name")?,
        "label": deployment["metadata"]["labels"],
        "spec": spec,
    }))
}

/// The lowest version of Kubernetes: `kubeVersion` of the chart, which is `>=1.32.0-0`.
fn min_kube_version(texts: &Texts) -> Result<&str, Error> {
    let range = texts.of_chart("/kubeVersion")?;
    let version = range
        .strip_prefix(">=")
        .and_then(|range| range.strip_suffix("-0"));
    version.ok_or_else(|| {
        Error::NoText(
            CHART,
            format!("a kubeVersion of the form >=VERSION-0, but {range}"),
        )
    })
}

/// The kinds of the operator, with the names and texts that Artifact Hub shows.
fn owned(crds: &[Value], texts: &Texts) -> Result<Vec<Value>, Error> {
    let known = yaml(CHART, texts.of_chart("/annotations/artifacthub.io~1crds")?)?;
    let known = known.as_array().map_or(&[][..], Vec::as_slice);
    let mut owned = Vec::new();
    for crd in crds {
        let (name, kind) = (text(crd, "/metadata/name")?, text(crd, "/spec/names/kind")?);
        let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
        for version in versions.filter(|version| version["served"] == true) {
            let version = &version["name"];
            let same = |known: &&Value| known["name"] == name && known["version"] == *version;
            let described = known.iter().find(same);
            let described = described
                .ok_or_else(|| Error::NoText(CHART, format!("{name} {version} in artifacthub.io/crds")))?;
            owned.push(json!({
                "name": name,
                "kind": kind,
                "version": version,
                "displayName": described["displayName"],
                "description": described["description"],
                // What the operator creates for an object.
                "resources": [{"name": "", "kind": "Event", "version": "v1"}],
            }));
        }
    }
    Ok(owned)
}
