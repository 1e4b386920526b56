//! The image is taken apart again, as a container engine does.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::*;

const DESCRIPTION: Description<'_> = Description {
    version: "1.2.3",
    revision: "0123456789abcdef0123456789abcdef01234567",
    source: "https://example.com/project",
    created: "2026-11-29T00:00:00Z",
    epoch: 1_795_910_400,
};

fn programs() -> BTreeMap<String, Vec<u8>> {
    [("amd64", "program of amd64"), ("arm64", "program of arm64")]
        .map(|(architecture, program)| (architecture.to_owned(), program.into()))
        .into()
}

/// Path, permissions and content of each file.
fn unpacked(archive: impl Read) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (path, (entry.header().mode().unwrap(), content))
    });
    entries.collect()
}

/// The blob of a descriptor, checked as an engine checks it.
fn blob(layout: &BTreeMap<String, (u32, Vec<u8>)>, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    let (_, content) = &layout[&format!("blobs/{}", digest.replace(':', "/"))];
    assert_eq!(format!("sha256:{}", sha256(content)), digest);
    assert_eq!(descriptor["size"], content.len());
    content.clone()
}

fn json(content: &[u8]) -> Value {
    serde_json::from_slice(content).unwrap()
}

#[test]
fn the_same_input_gives_the_same_image() {
    let (one, other) = (
        make(DESCRIPTION, programs()).unwrap(),
        make(DESCRIPTION, programs()).unwrap(),
    );
    assert_eq!(one.digest, other.digest);
    assert!(one.archive == other.archive);

    let later = Description {
        epoch: DESCRIPTION.epoch + 1,
        ..DESCRIPTION
    };
    assert_ne!(make(later, programs()).unwrap().digest, one.digest);
}

#[test]
fn an_engine_finds_an_image_for_each_architecture() {
    let image = make(DESCRIPTION, programs()).unwrap();
    let layout = unpacked(&*image.archive);
    assert_eq!(
        json(&layout["oci-layout"].1),
        json!({"imageLayoutVersion": "1.0.0"})
    );
    let top = json(&layout["index.json"].1);
    assert_eq!(top["manifests"][0]["digest"], image.digest);
    let index = json(&blob(&layout, &top["manifests"][0]));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    for (manifest, architecture) in index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["amd64", "arm64"])
    {
        assert_eq!(
            manifest["platform"],
            json!({"architecture": architecture, "os": "linux"})
        );
        let manifest = json(&blob(&layout, manifest));
        let config = json(&blob(&layout, &manifest["config"]));
        assert_eq!(config["architecture"], architecture);
        assert_eq!(
            config["config"]["Labels"]["org.opencontainers.image.version"],
            "1.2.3"
        );

        let mut layer = Vec::new();
        let compressed = blob(&layout, &manifest["layers"][0]);
        GzDecoder::new(&*compressed).read_to_end(&mut layer).unwrap();
        let diff = format!("sha256:{}", sha256(&layer));
        assert_eq!(config["rootfs"]["diff_ids"], json!([diff]));
        let files = unpacked(&*layer);
        let (mode, program) = &files["desktop-deletion-operator"];
        assert_eq!(*mode, 0o755);
        assert_eq!(*program, format!("program of {architecture}").into_bytes());
        assert_eq!(files["etc/ssl/certs/ca-certificates.crt"].0, 0o644);
    }
}

#[test]
fn a_container_runs_as_the_dockerfile_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let dockerfile = std::fs::read_to_string(root.join("deploy/Dockerfile")).unwrap();
    let (_, shipped) = dockerfile.split_once("FROM scratch\n").unwrap();
    let config = config(DESCRIPTION, "amd64", "")["config"].clone();
    let mut copied = Vec::new();
    for line in shipped.lines() {
        let (instruction, argument) = line.split_once(' ').unwrap();
        match instruction {
            "COPY" => copied.push(argument.rsplit(" /").next().unwrap().to_owned()),
            "USER" => assert_eq!(config["User"], argument),
            "EXPOSE" => assert_eq!(config["ExposedPorts"], json!({format!("{argument}/tcp"): {}})),
            "ENTRYPOINT" => assert_eq!(config["Entrypoint"], json(argument.as_bytes())),
            "CMD" => assert_eq!(config["Cmd"], json(argument.as_bytes())),
            _ => panic!("the image does not follow {line:?}"),
        }
    }
    copied.sort();
    let files = unpacked(&*layer(Vec::new(), 0).unwrap()).into_keys();
    let files: Vec<_> = files.filter(|path| !path.ends_with('/')).collect();
    assert_eq!(files, copied);
}

#[test]
fn the_roots_of_trust_are_certificates() {
    let pem = certificates();
    let certificates: Vec<_> = pem.split_inclusive("-----END CERTIFICATE-----\n").collect();
    assert!(certificates.len() > 100, "{}", certificates.len());
    for (certificate, der) in certificates.iter().zip(webpki_root_certs::TLS_SERVER_ROOT_CERTS) {
        let lines: Vec<_> = certificate.lines().collect();
        let body = &lines[1..lines.len() - 1];
        assert!(body.iter().all(|line| line.len() <= 64));
        assert_eq!(STANDARD.decode(body.concat()).unwrap(), **der);
    }
}
