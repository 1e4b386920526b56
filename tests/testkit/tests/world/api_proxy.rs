//! The proxy in front of the API server passes everything on, and stops where a test wants it to.

use futures::TryStreamExt;
use kube::api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::{
    ApiRequest, ApiServerProxy, Caught, ControlPlane, GENEROUS, Moment, SERVICE_ACCOUNT, eventually,
    manifests,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The requests of a namespace, as the operator asks for them.
async fn requests(proxy: &ApiServerProxy, namespace: &str) -> Result<Api<DynamicObject>> {
    let file = Kubeconfig::read_from(proxy.kubeconfig())?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    let kind = GroupVersionKind::gvk("cloud-desktops.dev", "v1alpha1", "DesktopDeletion");
    let kind = ApiResource::from_gvk(&kind);
    let requests = Api::<DynamicObject>::namespaced_with(Client::try_from(config)?, namespace, &kind);
    // The API server learns of the account's rights by watches.
    let look = async || requests.list(&ListParams::default()).await.map(drop);
    eventually("the account may list requests", GENEROUS, look).await?;
    Ok(requests)
}

/// Sets a label as the operator would set a finalizer.
async fn label(requests: &Api<DynamicObject>, wave: &str) -> kube::Result<DynamicObject> {
    let patch = Patch::Merge(json!({"metadata": {"labels": {"wave": wave}}}));
    requests.patch("leavers", &PatchParams::default(), &patch).await
}

#[tokio::test]
async fn a_write_can_be_held_dropped_and_replaced_before_and_after_its_effect() -> Result<()> {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace("proxy").await?;
    control_plane.deploy("deploy", namespace.name()).await?;
    namespace
        .apply(&manifests::desktop_deletion("leavers", "prod", ["pc-1"]))
        .await?;
    let proxy = ApiServerProxy::start(control_plane, namespace.name(), SERVICE_ACCOUNT).await?;
    let through = requests(&proxy, namespace.name()).await?;
    let direct = namespace.deletions();
    let wave = async || {
        let object = direct.get("leavers").await?;
        Ok::<_, kube::Error>(json!(object.metadata.labels.unwrap_or_default().get("wave")))
    };
    let is_label = |request: &ApiRequest| request.writes("desktopdeletions", "", "leavers");

    label(&through, "1").await?;
    assert_eq!(wave().await?, "1");

    let trap = proxy.trap(Moment::Before, 1, is_label);
    let look = async {
        let caught = trap.sprung().await?;
        assert_eq!(caught.request.body["metadata"]["labels"]["wave"], "2");
        let meanwhile = wave().await?;
        caught.go_on();
        Result::<Value>::Ok(meanwhile)
    };
    let (answer, meanwhile) = tokio::join!(label(&through, "2"), look);
    answer?;
    assert_eq!((meanwhile?, wave().await?), (json!("1"), json!("2")));

    let trap = proxy.trap(Moment::Before, 1, is_label);
    let close = async { trap.sprung().await.map(Caught::drop_connection) };
    let (answer, lost) = tokio::join!(label(&through, "3"), close);
    lost?;
    answer.unwrap_err();
    assert_eq!(wave().await?, "2", "the request was lost");

    let trap = proxy.trap(Moment::After, 1, is_label);
    let replace = async { trap.sprung().await?.answer(403) };
    let (answer, replaced) = tokio::join!(label(&through, "4"), replace);
    replaced?;
    let error = answer.unwrap_err().to_string();
    assert!(error.contains("made up by a test"), "{error}");
    assert_eq!(wave().await?, "4", "the answer was replaced");

    let trap = proxy.trap(Moment::After, 1, is_label);
    let cut = async { trap.sprung().await.map(Caught::cut_answer) };
    let (answer, done) = tokio::join!(label(&through, "5"), cut);
    done?;
    answer.unwrap_err();
    assert_eq!(wave().await?, "5", "the answer broke off");
    assert_eq!(proxy.count(is_label), 5, "each of them was counted");
    Ok(())
}

#[tokio::test]
async fn lists_show_the_past_and_a_watch_that_follows_catches_up() -> Result<()> {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace("past").await?;
    control_plane.deploy("deploy", namespace.name()).await?;
    let applied = namespace
        .apply(&manifests::desktop_deletion("leavers", "prod", ["pc-1"]))
        .await?;
    let past = applied.metadata.resource_version.unwrap();
    let proxy = ApiServerProxy::start(control_plane, namespace.name(), SERVICE_ACCOUNT).await?;
    let through = requests(&proxy, namespace.name()).await?;
    label(&through, "1").await?;
    let wave = |object: &DynamicObject| {
        object
            .metadata
            .labels
            .clone()
            .unwrap_or_default()
            .get("wave")
            .cloned()
    };

    proxy.show_lists_as_of(&past, |request| request.resource == "desktopdeletions");
    let listed = through.list(&ListParams::default()).await?;
    assert_eq!(wave(&listed.items[0]), None, "as it was");
    let version = listed.metadata.resource_version.unwrap();
    assert_eq!(version, past);
    let watch = through.watch(&WatchParams::default(), &version).await?;
    let mut watch = std::pin::pin!(watch);
    match watch.try_next().await? {
        Some(WatchEvent::Modified(object)) => assert_eq!(wave(&object).as_deref(), Some("1")),
        other => panic!("{other:?}"),
    }
    proxy.show_current_lists();
    let listed = through.list(&ListParams::default()).await?;
    assert_eq!(wave(&listed.items[0]).as_deref(), Some("1"), "as it is");
    Ok(())
}
