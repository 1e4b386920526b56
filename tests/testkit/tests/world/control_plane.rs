//! The control plane itself: it answers, it counts, and it never outlives its owner.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use testkit::{ControlPlane, Error, GENEROUS, eventually};

#[tokio::test]
async fn kubectl_of_the_same_version_reaches_the_api_server() -> Result<(), Error> {
    let control_plane = ControlPlane::shared().await;
    let versions = control_plane
        .kubectl(["version", "--output=json"])
        .await?
        .stdout()?;
    let versions: serde_json::Value = serde_json::from_str(&versions).unwrap();
    assert_eq!(
        versions["clientVersion"]["gitVersion"],
        versions["serverVersion"]["gitVersion"]
    );
    assert!(
        control_plane.url().starts_with("https://127.0.0.1:"),
        "{}",
        control_plane.url()
    );
    Ok(())
}

#[tokio::test]
async fn a_failed_kubectl_command_reports_the_reason() -> Result<(), Error> {
    let control_plane = ControlPlane::shared().await;
    let output = control_plane
        .kubectl_with_input(["apply", "-f", "-"], "kind: Nonsense")
        .await?;
    assert_ne!(output.status, 0);
    let error = output.stdout().unwrap_err().to_string();
    assert!(
        error.starts_with("kubectl apply -f - failed: ") && error.contains("apiVersion not set"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn each_request_is_one_event_of_the_audit_log() -> Result<(), Error> {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace("audit").await?;
    let manifest = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "counted"}, "data": {"a": "b"}
    });
    namespace.apply(&manifest).await?;
    namespace.apply(&manifest).await?;
    let writes = eventually("two writes are counted", GENEROUS, async || {
        let writes = control_plane
            .audit()
            .writes("configmaps", namespace.name(), "counted")?;
        if writes.len() == 2 {
            Ok(writes)
        } else {
            Err(Error::Other(format!("{} writes", writes.len())))
        }
    });
    let writes = writes.await?;
    assert_eq!(
        writes.iter().map(|write| write.code()).collect::<Vec<_>>(),
        [201, 200]
    );
    for write in writes {
        assert_eq!(
            (write.verb.as_str(), write.user.username.as_str()),
            ("patch", "admin")
        );
        assert!(write.request_received_timestamp <= write.stage_timestamp);
        assert_eq!(
            write.request_object, None,
            "bodies of foreign kinds stay out of the log"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_service_account_has_only_the_permissions_that_were_bound() -> Result<(), Error> {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace("account").await?;
    let account =
        serde_json::json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
    namespace.apply(&account).await?;
    let role = [
        "create",
        "role",
        "reader",
        "--verb=get",
        "--resource=secrets",
        "-n",
        namespace.name(),
    ];
    control_plane.kubectl(role).await?.stdout()?;
    let robot = format!("--serviceaccount={}:robot", namespace.name());
    let binding = [
        "create",
        "rolebinding",
        "reader",
        "--role=reader",
        &robot,
        "-n",
        namespace.name(),
    ];
    control_plane.kubectl(binding).await?.stdout()?;

    let kubeconfig = control_plane
        .service_account_kubeconfig(namespace.name(), "robot")
        .await?;
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let may = async |verb| {
        control_plane
            .kubectl([&kubeconfig, "auth", "can-i", verb, "secrets"])
            .await
    };
    // The API server learns of the role and its binding by watches.
    let bound = async || match may("get").await {
        Ok(output) if output.stdout == "yes\n" => Ok(()),
        other => Err(format!("{other:?}")),
    };
    eventually("the account may get Secrets", GENEROUS, bound).await?;
    assert_eq!(may("list").await?.stdout, "no\n");
    Ok(())
}

/// The owner that the next test kills. Does nothing unless it was started by that test.
#[tokio::test]
async fn owner_to_be_killed() -> Result<(), Error> {
    if std::env::var_os(OWNER).is_some() {
        let control_plane = ControlPlane::start().await?;
        let [kube_apiserver, etcd] = control_plane.pids().unwrap();
        println!(
            "\n{MARK} {kube_apiserver} {etcd} {}",
            control_plane.folder().display()
        );
        std::future::pending::<()>().await;
    }
    Ok(())
}

const OWNER: &str = "TESTKIT_OWNER_TO_BE_KILLED";
const MARK: &str = "started:";

#[tokio::test]
async fn the_servers_end_and_their_folder_goes_when_their_owner_is_killed() -> Result<(), Error> {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "control_plane::owner_to_be_killed", "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find(|line| line.starts_with(MARK))
        .unwrap();
    let [_, kube_apiserver, etcd, folder] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else {
        panic!("{line}");
    };
    assert!(is_alive(kube_apiserver) && is_alive(etcd) && Path::new(folder).is_dir());

    owner.kill().unwrap();
    owner.wait().unwrap();

    eventually("all of it is gone", GENEROUS, async || {
        let left = (
            is_alive(kube_apiserver),
            is_alive(etcd),
            Path::new(folder).exists(),
        );
        if left == (false, false, false) {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await
}

fn is_alive(pid: &str) -> bool {
    // Signal 0 is a question only.
    let question = Command::new("sh")
        .args(["-c", "kill -s 0 \"$1\"", "sh", pid])
        .stderr(Stdio::null())
        .status();
    question.is_ok_and(|answer| answer.success())
}
