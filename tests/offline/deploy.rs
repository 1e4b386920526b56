//! The guarantees of `deploy/`: permissions that are exactly those of the calls, a reason for each, a restricted pod,
//! and valid samples. (That an API server accepts all of it is checked by the cluster tests.)

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use desktop_deletion_operator::cli::Cli;
use desktop_deletion_operator::crd::deletion::Outcome;
use desktop_deletion_operator::crd::{self, DesktopDeletion, WorkspaceProject};
use desktop_deletion_operator::runtime::lease;
use desktop_deletion_operator::workspace::error::Operation;
use serde_json::{Value, json};

/// Every call of the API server that the operator makes: API group, resource, verb.
const CALLS: &[(&str, &str, &str)] = &[
    ("cloud-desktops.dev", "desktopdeletions", "get"),
    ("cloud-desktops.dev", "desktopdeletions", "list"),
    ("cloud-desktops.dev", "desktopdeletions", "watch"),
    ("cloud-desktops.dev", "desktopdeletions", "patch"),
    ("cloud-desktops.dev", "desktopdeletions/status", "update"),
    ("cloud-desktops.dev", "workspaceprojects", "get"),
    ("cloud-desktops.dev", "workspaceprojects", "list"),
    ("cloud-desktops.dev", "workspaceprojects", "watch"),
    ("cloud-desktops.dev", "workspaceprojects/status", "update"),
    ("events.k8s.io", "events", "create"),
    ("events.k8s.io", "events", "patch"),
    ("", "secrets", "get"),
];

const KEEP_FINALIZER: &str = "keep-finalizer.cloud-desktops.dev";

#[test]
fn the_permissions_of_the_operator_are_exactly_those_of_its_calls() {
    let calls: BTreeSet<_> = CALLS
        .iter()
        .map(|&(group, resource, verb)| right(group, resource, verb))
        .collect();
    let rights: BTreeSet<_> = of_kind("watched-namespace", "Role")
        .iter()
        .flat_map(rights_of)
        .collect();
    assert_eq!(rights, calls);
    assert!(
        of_kind("", "ClusterRole")
            .iter()
            .all(|role| name(role) != "desktop-deletion-operator")
    );
}

#[test]
fn the_operator_may_access_only_its_own_lease() {
    let roles = of_kind("base", "Role");
    let role = only(&roles, "Role");
    assert_eq!(name(&role), format!("{}-lease", lease::NAME));
    let group = "coordination.k8s.io";
    // A right to create cannot be bound to a name.
    let [create, own] = role["rules"].as_array().unwrap().as_slice() else {
        panic!("{role:#}")
    };
    assert_eq!(
        *create,
        json!({"apiGroups": [group], "resources": ["leases"], "verbs": ["create"]})
    );
    assert_eq!(
        *own,
        json!({
            "apiGroups": [group], "resources": ["leases"], "resourceNames": [lease::NAME], "verbs": ["get", "update"],
        })
    );
}

#[test]
fn a_rollout_starts_a_standby_before_it_stops_the_leader() {
    let deployments = of_kind("base", "Deployment");
    let spec = &deployments[0]["spec"];
    assert_eq!(spec["replicas"], 2);
    assert_eq!(spec["strategy"]["type"], "RollingUpdate");
    assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    let environment = spec["template"]["spec"]["containers"][0]["env"]
        .as_array()
        .unwrap();
    assert!(environment.contains(&json!({"name": "DESKTOP_DELETION_LEADER_ELECT", "value": "true"})));
}

#[test]
fn node_drains_evict_the_pods_one_at_a_time() {
    let budget = only(&of_kind("base", "PodDisruptionBudget"), "PodDisruptionBudget");
    let deployment = only(&of_kind("base", "Deployment"), "Deployment");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    assert_eq!(budget["spec"]["selector"], deployment["spec"]["selector"]);
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&budget["spec"]["selector"]["matchLabels"], labels);
}

#[test]
fn every_rbac_rule_has_a_comment_with_its_reason() {
    let mut rules = 0;
    for file in files("") {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for (index, _) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.starts_with("- apiGroups:"))
        {
            let comment: Vec<_> = lines[..index]
                .iter()
                .rev()
                .take_while(|line| line.starts_with('#'))
                .collect();
            let first = comment.last().copied().copied().unwrap_or_default();
            assert!(
                first.starts_with("# Reason: "),
                "{}, line {}: a rule without a reason",
                file.display(),
                index + 1
            );
            rules += 1;
        }
    }
    let places = ["/rules", "/spec/matchConstraints/resourceRules"];
    let declared: usize = manifests("")
        .iter()
        .flat_map(|manifest| places.map(|place| manifest.pointer(place)))
        .filter_map(|rules| rules?.as_array())
        .map(Vec::len)
        .sum();
    assert_eq!(rules, declared, "a rule that does not begin with its apiGroups");
}

