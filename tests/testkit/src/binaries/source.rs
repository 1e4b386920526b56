//! The Go module that pins the control plane, and the key of what is built from it.

use std::path::{Path, PathBuf};

use crate::error::{Context, Error};

/// The module `tests/control-plane`.
pub(crate) struct Source {
    /// Its folder.
    pub(crate) module: PathBuf,
    /// Version of Kubernetes, such as `v1.37.2`.
    pub(super) kubernetes: String,
    /// Version of etcd, such as `v3.7.3`.
    pub(super) etcd: String,
    /// Arguments of `go`, without the output folder.
    pub(crate) arguments: Vec<String>,
    /// First digits of the digest of `go.mod`, `go.sum` and the arguments.
    pub(crate) digest: String,
}

impl Source {
    /// Reads what the module pins.
    pub(crate) fn read(module: &Path) -> Result<Self, Error> {
        let text = |file: &str| {
            let path = module.join(file);
            std::fs::read_to_string(&path).context(|| format!("read {}", path.display()))
        };
        let (go_mod, go_sum) = (text("go.mod")?, text("go.sum")?);
        let kubernetes = required_version(&go_mod, "k8s.io/kubernetes")?;
        let etcd = required_version(&go_mod, "go.etcd.io/etcd/server/v3")?;
        let arguments = arguments(&kubernetes);
        let digest = digest(&[&go_mod, &go_sum, &arguments.join(" ")]);
        Ok(Self {
            module: module.to_path_buf(),
            kubernetes,
            etcd,
            arguments,
            digest,
        })
    }

    /// Name of the folder for what is built from this source.
    pub(super) fn key(&self) -> String {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        format!(
            "kubernetes-{}-etcd-{}-{os}-{arch}-{}",
            self.kubernetes, self.etcd, self.digest
        )
    }
}

/// A binary that is not built by Kubernetes' own scripts does not know its version, and kubectl cannot parse the
/// empty one. Symbol tables, left out by `-s -w`, would add 50 MB to kube-apiserver.
pub(crate) fn arguments(kubernetes: &str) -> Vec<String> {
    let mut numbers = kubernetes.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let version = "k8s.io/component-base/version";
    let linker = format!(
        "-s -w -X {version}.gitVersion={kubernetes} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
    );
    go_build(&linker)
}

/// `go build` with these flags of the linker, the same wherever the source lies.
pub(crate) fn go_build(linker: &str) -> Vec<String> {
    [
        "build",
        "-v",
        "-mod=readonly",
        "-buildvcs=false",
        "-trimpath",
        "-ldflags",
        linker,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// First digits of the digest of these texts together.
pub(crate) fn digest(parts: &[&str]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, parts.concat().as_bytes());
    let bytes = digest.as_ref();
    format!("{:02x}{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2], bytes[3])
}

/// The version in the line `<module> <version>` of a `require` block.
pub(crate) fn required_version(go_mod: &str, module: &str) -> Result<String, Error> {
    go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require "))
        .find_map(|line| {
            line.strip_prefix(module)?
                .strip_prefix(" v")?
                .split_whitespace()
                .next()
        })
        .map(|version| format!("v{version}"))
        .ok_or_else(|| Error::Other(format!("tests/control-plane/go.mod does not require {module}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_pins_kubernetes_and_etcd() {
        let source = Source::read(&crate::paths::workspace().join("tests/control-plane")).unwrap();
        let key = source.key();
        assert!(
            key.starts_with("kubernetes-v1.") && key.contains("-etcd-v3."),
            "{key}"
        );
        let flags = source.arguments.join(" ");
        assert!(
            flags.contains("version.gitMajor=1 -X k8s.io/component-base/version.gitMinor="),
            "{flags}"
        );
    }

    #[test]
    fn nodes_have_the_version_of_the_control_plane() {
        let tests = crate::paths::workspace().join("tests");
        let versions = ["control-plane", "node-kubernetes"].map(|module| {
            let text = std::fs::read_to_string(tests.join(module).join("go.mod")).unwrap();
            required_version(&text, "k8s.io/kubernetes").unwrap()
        });
        assert_eq!(versions[0], versions[1]);
    }

    #[test]
    fn a_version_is_read_from_its_require_line_only() {
        let go_mod = "require (\n\texample.com/a/b v2.0.0\n\texample.com/a v1.2.3 // indirect\n)\n";
        assert_eq!(required_version(go_mod, "example.com/a").unwrap(), "v1.2.3");
        let error = required_version(go_mod, "example.com/c").unwrap_err();
        assert_eq!(
            error.to_string(),
            "tests/control-plane/go.mod does not require example.com/c"
        );
    }
}
