//! How the bundle is packaged: the annotations that a catalog reads, and a Dockerfile that makes an image of the bundle with the same
//! annotations as labels.

use std::collections::BTreeMap;

use super::{Error, PACKAGE};
use crate::archive::File;

/// Folder of the objects in the bundle.
pub(super) const MANIFESTS: &str = "manifests/";
const METADATA: &str = "metadata/";
/// The names of channels are those that OLM recommends. It is the one for what is not yet known to work everywhere: the
/// operator has not been tested against the real cloud.
const CHANNEL: &str = "candidate";

const PREFIX: &str = "operators.operatorframework.io.bundle.";

pub(super) fn files() -> Result<[File; 2], Error> {
    let labels = labels();
    let name = format!("{METADATA}annotations.yaml");
    let annotations = serde_saphyr::to_string(&BTreeMap::from([("annotations", &labels)]))
        .map_err(|error| Error::Write(name.clone(), error))?;
    Ok([
        File::new(name, annotations),
        File::new("bundle.Dockerfile", dockerfile(&labels)),
    ])
}

fn labels() -> BTreeMap<String, &'static str> {
    let labels = [
        ("mediatype.v1", "registry+v1"),
        ("manifests.v1", MANIFESTS),
        ("metadata.v1", METADATA),
        ("package.v1", PACKAGE),
        ("channels.v1", CHANNEL),
        ("channel.default.v1", CHANNEL),
    ];
    labels
        .into_iter()
        .map(|(name, value)| (format!("{PREFIX}{name}"), value))
        .collect()
}

fn dockerfile(labels: &BTreeMap<String, &str>) -> String {
    let mut lines = vec![
        "# An image of the bundle for catalogs. It does not run.".to_owned(),
        "FROM scratch".to_owned(),
    ];
    lines.extend(labels.iter().map(|(name, value)| format!("LABEL {name}={value}")));
    lines.extend([MANIFESTS, METADATA].map(|folder| format!("COPY {folder} /{folder}")));
    lines.join("\n") + "\n"
}