#[test]
fn roles_for_users_allow_no_secrets_and_no_status_and_are_not_aggregated() {
    let roles = of_kind("base", "ClusterRole");
    assert_eq!(roles.len(), 4);
    for role in roles {
        let shown = serde_json::to_string(&role["metadata"]).unwrap();
        assert!(!shown.contains("aggregate-to-"), "{}", name(&role));
        for right in rights_of(&role) {
            assert!(
                right.starts_with("cloud-desktops.dev "),
                "{}: {right}",
                name(&role)
            );
            assert!(
                !right.contains("/status") && !right.contains('*'),
                "{}: {right}",
                name(&role)
            );
        }
    }
}

#[test]
fn the_policy_exempts_the_account_of_the_operator_and_no_other() {
    let policy = named("policies", "ValidatingAdmissionPolicy", KEEP_FINALIZER);
    let namespace = name(&only(&of_kind("base", "Namespace"), "Namespace"));
    let account = name(&only(&of_kind("base", "ServiceAccount"), "ServiceAccount"));
    let kustomization = fs::read_to_string(deploy().join("base/kustomization.yaml")).unwrap();
    let kustomization: Value = serde_saphyr::from_str(&kustomization).unwrap();
    assert_eq!(kustomization["namespace"], namespace);
    let deployment = only(&of_kind("base", "Deployment"), "Deployment");
    assert_eq!(
        deployment["spec"]["template"]["spec"]["serviceAccountName"],
        account
    );
    let conditions = policy["spec"]["matchConditions"].as_array().unwrap();
    let expressions: Vec<_> = conditions
        .iter()
        .map(|condition| condition["expression"].as_str().unwrap())
        .collect();
    let username = format!("system:serviceaccount:{namespace}:{account}");
    assert_eq!(
        expressions,
        [format!("request.userInfo.username != \"{username}\"")]
    );
    let text = fs::read_to_string(deploy().join("policies/keep-finalizer.yaml")).unwrap();
    assert_eq!(
        text.matches("system:serviceaccount:").count(),
        1,
        "deploy/README.md changes the namespace in one place"
    );
}

#[test]
fn the_policy_protects_the_finalizer_of_the_operator_and_fails_closed() {
    let policy = named("policies", "ValidatingAdmissionPolicy", KEEP_FINALIZER);
    let binding = named("policies", "ValidatingAdmissionPolicyBinding", KEEP_FINALIZER);
    assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    assert_eq!(
        binding["spec"],
        json!({"policyName": name(&policy), "validationActions": ["Deny"]})
    );
    let rules = json!([{
        "apiGroups": ["cloud-desktops.dev"],
        "apiVersions": ["v1alpha1"],
        "resources": ["desktopdeletions"],
        "operations": ["UPDATE"],
        "scope": "Namespaced",
    }]);
    assert_eq!(
        policy["spec"]["matchConstraints"],
        json!({"resourceRules": rules})
    );
    let spec = policy["spec"].to_string();
    let words = spec.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\\' | ','));
    let finalizers: Vec<_> = words
        .filter(|word| word.starts_with("cloud-desktops.dev") && word.contains('/'))
        .collect();
    // Of the old and of the new object, and in both messages.
    assert_eq!(finalizers, [crd::FINALIZER; 4]);
}

#[test]
fn the_policy_protects_the_finalizer_for_every_outcome_except_those_without_effect() {
    let policy = named("policies", "ValidatingAdmissionPolicy", KEEP_FINALIZER);
    let spec = policy["spec"].to_string();
    let (_, rest) = spec.split_once("a.outcome in [").unwrap();
    let named: Vec<_> = rest
        .split(']')
        .next()
        .unwrap()
        .split([',', ' ', '"', '\\'])
        .filter(|word| !word.is_empty())
        .collect();
    let without_effect = [Outcome::Rejected, Outcome::NotSent, Outcome::NoEffect];
    let without_effect = without_effect.map(|outcome| serde_json::to_value(outcome).unwrap());
    assert_eq!(json!(named), json!(without_effect));
}

