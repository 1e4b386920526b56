//! The bundle of the Operator Lifecycle Manager (OLM, format `registry+v1`). Its objects are those that
//! `kubectl kustomize deploy` prints, its texts those of the README and the chart, so that nothing is written twice.
//!
//! - `objects`: which object goes where.
//! - `csv`: the `ClusterServiceVersion`, which holds the Deployment and the rights.
//! - `metadata`: how the bundle is packaged.

mod csv;
mod metadata;
mod objects;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::archive::File;
use crate::site;
use objects::Objects;

/// Name of the package in catalogs.
pub const PACKAGE: &str = "desktop-deletion-operator";
const CHART: &str = "deploy/helm/desktop-deletion-operator/Chart.yaml";
const README: &str = "README.md";
/// One example of each kind. Consoles offer it as a form that is already filled in, so the request is a suspended one, which
/// deletes nothing when somebody creates it as it is.
const EXAMPLES: [&str; 2] = [
    "deploy/samples/deletion-suspended.yaml",
    "deploy/samples/project.yaml",
];

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    File(PathBuf, io::Error),
    /// A text is no YAML.
    #[error("{0} is no YAML: {1}")]
    Yaml(String, Box<serde_saphyr::Error>),
    /// An object cannot be written.
    #[error("{0} cannot be written as YAML: {1}")]
    Write(String, serde_saphyr::ser::Error),
    /// The generator does not know the kind.
    #[error("{0}: release/src/bundle/objects.rs does not say where this kind goes")]
    UnknownKind(String),
    /// A bundle needs exactly one of these.
    #[error("there are {1} objects of kind {0}, and a bundle needs one")]
    NotOne(&'static str, usize),
    /// The bundle would not install what the manifests install.
    #[error("{0}")]
    Lost(String),
    /// The chart or the README does not have a text that the bundle needs.
    #[error("{0} does not have {1}")]
    NoText(&'static str, String),
}

/// Texts of the project that the bundle has as well.
#[derive(Debug, Clone)]
pub struct Texts {
    /// What `Chart.yaml` says.
    chart: Value,
    /// The README.
    readme: String,
    /// Objects that users may create.
    examples: Vec<Value>,
}

impl Texts {
    /// Reads them from the project below `root`.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or is no YAML.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let text = |path: &str| {
            let path = root.join(path);
            std::fs::read_to_string(&path).map_err(|error| Error::File(path, error))
        };
        let examples = EXAMPLES.iter().map(|path| yaml(path, &text(path)?));
        Ok(Self {
            chart: yaml(CHART, &text(CHART)?)?,
            readme: text(README)?,
            examples: examples.collect::<Result<_, _>>()?,
        })
    }

    /// What the README says before its first section, with links that work elsewhere.
    fn introduction(&self, sources: &str) -> Result<String, Error> {
        let mut parts = self.readme.split("\n## ");
        let begin = parts.next().unwrap_or_default();
        let text = begin.split_once("\n\n").map(|(_, text)| text.trim());
        match (text, parts.next()) {
            (Some(text), Some(_)) => Ok(site::page(README, text, &[], sources)),
            _ => Err(Error::NoText(
                README,
                "an introduction before its first section".to_owned(),
            )),
        }
    }

    /// A field of the chart.
    fn of_chart<'a>(&'a self, pointer: &str) -> Result<&'a str, Error> {
        let field = self.chart.pointer(pointer).and_then(Value::as_str);
        field.ok_or_else(|| Error::NoText(CHART, pointer.to_owned()))
    }
}

/// What is released.
#[derive(Debug, Clone, Copy)]
pub struct Release<'a> {
    /// Version.
    pub version: &'a str,
    /// URL of the source repository.
    pub source: &'a str,
    /// Where the files of the project can be read, such as `https://example.com/project/blob/v1`.
    pub sources: &'a str,
    /// Time of the commit, as RFC 3339.
    pub created: &'a str,
    /// Architectures of the image, as Go names them.
    pub architectures: &'a [String],
}

/// A bundle.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its files.
    pub files: Vec<File>,
    /// Objects of the manifests that are not in it, each as `KIND NAME`.
    pub left_out: Vec<String>,
}

/// Makes the bundle from the objects that `kubectl kustomize deploy` prints.
///
/// # Errors
///
/// The objects or the texts are not of the form that this function knows.
pub fn make(manifests: &str, texts: &Texts, release: Release<'_>) -> Result<Bundle, Error> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(manifests)
        .map_err(|error| Error::Yaml("the manifests".to_owned(), error.into()))?;
    let objects = Objects::sort(documents)?;
    let mut files = vec![object(
        &format!("{PACKAGE}.clusterserviceversion.yaml"),
        &csv::manifest(&objects, texts, release)?,
    )?];
    for crd in &objects.crds {
        let name = format!(
            "{}_{}.yaml",
            objects::text(crd, "/spec/group")?,
            objects::text(crd, "/spec/names/plural")?
        );
        files.push(object(&name, crd)?);
    }
    for other in &objects.others {
        let name = format!(
            "{}_{}_{}.yaml",
            objects::text(other, "/metadata/name")?,
            objects::text(other, "/apiVersion")?.replace('/', "_"),
            objects::text(other, "/kind")?.to_lowercase()
        );
        files.push(object(&name, other)?);
    }
    files.extend(metadata::files()?);
    Ok(Bundle {
        files,
        left_out: objects.left_out,
    })
}

/// A file with one object in the folder `manifests/`.
fn object(name: &str, object: &Value) -> Result<File, Error> {
    // Without folded lines: the name of an image stays beside its field.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let text = serde_saphyr::to_string_with_options(object, options);
    let text = text.map_err(|error| Error::Write(name.to_owned(), error))?;
    Ok(File::new(format!("{}{name}", metadata::MANIFESTS), text))
}

fn yaml(name: &str, text: &str) -> Result<Value, Error> {
    serde_saphyr::from_str(text).map_err(|error| Error::Yaml(name.to_owned(), error.into()))
}
