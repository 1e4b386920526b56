//! What `deploy/` ships, applied to the real API server.

use serde_json::json;
use testkit::{Cloud, ControlPlane, Error, GENEROUS, SERVICE_ACCOUNT, eventually, manifests};

#[tokio::test]
async fn the_shipped_account_may_read_requests_and_write_their_status_only() -> Result<(), Error> {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace("deploy").await?;
    let kubeconfig = control_plane.deploy("deploy", namespace.name()).await?;
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());

    let whoami = control_plane.kubectl([
        &kubeconfig,
        "auth",
        "whoami",
        "-o=jsonpath={.status.userInfo.username}",
    ]);
    let expected = format!("system:serviceaccount:{}:{SERVICE_ACCOUNT}", namespace.name());
    assert_eq!(whoami.await?.stdout()?, expected);

    let may = async |verb: &str, resource: &str| {
        let output = control_plane
            .kubectl([&kubeconfig, "auth", "can-i", verb, resource])
            .await?;
        Ok::<_, Error>(output.stdout == "yes\n")
    };
    // The API server learns of the account's rights by watches.
    for resource in ["desktopdeletions.cloud-desktops.dev", "secrets"] {
        let bound = async || match may("get", resource).await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        eventually(&format!("the account may read {resource}"), GENEROUS, bound).await?;
    }
    for verb in ["get", "list", "watch", "patch"] {
        assert!(may(verb, "desktopdeletions.cloud-desktops.dev").await?, "{verb}");
    }
    for verb in ["create", "update", "delete"] {
        assert!(!may(verb, "desktopdeletions.cloud-desktops.dev").await?, "{verb}");
    }
    assert!(!may("list", "secrets").await?);
    Ok(())
}

#[tokio::test]
async fn two_tests_can_deploy_at_the_same_time() -> Result<(), Error> {
    let control_plane = ControlPlane::shared().await;
    let (one, two) = (
        control_plane.namespace("one").await?,
        control_plane.namespace("two").await?,
    );
    let (one, two) = tokio::join!(
        control_plane.deploy("deploy", one.name()),
        control_plane.deploy("deploy/all-namespaces", two.name()),
    );
    assert_ne!(one?, two?);
    Ok(())
}

#[tokio::test]
async fn the_writes_on_a_request_are_counted_with_their_bodies() -> Result<(), Error> {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await?;
    let namespace = control_plane.namespace("requests").await?;
    let cloud = Cloud::start(&Cloud::world()).await?;
    namespace.apply(&cloud.secret("login")).await?;
    namespace.apply(&cloud.project("prod", "login")).await?;
    let mut manifest =
        manifests::desktop_deletion("leavers", "prod", ["1d81c1dc-312b-4621-b778-bac3a1336442"]);
    namespace.apply(&manifest).await?;
    manifest["spec"]["suspend"] = json!(true);
    namespace.apply(&manifest).await?;
    assert_eq!(
        namespace.deletions().get("leavers").await.unwrap().data["spec"]["suspend"],
        true
    );
    assert_eq!(
        namespace.projects().get("prod").await.unwrap().data["spec"]["region"],
        testkit::cloud::REGION
    );

    let writes = eventually("two writes are counted", GENEROUS, async || {
        let writes = control_plane
            .audit()
            .writes("desktopdeletions", namespace.name(), "leavers")?;
        if writes.len() == 2 {
            Ok(writes)
        } else {
            Err(Error::Other(format!("{} writes", writes.len())))
        }
    });
    let writes = writes.await?;
    assert_eq!(
        writes[1].request_object.as_ref().unwrap()["spec"]["suspend"],
        true
    );
    assert!(!writes[1].by_service_account(SERVICE_ACCOUNT));
    Ok(())
}