#[test]
fn the_approval_policies_apply_to_every_user_and_fail_closed() {
    let rules = json!([{
        "apiGroups": ["cloud-desktops.dev"],
        "apiVersions": ["v1alpha1"],
        "resources": ["desktopdeletions"],
        "operations": ["CREATE", "UPDATE"],
        "scope": "Namespaced",
    }]);
    for (folder, kind, policy) in [
        (
            "policies",
            "ValidatingAdmissionPolicy",
            "approve.cloud-desktops.dev",
        ),
        (
            "self-approval",
            "ValidatingAdmissionPolicy",
            "deny-self-approval.cloud-desktops.dev",
        ),
        (
            "self-approval",
            "MutatingAdmissionPolicy",
            "stamp-creator.cloud-desktops.dev",
        ),
    ] {
        let mut wanted = json!({"policyName": policy});
        if kind == "ValidatingAdmissionPolicy" {
            wanted["validationActions"] = json!(["Deny"]);
        }
        assert_eq!(named(folder, &format!("{kind}Binding"), policy)["spec"], wanted);
        let spec = &named(folder, kind, policy)["spec"];
        assert_eq!(spec["failurePolicy"], "Fail", "{policy}");
        assert_eq!(spec["matchConditions"], json!(null), "{policy}");
        assert_eq!(
            spec["matchConstraints"],
            json!({"resourceRules": rules}),
            "{policy}"
        );
    }
    let text = fs::read_to_string(deploy().join("self-approval/deny-self-approval.yaml")).unwrap();
    assert_eq!(
        text.matches("expression: '[]'").count(),
        1,
        "deploy/README.md and the chart change the exempted users in one place"
    );
}

#[test]
fn the_pod_is_restricted_and_probed_and_has_time_to_record_a_submission() {
    let deployments = of_kind("base", "Deployment");
    let pod = &deployments[0]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(
        container["securityContext"]["capabilities"]["drop"],
        json!(["ALL"])
    );
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    let answer = crate::plan::build::timing().submission_timeout.as_secs();
    assert!(
        grace >= answer + 60,
        "{grace} s do not hold the {answer} s until a submission is answered, and its record"
    );
}

#[test]
fn an_unresponsive_process_is_restarted_within_a_minute() {
    let deployments = of_kind("base", "Deployment");
    let probe = &deployments[0]["spec"]["template"]["spec"]["containers"][0]["livenessProbe"];
    let seconds = |field: &str| probe[field].as_u64().unwrap();
    // It may stop right after a probe, and the last one has its time to fail.
    let noticed = seconds("periodSeconds") * seconds("failureThreshold") + seconds("timeoutSeconds");
    let replaced = noticed + seconds("terminationGracePeriodSeconds");
    assert!(replaced < 60, "{replaced} s: {probe:#}");
}

#[test]
fn the_pod_names_no_user_since_the_image_does_and_openshift_gives_it_another() {
    let deployment = only(&of_kind("base", "Deployment"), "Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    for context in [&pod["securityContext"], &pod["containers"][0]["securityContext"]] {
        for field in ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"] {
            assert!(context[field].is_null(), "{field}: {context}");
        }
    }
    // A kubelet can only check `runAsNonRoot` if the image names its user by number.
    let dockerfile = fs::read_to_string(deploy().join("Dockerfile")).unwrap();
    let user = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("USER "))
        .unwrap();
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| *id > 0), "{user}");
}

