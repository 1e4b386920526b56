//! kubectl of the same version, speaking for the administrator.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::control_plane::ControlPlane;
use crate::error::{Context, Error};

/// What a kubectl command printed.
#[derive(Debug, Clone)]
pub struct Output {
    arguments: String,
    /// Exit code; -1 when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Its standard output, if it succeeded.
    ///
    /// # Errors
    ///
    /// [`Error::Kubectl`] with its standard error when the exit code is not 0.
    pub fn stdout(self) -> Result<String, Error> {
        let Self {
            arguments,
            status,
            stdout,
            stderr,
        } = self;
        if status == 0 {
            Ok(stdout)
        } else {
            Err(Error::Kubectl { arguments, stderr })
        }
    }
}

impl ControlPlane {
    /// The kubectl of the same version, for people who want to try something.
    pub fn kubectl_path(&self) -> &Path {
        &self.binaries.kubectl
    }

    /// Runs kubectl with these arguments, and accepts every exit code.
    ///
    /// # Errors
    ///
    /// kubectl could not be started.
    pub async fn kubectl<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Output, Error> {
        self.kubectl_with_input(arguments, "").await
    }

    /// Runs kubectl with a text as its standard input, as in `kubectl apply -f -`.
    ///
    /// # Errors
    ///
    /// kubectl could not be started.
    pub async fn kubectl_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Result<Output, Error> {
        let mut command = Command::new(&self.binaries.kubectl);
        command
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig_path())
            // Neither a cache nor preferences of the person who runs the tests.
            .env("KUBECACHEDIR", self.folder().join("kubectl-cache"))
            .env("KUBERC", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let arguments: Vec<_> = command.as_std().get_args().map(OsStr::to_string_lossy).collect();
        let arguments = arguments.join(" ");
        let mut child = command.spawn().context(|| format!("start kubectl {arguments}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // kubectl may end without reading all of it; its exit code shows whether that is an error.
            stdin.write_all(input.as_bytes()).await.ok();
        }
        let output = child
            .wait_with_output()
            .await
            .context(|| format!("run kubectl {arguments}"))?;
        Ok(Output {
            arguments,
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
