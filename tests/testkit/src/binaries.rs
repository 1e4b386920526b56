//! The binaries of the control plane: from `KUBEBUILDER_ASSETS`, or built from source once.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error};
use crate::paths;

pub(crate) mod build;
pub(crate) mod source;

use source::Source;

/// Where the three binaries lie.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    pub(crate) etcd: PathBuf,
    pub(crate) kube_apiserver: PathBuf,
    pub(crate) kubectl: PathBuf,
}

impl Binaries {
    const NAMES: [&'static str; 3] = ["etcd", "kube-apiserver", "kubectl"];

    /// Finds the binaries, and builds them if need be. Blocks, the first time for minutes.
    ///
    /// `KUBEBUILDER_ASSETS`, the convention of Kubernetes' envtest, names a folder with ready ones. Else they are
    /// built into `control-plane/<versions>` of the target folder, by one process at a time.
    pub(crate) fn provide() -> Result<Self, Error> {
        if let Some(folder) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()) {
            return Self::of_assets(PathBuf::from(folder));
        }
        let source = Source::read(&paths::workspace().join("tests/control-plane"))?;
        let store = paths::target().join("control-plane");
        std::fs::create_dir_all(&store).context(|| format!("create {}", store.display()))?;
        let folder = store.join(source.key());
        if !folder.is_dir() {
            let _alone = lock(&store)?;
            // Another process may have built them while this one waited.
            if !folder.is_dir() {
                build::into(&source, &folder)?;
            }
        }
        Ok(Self::of(&folder))
    }

    fn of_assets(folder: PathBuf) -> Result<Self, Error> {
        match Self::NAMES.into_iter().find(|name| !folder.join(name).is_file()) {
            Some(binary) => Err(Error::MissingAsset { folder, binary }),
            None => Ok(Self::of(&folder)),
        }
    }

    fn of(folder: &Path) -> Self {
        let [etcd, kube_apiserver, kubectl] = Self::NAMES.map(|name| folder.join(name));
        Self {
            etcd,
            kube_apiserver,
            kubectl,
        }
    }
}

/// Takes the lock of the store; it is released when the file is closed, also by a crash.
pub(crate) fn lock(store: &Path) -> Result<File, Error> {
    let path = store.join(".lock");
    let file = File::create(&path).context(|| format!("create {}", path.display()))?;
    if file.try_lock().is_err() {
        build::say("waiting for another process that builds the same");
        file.lock().context(|| format!("lock {}", path.display()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubebuilder_assets_without_a_required_binary_is_refused_and_the_binary_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let error = Binaries::of_assets(folder.path().to_path_buf())
            .unwrap_err()
            .to_string();
        assert!(error.contains("kubectl is missing"), "{error}");
        std::fs::write(folder.path().join("kubectl"), "").unwrap();
        let binaries = Binaries::of_assets(folder.path().to_path_buf()).unwrap();
        assert_eq!(binaries.kubectl, folder.path().join("kubectl"));
    }
}