#[test]
fn the_network_policy_allows_dns_the_cloud_and_api_servers_on_every_usual_port() {
    let policy = only(&of_kind("base", "NetworkPolicy"), "NetworkPolicy");
    let ports = |protocol: &str| -> BTreeSet<u64> {
        let rules = policy["spec"]["egress"].as_array().unwrap();
        let ports = rules.iter().flat_map(|rule| rule["ports"].as_array().unwrap());
        ports
            .filter(|port| port["protocol"] == protocol)
            .map(|port| port["port"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(ports("UDP"), BTreeSet::from([53, 5353]));
    let tcp = [53, 5353, 443, 6443, 5443, 6444, 8443, 16443];
    assert_eq!(ports("TCP"), BTreeSet::from(tcp));
}

#[test]
fn every_variable_that_the_pod_gets_is_one_that_the_program_reads() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let read: BTreeSet<_> = run
        .get_arguments()
        .filter_map(|arg| arg.get_env()?.to_str())
        .collect();
    let mut named = 0;
    for file in files("") {
        let text = fs::read_to_string(&file).unwrap();
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        for variable in
            words.filter(|word| word.starts_with("DESKTOP_DELETION_") || word.starts_with("POD_N"))
        {
            assert!(read.contains(variable), "{}: {variable}", file.display());
            named += 1;
        }
    }
    assert!(
        named >= 4,
        "the Deployment sets log format, pod name and namespace; an overlay sets the namespaces"
    );
}

#[test]
fn every_manifest_belongs_to_a_kustomization() {
    for folder in ["base", "policies", "self-approval", "watched-namespace"] {
        let kustomization = fs::read_to_string(deploy().join(folder).join("kustomization.yaml")).unwrap();
        let kustomization: Value = serde_saphyr::from_str(&kustomization).unwrap();
        let listed = kustomization["resources"].as_array().unwrap();
        let listed: BTreeSet<_> = listed
            .iter()
            .map(|entry| entry.as_str().unwrap())
            .filter(|entry| !entry.starts_with("../"))
            .collect();
        let files = files(folder);
        let files: BTreeSet<_> = files
            .iter()
            .map(|file| file.file_name().unwrap().to_str().unwrap())
            .filter(|file| *file != "kustomization.yaml")
            .collect();
        assert_eq!(listed, files, "{folder}");
    }
}

#[test]
fn samples_are_valid_and_consistent() {
    let samples = manifests("samples");
    let secret = only(&samples, "Secret");
    let of_kind = |kind| samples.iter().filter(move |sample| sample["kind"] == kind);
    let mut projects = BTreeSet::new();
    for project in of_kind("WorkspaceProject") {
        keeps_every_field::<WorkspaceProject>(project);
        assert_eq!(
            project["spec"]["credentials"]["accessKey"]["secretRef"]["name"],
            secret["metadata"]["name"]
        );
        assert!(projects.insert(project["metadata"]["name"].as_str()));
    }
    let mut used = BTreeSet::new();
    for deletion in of_kind("DesktopDeletion") {
        keeps_every_field::<DesktopDeletion>(deletion);
        used.insert(deletion["spec"]["projectRef"]["name"].as_str());
    }
    assert_eq!(
        used, projects,
        "each project has a request, and each request a project"
    );
    assert_eq!(of_kind("DesktopDeletion").count(), 4);
    let hardened = fs::read_to_string(deploy().join("hardened/kustomization.yaml")).unwrap();
    assert!(
        hardened.contains(&format!("value: [{}]", name(&secret))),
        "the hardened overlay names the sample's Secret"
    );
}

#[test]
fn the_sample_of_the_secret_names_the_permissions_that_the_calls_need() {
    let text = fs::read_to_string(deploy().join("samples/secret.yaml")).unwrap();
    let words = text.split(|c: char| c.is_whitespace() || c == ',');
    let named: BTreeSet<_> = words.filter(|word| word.starts_with("workspace:")).collect();
    let needed = [
        Operation::BatchDelete,
        Operation::ListDesktops,
        Operation::ListDesktopsDetail,
        Operation::ShowDesktop,
        Operation::ListSubJobs,
        Operation::ShowJob,
    ];
    assert_eq!(
        named,
        needed.iter().map(|operation| operation.permission()).collect()
    );
}

/// The kind reads the sample and forgets nothing of it, as it would a misspelt field.
fn keeps_every_field<K: serde::Serialize + serde::de::DeserializeOwned>(sample: &Value) {
    let object: K = serde_json::from_value(sample.clone()).unwrap();
    let kept = serde_json::to_value(object).unwrap();
    assert_eq!(missing(sample, &kept), Vec::<String>::new(), "{}", name(sample));
}

fn missing(wanted: &Value, found: &Value) -> Vec<String> {
    match wanted {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(field, value)| match found.get(field) {
                Some(found) => missing(value, found),
                None => vec![field.clone()],
            })
            .collect(),
        value if value == found => Vec::new(),
        value => vec![value.to_string()],
    }
}

fn rights_of(role: &Value) -> Vec<String> {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                rights.extend(
                    texts(&rule["verbs"])
                        .iter()
                        .map(|verb| right(&group, &resource, verb)),
                );
            }
        }
    }
    rights
}

fn right(group: &str, resource: &str, verb: &str) -> String {
    format!("{group} {resource} {verb}")
}

fn only(manifests: &[Value], kind: &str) -> Value {
    let found: Vec<_> = manifests
        .iter()
        .filter(|manifest| manifest["kind"] == kind)
        .collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0].clone()
}

fn named(folder: &str, kind: &str, name: &str) -> Value {
    let mut found = of_kind(folder, kind);
    found.retain(|manifest| manifest["metadata"]["name"] == name);
    only(&found, kind)
}

fn name(manifest: &Value) -> String {
    manifest["metadata"]["name"].as_str().unwrap().to_owned()
}

fn of_kind(folder: &str, kind: &str) -> Vec<Value> {
    manifests(folder)
        .into_iter()
        .filter(|manifest| manifest["kind"] == kind)
        .collect()
}

/// The objects in the files below a folder of `deploy/`.
fn manifests(folder: &str) -> Vec<Value> {
    let mut manifests: Vec<Value> = Vec::new();
    for file in files(folder) {
        let text = fs::read_to_string(&file).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert!(
            documents.iter().all(|document| document["kind"].is_string()),
            "{}",
            file.display()
        );
        manifests.extend(documents);
    }
    manifests
}

/// The YAML files below a folder of `deploy/`, without the chart: its files are templates, or copies.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![deploy().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().unwrap() == "helm" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty());
    files
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}
