//! Rules for GitOps tools: what the health checks and actions of `deploy/argocd/` and the expressions of `deploy/flux/` make of
//! objects in each state. The Lua VM is that of Argo CD, the evaluator of expressions that of Flux.

use std::collections::BTreeMap;

use desktop_deletion_operator::crd::conditions::{
    ConditionStatus, ConditionType, DELETION, PROJECT, Reason, Statement,
};
use desktop_deletion_operator::crd::{DesktopDeletion, WorkspaceProject};
use serde_json::{Value, json};

use crate::{documents, files, read, run};

/// What a reason means for people who wait for a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Good,
    Held,
    Working,
    NeedsAPerson,
}

impl Meaning {
    /// The words of Argo CD and of Flux. A request that is held on purpose must not block what is committed after it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("Healthy", "Current"),
            Self::Held => ("Suspended", "Current"),
            Self::Working => ("Progressing", "InProgress"),
            Self::NeedsAPerson => ("Degraded", "Failed"),
        }
    }
}

/// What the rules make of each object, in order: `argocd`, `actions`, `flux`.
fn judge(objects: &[Value]) -> Vec<Value> {
    judge_with(objects, &json!({}))
}

/// The same, with these parameters for the actions.
fn judge_with(objects: &[Value], parameters: &Value) -> Vec<Value> {
    let program = testkit::go_tool("gitops-rules").unwrap();
    let input = json!({
        "argocd": customizations(), "flux": expressions(), "objects": objects, "parameters": parameters,
    });
    let printed = run(&program, [""; 0], &[], &input.to_string());
    assert!(printed.success, "{}", printed.stderr);
    serde_json::from_str(&printed.stdout).unwrap()
}

/// Health checks and actions of `argocd-cm`, by kind.
fn customizations() -> Value {
    let config: Value = serde_saphyr::from_str(&read("deploy/argocd/argocd-cm.yaml")).unwrap();
    let mut kinds: BTreeMap<String, Value> = BTreeMap::new();
    for (key, text) in config["data"].as_object().unwrap() {
        let rest = key.strip_prefix("resource.customizations.").unwrap();
        let (what, kind) = rest.split_once(".cloud-desktops.dev_").unwrap();
        let text = text.as_str().unwrap();
        let kind = kinds.entry(kind.to_owned()).or_insert_with(|| json!({}));
        match what {
            "health" => kind["health"] = json!(text),
            "actions" => {
                let actions: Value = serde_saphyr::from_str(text).unwrap();
                for (field, value) in actions.as_object().unwrap() {
                    kind[field] = value.clone();
                }
            }
            other => panic!("{other}"),
        }
    }
    json!(kinds)
}

fn expressions() -> Value {
    let sample: Value = serde_saphyr::from_str(&read("deploy/flux/kustomization.yaml")).unwrap();
    sample["spec"]["healthCheckExprs"].clone()
}

/// An object of `gitops/`, and what the first lines of its file expect.
struct Golden {
    file: String,
    object: Value,
    argocd: String,
    flux: String,
    actions: Vec<String>,
}

fn golden() -> Vec<Golden> {
    let golden = |file: &std::path::PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        let expected = |what: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(what));
            line.unwrap_or_else(|| panic!("{}: no line {what}", file.display()))
                .to_owned()
        };
        let actions = expected("# Actions: ");
        let mut objects = documents(&text);
        assert_eq!(objects.len(), 1, "{}", file.display());
        Golden {
            file: file.file_name().unwrap().to_str().unwrap().to_owned(),
            object: objects.remove(0),
            argocd: expected("# Argo CD: "),
            flux: expected("# Flux: "),
            actions: actions
                .split(", ")
                .filter(|action| *action != "none")
                .map(ToOwned::to_owned)
                .collect(),
        }
    };
    files("tests/packaging/gitops").iter().map(golden).collect()
}

#[test]
fn each_golden_object_has_the_health_that_its_file_states() {
    let golden = golden();
    let objects: Vec<_> = golden.iter().map(|golden| golden.object.clone()).collect();
    for (golden, verdict) in golden.iter().zip(judge(&objects)) {
        let file = &golden.file;
        assert_eq!(verdict["argocd"]["status"], golden.argocd, "{file}: {verdict:#}");
        assert_eq!(verdict["flux"], golden.flux, "{file}");
        let message = verdict["argocd"]["message"].as_str().unwrap();
        assert!(!message.is_empty(), "{file}");
        let actions = verdict["actions"].as_object().unwrap();
        let enabled: Vec<_> = actions
            .iter()
            .filter(|(_, action)| action["disabled"] == false)
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(enabled, golden.actions, "{file}");
        for (name, suspend) in [("suspend", true), ("resume", false)] {
            let mut expected = golden.object.clone();
            expected["spec"]["suspend"] = json!(suspend);
            assert_eq!(
                actions[name]["result"], expected,
                "{file}: {name} changes nothing else"
            );
        }
    }
}

