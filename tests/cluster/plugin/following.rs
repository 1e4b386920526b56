//! `wait`, `retry`, `resolve` and `split`; the plugin as kubectl finds it.

use desktop_deletion_operator::crd::RESOLVE_ANNOTATION;
use desktop_deletion_operator::crd::conditions::ConditionType::Submitted;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams};
use testkit::eventually;

use super::*;
use crate::crd_rules::attempt;
use crate::doubt::lost;
use crate::fixture::{Fixture, desktop};

/// A request whose last attempt has an unknown outcome.
fn in_doubt() -> Value {
    json!({
        "observedGeneration": 1,
        "conditions": [condition("Submitted", "Unknown", "OutcomeUnknown"), condition("Succeeded", "Unknown", "Waiting")],
        "project": {"region": "ap-southeast-1", "projectID": "0123", "endpoint": "https://workspace.example"},
        "attempts": [attempt("a1", "Pending", json!({}))],
        "desktops": [{"id": "d1", "state": "Pending"}, {"id": "d2", "state": "Pending"}],
        "summary": {"total": 2, "absent": 0, "deleted": 0, "deleting": 0, "failed": 0, "pending": 2, "unknown": 0},
    })
}

#[tokio::test]
async fn a_request_is_followed_to_its_end_and_retry_prints_a_request_for_the_failed_desktops() {
    let ignored = json!({"id": "pc-3", "outcome": "ignored"});
    let fixture = Fixture::set("plugin-wait", &[desktop("pc-1"), desktop("pc-2"), ignored]).await;
    let kubeconfig = fixture.control_plane.kubeconfig_path().to_owned();
    let desk = PluginUser::with(fixture.namespace.clone(), kubeconfig);
    let _operator = fixture.operator(&[]);
    fixture.request("all", &["pc-1"]).await;
    let ran = desk.run(&["wait", "all"], "").await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(
        ran.out.contains(": Deleted\n") && ran.out.contains("all: AllDeleted: "),
        "{}",
        ran.out
    );

    fixture.request("some", &["pc-2", "pc-3"]).await;
    let ran = desk.run(&["wait", "some", "--output=json"], "").await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let end: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&end["reason"], &end["finished"]),
        (&json!("PartiallyFailed"), &json!(true))
    );
    assert_eq!(end["desktops"][1]["state"], "Failed");

    let ran = desk.run(&["retry", "some"], "").await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(
        ran.out.starts_with(
            "# Desktops that some did not delete. Check those with state Unknown in the console first; \
                they may still be deleted:\n#   pc-3"
        ),
        "{}",
        ran.out
    );
    let apply = ["apply", "--validate=strict", "--filename=-"];
    let applied = fixture.control_plane.kubectl_with_input(apply, &ran.out).await;
    applied.unwrap().stdout().unwrap();
    assert_eq!(desk.spec("some-retry").await["desktopIDs"], json!(["pc-3"]));
    let ran = desk.run(&["retry", "all"], "").await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
}

#[tokio::test]
async fn wait_ends_at_its_timeout_or_when_the_object_is_deleted() {
    let desk = PluginUser::new("plugin-patience").await;
    desk.request("leavers", &planned()).await;
    let ran = desk.run(&["wait", "leavers", "--timeout=10ms"], "").await;
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("timed out waiting for leavers"), "{ran:?}");
    assert!(ran.out.contains("leavers: AwaitingApproval: "), "{ran:?}");

    let mut child = desk.start(&["wait", "leavers"]);
    printed(&mut child, "leavers: AwaitingApproval: ").await;
    let deleted = desk
        .namespace
        .deletions()
        .delete("leavers", &DeleteParams::default())
        .await;
    deleted.unwrap();
    let ran = ended(child, "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.contains("leavers was deleted before it was finished"),
        "{ran:?}"
    );
}

/// The annotation of `leavers` that resolves an attempt.
async fn annotation(desk: &PluginUser) -> Option<String> {
    let object = desk.namespace.deletions().get("leavers").await.unwrap();
    object.metadata.annotations?.get(RESOLVE_ANNOTATION).cloned()
}

