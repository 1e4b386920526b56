//! The operator's image as an OCI layout, made without a container engine: the files and the configuration of
//! `deploy/Dockerfile`. The roots of trust are those of Mozilla, pinned by `Cargo.lock`, not those of the machine.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::archive::{self, File};
use crate::sha256;

/// Name of the image, and of the program in it.
const NAME: &str = "desktop-deletion-operator";
/// Where programs look for roots of trust.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What the image says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Description<'a> {
    /// Version of the operator, which is the tag.
    pub version: &'a str,
    /// Commit that was built.
    pub revision: &'a str,
    /// URL of the source repository.
    pub source: &'a str,
    /// Time of the commit in RFC 3339.
    pub created: &'a str,
    /// The same in seconds since 1970.
    pub epoch: u64,
}

impl Description<'_> {
    fn labels(&self) -> Value {
        json!({
            "org.opencontainers.image.created": self.created,
            "org.opencontainers.image.description": "Deletes Huawei Cloud Workspace desktops declared as DesktopDeletion resources",
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.revision": self.revision,
            "org.opencontainers.image.source": self.source,
            "org.opencontainers.image.title": NAME,
            "org.opencontainers.image.version": self.version,
        })
    }
}

/// An image for one or more architectures.
#[derive(Debug)]
pub struct Image {
    /// The OCI layout as an archive.
    pub archive: Vec<u8>,
    /// Digest of the index of all architectures, by which the image is pulled.
    pub digest: String,
}

/// Makes the image of the programs, by architecture as Go names it.
///
/// # Errors
///
/// An archive cannot be made.
pub fn make(description: Description<'_>, programs: BTreeMap<String, Vec<u8>>) -> io::Result<Image> {
    let mut layout = Layout::default();
    let mut manifests = Vec::new();
    for (architecture, program) in programs {
        let layer = layer(program, description.epoch)?;
        let diff = format!("sha256:{}", sha256(&layer));
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": layout.add_json(CONFIG, &config(description, &architecture, &diff)),
            "layers": [layout.add(LAYER, archive::gzip(&layer)?)],
            "annotations": description.labels(),
        });
        manifest = layout.add_json(MANIFEST, &manifest);
        manifest["platform"] = json!({"architecture": architecture, "os": "linux"});
        manifests.push(manifest);
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": manifests,
        "annotations": description.labels(),
    });
    let mut index = layout.add_json(INDEX, &index);
    let digest = index["digest"].as_str().unwrap_or_default().to_owned();
    index["annotations"] = json!({
        // The first is read by skopeo and podman, the second by containerd.
        "org.opencontainers.image.ref.name": description.version,
        "io.containerd.image.name": format!("docker.io/library/{NAME}:{}", description.version),
    });
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]});
    let mut files = layout.files;
    files.push(File::new("index.json", index.to_string()));
    files.push(File::new(
        "oci-layout",
        json!({"imageLayoutVersion": "1.0.0"}).to_string(),
    ));
    let archive = archive::tar(files, description.epoch)?;
    Ok(Image { archive, digest })
}

fn layer(program: Vec<u8>, epoch: u64) -> io::Result<Vec<u8>> {
    let files = vec![
        File::new(CERTIFICATES, certificates()),
        File::program(NAME, program),
    ];
    archive::tar(files, epoch)
}

fn config(description: Description<'_>, architecture: &str, diff: &str) -> Value {
    json!({
        "created": description.created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": "65532:65532",
            "ExposedPorts": {"8080/tcp": {}},
            "Entrypoint": [format!("/{NAME}")],
            "Cmd": ["run"],
            "Labels": description.labels(),
        },
        "rootfs": {"type": "layers", "diff_ids": [diff]},
        "history": [{"created": description.created, "created_by": "release/run"}],
    })
}

/// Mozilla's roots of trust, as PEM.
fn certificates() -> String {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem += "-----BEGIN CERTIFICATE-----\n";
        let encoded = STANDARD.encode(certificate);
        let mut rest = &*encoded;
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            // Writing to a string cannot fail.
            let _ = writeln!(pem, "{line}");
            rest = after;
        }
        pem += "-----END CERTIFICATE-----\n";
    }
    pem
}

/// The blobs of a layout.
#[derive(Default)]
struct Layout {
    files: Vec<File>,
}

impl Layout {
    fn add_json(&mut self, media_type: &str, content: &Value) -> Value {
        self.add(media_type, content.to_string().into_bytes())
    }

    /// Adds a blob, once, and returns its descriptor.
    fn add(&mut self, media_type: &str, content: Vec<u8>) -> Value {
        let digest = sha256(&content);
        let size = content.len();
        let file = File::new(format!("blobs/sha256/{digest}"), content);
        if !self.files.contains(&file) {
            self.files.push(file);
        }
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
    }
}

#[cfg(test)]
mod tests;