#[test]
fn an_action_approves_the_plan_that_was_read_and_no_other() {
    let objects: Vec<_> = golden().into_iter().map(|golden| golden.object).collect();
    let shown = objects
        .iter()
        .find_map(|object| object.pointer("/status/plan/hash"))
        .unwrap();
    let mut approved = 0;
    for plan in [shown, &json!("sha256:0"), &json!("")] {
        let verdicts = judge_with(&objects, &json!({"plan": plan}));
        for (object, verdict) in objects.iter().zip(&verdicts) {
            let Some(action) = verdict["actions"].get("approve") else {
                assert_eq!(object["kind"], "WorkspaceProject");
                continue;
            };
            if object.pointer("/status/plan/hash") == Some(plan) {
                let mut expected = object.clone();
                expected["spec"]["approvedPlan"] = plan.clone();
                assert_eq!(action["result"], expected, "nothing else is changed");
                approved += 1;
            } else {
                assert_eq!(action["result"], json!(null), "{object:#}");
                let said = action["error"].as_str().unwrap();
                assert!(said.contains("check"), "{said}");
            }
        }
    }
    assert_eq!(approved, 3);
}

#[test]
fn golden_objects_match_the_types_of_the_operator() {
    let mut kinds = BTreeMap::from([("DesktopDeletion", 0), ("WorkspaceProject", 0)]);
    for golden in golden() {
        let (file, object) = (&golden.file, &golden.object);
        let kind = object["kind"].as_str().unwrap();
        *kinds.get_mut(kind).unwrap() += 1;
        let (kept, statements) = if kind == "DesktopDeletion" {
            (kept::<DesktopDeletion>(object), DELETION)
        } else {
            (kept::<WorkspaceProject>(object), PROJECT)
        };
        assert_eq!(kept["status"], object["status"], "{file}: unknown fields");
        for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
            let known = statements.iter().any(|(kind, status, reasons)| {
                // Of a request, Ready repeats the reason of another condition.
                let this = condition["type"] == kind.as_str() && condition["status"] == status.as_str();
                let repeats = kind_is_repeated(statements, condition);
                (this || repeats)
                    && reasons
                        .iter()
                        .any(|reason| condition["reason"] == reason.as_str())
            });
            assert!(known, "{file}: {condition}");
        }
    }
    assert!(kinds.values().all(|count| *count >= 5), "{kinds:?}");
}

/// What the kind reads of an object, and writes again.
fn kept<K: serde::Serialize + serde::de::DeserializeOwned>(object: &Value) -> Value {
    let read: K = serde_json::from_value(object.clone()).unwrap();
    serde_json::to_value(read).unwrap()
}

fn kind_is_repeated(statements: &[Statement], condition: &Value) -> bool {
    condition["type"] == "Ready" && statements.iter().all(|(kind, ..)| *kind != ConditionType::Ready)
}

/// An object with these conditions, each with the same reason.
fn object(kind: &str, conditions: &[(ConditionType, ConditionStatus)], reason: Reason) -> Value {
    let condition = |(kind, status): &(ConditionType, ConditionStatus)| {
        json!({
            "type": kind.as_str(), "status": status.as_str(), "reason": reason.as_str(), "message": "why",
            "observedGeneration": 1, "lastTransitionTime": "2026-11-28T10:00:00Z",
        })
    };
    let conditions: Vec<_> = conditions.iter().map(condition).collect();
    json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1", "kind": kind,
        "metadata": {"name": reason.as_str().to_lowercase(), "generation": 1}, "spec": {},
        "status": {"observedGeneration": 1, "conditions": conditions},
    })
}

#[test]
fn every_reason_has_the_appropriate_health() {
    use ConditionStatus::{False, True, Unknown};
    use ConditionType::{Ready, Reconciling, Stalled, Succeeded};
    let mut cases = Vec::new();
    for (kind, status, reasons) in DELETION {
        for &reason in *reasons {
            let (conditions, meaning): (&[_], _) = match (kind, status) {
                (Succeeded, True) => (&[(Succeeded, True), (Ready, True)], Meaning::Good),
                (Reconciling, True) => (&[(Ready, Unknown), (Reconciling, True)], Meaning::Working),
                (Stalled, True) => (&[(Ready, False), (Stalled, True)], Meaning::NeedsAPerson),
                _ => continue,
            };
            cases.push((object("DesktopDeletion", conditions, reason), meaning));
        }
    }
    let held = [
        Reason::Suspended,
        Reason::ProjectSuspended,
        Reason::Scheduled,
        Reason::AwaitingApproval,
        Reason::PlanChanged,
    ];
    for reason in held {
        cases.push((
            object("DesktopDeletion", &[(Ready, False)], reason),
            Meaning::Held,
        ));
    }
    for (kind, status, reasons) in PROJECT {
        for &reason in *reasons {
            let (conditions, meaning): (&[_], _) = match (kind, status, reason) {
                (Ready, True, _) => (&[(Ready, True)], Meaning::Good),
                (Ready, _, Reason::EndpointUnreachable | Reason::ServiceUnavailable | Reason::Throttled) => {
                    (&[(Ready, False)], Meaning::Working)
                }
                (Ready, ..) => (&[(Ready, False)], Meaning::NeedsAPerson),
                _ => (&[(Ready, False), (Stalled, True)], Meaning::NeedsAPerson),
            };
            cases.push((object("WorkspaceProject", conditions, reason), meaning));
        }
    }
    assert!(cases.len() > 40, "{}", cases.len());
    let objects: Vec<_> = cases.iter().map(|(object, _)| object.clone()).collect();
    for ((object, meaning), verdict) in cases.iter().zip(judge(&objects)) {
        let (argocd, flux) = meaning.words();
        assert_eq!(verdict["argocd"]["status"], argocd, "{object:#}");
        assert_eq!(verdict["flux"], flux, "{object:#}");
    }
}