#[tokio::test]
async fn an_attempt_is_resolved_by_the_documented_annotation_only_after_confirmation() {
    let desk = PluginUser::new("plugin-resolve").await;
    desk.request("leavers", &in_doubt()).await;
    let ran = desk.run(&["resolve", "leavers", "--abandon"], "n\n").await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("Outcome:       Pending (unknown)"), "{ran:?}");
    assert!(
        ran.err.contains(
            "cloud-desktops.dev/resolve=a1=abandon? The operator will abandon the request; its desktops may \
                still be deleted. [y/N]"
        ),
        "{ran:?}"
    );
    assert_eq!(annotation(&desk).await, None);
    let ran = desk.run(&["resolve", "leavers", "--abandon"], "y\n").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(annotation(&desk).await.as_deref(), Some("a1=abandon"));
    let ran = desk
        .run(
            &["resolve", "leavers", "--adopt=job-9", "--attempt=a1", "--yes"],
            "",
        )
        .await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(annotation(&desk).await.as_deref(), Some("a1=adopt:job-9"));

    for (arguments, says) in [
        (&["--retry", "--attempt=a2"][..], "the request has no attempt a2"),
        (&["--adopt=job 9"], "invalid value a1=adopt:job 9"),
    ] {
        let arguments = [&["resolve", "leavers", "--yes"], arguments].concat();
        let ran = desk.run(&arguments, "").await;
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(says), "{ran:?}");
    }
    assert_eq!(annotation(&desk).await.as_deref(), Some("a1=adopt:job-9"));

    // Another client changes something else in the meantime.
    let mut child = desk.start(&["resolve", "leavers", "--abandon"]);
    printed(&mut child, "Submitted:").await;
    desk.annotate("leavers", "example.com/note", "seen").await;
    let ran = ended(child, "y\n").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(annotation(&desk).await.as_deref(), Some("a1=abandon"));

    // Another client decides first.
    let mut child = desk.start(&["resolve", "leavers", "--retry"]);
    printed(&mut child, "Submitted:").await;
    desk.annotate("leavers", RESOLVE_ANNOTATION, "a1=adopt:job-8")
        .await;
    let ran = ended(child, "y\n").await;
    says_changed(&ran);
    assert_eq!(annotation(&desk).await.as_deref(), Some("a1=adopt:job-8"));

    // The operator finds evidence first.
    let mut child = desk.start(&["resolve", "leavers", "--retry"]);
    printed(&mut child, "Submitted:").await;
    let mut status = in_doubt();
    status["conditions"][0]["message"] = json!("made up by a test. Probable job: job-7");
    desk.write("leavers", &status).await;
    says_changed(&ended(child, "y\n").await);
    assert_eq!(annotation(&desk).await.as_deref(), Some("a1=adopt:job-8"));

    // The operator finds the job first.
    let mut child = desk.start(&["resolve", "leavers", "--retry"]);
    printed(&mut child, "Submitted:").await;
    let mut status = in_doubt();
    status["attempts"][0]["outcome"] = json!("Adopted");
    status["attempts"][0]["jobIDs"] = json!(["job-7"]);
    desk.write("leavers", &status).await;
    let ran = ended(child, "y\n").await;
    says_changed(&ran);
    assert_eq!(annotation(&desk).await.as_deref(), Some("a1=adopt:job-8"));
}

fn says_changed(ran: &PluginOutput) {
    assert_eq!(ran.code, 2, "{ran:?}");
    let reason = "the request has changed since it was shown: the annotation was not set; try again";
    assert!(ran.err.contains(reason), "{ran:?}");
}

/// The operator handles a value once, and again after the annotation was removed.
#[tokio::test]
async fn a_resolution_that_was_handled_already_is_handled_again() {
    let fixture = Fixture::set("plugin-again", &[desktop("pc-1")]).await;
    // The call has no effect, so that no evidence changes the attempt.
    let lost = lost("pc-1", false, &json!("reset"));
    fixture.cloud.add_fault(&lost).unwrap();
    let kubeconfig = fixture.control_plane.kubeconfig_path().to_owned();
    let desk = PluginUser::with(fixture.namespace.clone(), kubeconfig);
    // A signature lives for a quarter of an hour, so that each retry is refused.
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-1"]).await;
    fixture.reason("leavers", Submitted, "AwaitingEvidence").await;
    for count in 1..=3 {
        let ran = desk.run(&["resolve", "leavers", "--retry", "--yes"], "").await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let refused = async || match refusals(&fixture).await {
            found if found == count => Ok(()),
            found => Err(format!("{found} Events, not {count}")),
        };
        let refused = eventually("the value is handled once more", BOUND, refused).await;
        refused.unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(fixture.posts().len(), 1);
}

/// How many Events refuse an annotation: there is one for each time that the operator handled it.
async fn refusals(fixture: &Fixture) -> usize {
    let events = fixture.namespace.api::<Event>();
    let events = events.list(&ListParams::default()).await.unwrap();
    let refusal = |event: &&Event| event.reason.as_deref() == Some("ResolveRefused");
    events.iter().filter(refusal).count()
}

#[tokio::test]
async fn a_handled_resolution_is_not_set_again_for_an_attempt_that_has_changed() {
    let desk = PluginUser::new("plugin-forget").await;
    let mut status = in_doubt();
    desk.request("leavers", &status).await;
    let resolve = ["resolve", "leavers", "--retry", "--yes"];
    let ran = desk.run(&resolve, "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    status["lastHandledResolve"] = json!("a1=retry");
    desk.write("leavers", &status).await;

    let child = desk.start(&resolve);
    let removed = async || match annotation(&desk).await {
        None => Ok(()),
        Some(value) => Err(value),
    };
    let removed = eventually("the annotation is removed", BOUND, removed).await;
    removed.unwrap_or_else(|error| panic!("{error}"));
    status["attempts"][0]["jobIDs"] = json!(["job-1"]);
    status.as_object_mut().unwrap().remove("lastHandledResolve");
    desk.write("leavers", &status).await;
    says_changed(&ended(child, "").await);
    assert_eq!(annotation(&desk).await, None);
}

#[tokio::test]
async fn a_long_list_is_split_into_requests_that_the_api_server_takes() {
    let desk = PluginUser::new("plugin-split").await;
    let ids: Vec<_> = (0..120).map(|number| format!("pc-{number}")).collect();
    let mut manifest = manifests::desktop_deletion("leavers", "prod", &ids);
    manifest["metadata"]["namespace"] = json!(desk.namespace.name());
    manifest["spec"]["expected"] = json!([{"id": "pc-119", "userName": "anna: \u{7f}\u{202e}"}]);
    for format in ["text", "json"] {
        let output = format!("--output={format}");
        let ran = desk.run(&["split", "-", &output], &manifest.to_string()).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
        let apply = ["apply", "--validate=strict", "--filename=-"];
        let cluster = ControlPlane::shared().await;
        let applied = cluster.kubectl_with_input(apply, &ran.out).await;
        applied.unwrap().stdout().unwrap();
    }
    let mut found = Vec::new();
    for name in ["leavers-1", "leavers-2", "leavers-3"] {
        let spec = desk.spec(name).await;
        found.extend(spec["desktopIDs"].as_array().unwrap().clone());
    }
    assert_eq!(json!(found), json!(ids));
    assert_eq!(
        desk.spec("leavers-3").await["expected"],
        manifest["spec"]["expected"]
    );
    let ran = desk.run(&["split", "missing.yaml"], "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("failed to read missing.yaml"), "{ran:?}");
}

#[tokio::test]
async fn kubectl_finds_the_plugin_and_its_completions() {
    let desk = PluginUser::new("plugin-kubectl").await;
    desk.request("leavers", &planned()).await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["kubectl-desktops", "kubectl_complete-desktops"] {
        let program = env!("CARGO_BIN_EXE_kubectl-desktops");
        std::os::unix::fs::symlink(program, folder.path().join(name)).unwrap();
    }
    let cluster = ControlPlane::shared().await;
    let kubectl = async |arguments: &[&str]| {
        let child = Command::new(cluster.kubectl_path())
            .args(arguments)
            .env_clear()
            .env("PATH", folder.path())
            .env("KUBECONFIG", &desk.kubeconfig)
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        ended(child.unwrap(), "").await
    };
    let namespace = format!("--namespace={}", desk.namespace.name());
    let ran = kubectl(&["desktops", "plan", "leavers", &namespace]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(ran.out.contains(HASH), "{ran:?}");
    for (words, expected) in [
        (&["ap"][..], "approve\n:4\n"),
        (&["plan", &namespace, "lea"], "leavers\n:4\n"),
        (&["plan", &namespace, "other"], ":4\n"),
        (&["wait", "leavers", "--time"], "--timeout\n:4\n"),
        (&["split", ""], ":0\n"),
    ] {
        // A list of names that comes too late is left out.
        let look = async || {
            let ran = kubectl(&[&["__complete", "desktops"], words].concat()).await;
            if (ran.code, ran.out.as_str()) == (0, expected) {
                Ok(())
            } else {
                Err(format!("{words:?}: {ran:?}"))
            }
        };
        let completed = eventually("the words are completed", BOUND, look).await;
        completed.unwrap_or_else(|error| panic!("{error}"));
    }
}
