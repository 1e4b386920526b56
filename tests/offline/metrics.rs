//! The page on metrics and the alerts match the exported metrics: every metric of `/metrics` has its row, and no row,
//! alert or label refers to something that does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::{Outcome, Summary};
use desktop_deletion_operator::runtime::health::Health;
use desktop_deletion_operator::runtime::metrics::{CallCode, Incident, Metrics};
use desktop_deletion_operator::workspace::error::{BreakerKind, Operation};
use kube::runtime::reflector;
use serde_json::Value;

/// What is exported of one metric.
#[derive(Debug, Default, PartialEq, Eq)]
struct Exported {
    kind: String,
    labels: BTreeSet<String>,
    /// Values of the labels, as far as they were seen.
    values: BTreeSet<(String, String)>,
}

#[test]
fn every_metric_has_its_row_and_every_row_its_metric() {
    let exported: BTreeMap<_, _> = exported()
        .into_iter()
        .map(|(name, metric)| (name, (metric.kind, metric.labels)))
        .collect();
    let mut rows = BTreeMap::new();
    for row in rows_of("What is exported") {
        let [name, kind, labels, meaning] = row.try_into().unwrap();
        let labels: BTreeSet<String> = code(&labels).into_iter().collect();
        assert!(meaning.ends_with('.'), "{name}: {meaning}");
        rows.insert(code(&name).remove(0), (kind, labels));
    }
    assert_eq!(rows, exported);
}

#[test]
fn the_help_of_every_metric_is_one_sentence() {
    let text = all().encode().unwrap();
    let helps: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("# HELP ")).collect();
    assert_eq!(helps.len(), exported().len());
    for help in helps {
        assert!(help.ends_with('.') && !help.ends_with(".."), "{help}");
    }
}

#[test]
fn the_alerts_of_the_page_are_those_of_the_rule_file() {
    let of = |rule: &Value| {
        let severity = rule["labels"]["severity"].as_str().unwrap().to_owned();
        (rule["alert"].as_str().unwrap().to_owned(), severity)
    };
    let rules: Vec<_> = rules().iter().map(of).collect();
    let rows: Vec<_> = rows_of("Alerts")
        .into_iter()
        .map(|row| (code(&row[0]).remove(0), row[1].clone()))
        .collect();
    assert_eq!(rows, rules);
}

#[test]
fn the_alerts_query_only_exported_metrics() {
    let exported = exported();
    let mut selectors = 0;
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap();
        selectors += asks_for_what_is_exported(&exported, alert, rule["expr"].as_str().unwrap()).len();
    }
    assert!(selectors > rules().len(), "{selectors} selectors were found");
}

#[test]
fn the_dashboard_shows_every_metric_and_queries_only_exported_ones() {
    let exported = exported();
    let dashboard: Value = serde_json::from_str(&read("deploy/monitoring/dashboard.json")).unwrap();
    let mut shown = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is taken"
        );
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let names = asks_for_what_is_exported(&exported, title, query);
            assert!(!names.is_empty(), "{title}: {query}");
            assert_eq!(
                query.matches("{job=~\"$job\"").count(),
                names.len(),
                "{title}: not of the chosen job: {query}"
            );
            let kept = grouped_by(query);
            for label in &kept {
                let known = names.iter().all(|name| exported[name].labels.contains(label));
                let target = ["le", "job", "instance"].contains(&label.as_str());
                assert!(known || target, "{title}: no label {label} in {query}");
            }
            let legend = target["legendFormat"].as_str().unwrap();
            for label in legend
                .split("{{")
                .skip(1)
                .map(|rest| rest.split_once("}}").unwrap().0)
            {
                assert!(
                    kept.contains(&label.to_owned()),
                    "{title}: {label} of the legend is not in {query}"
                );
            }
            shown.extend(names);
        }
    }
    assert_eq!(shown, exported.into_keys().collect());
}

/// Checks metrics, labels and values of a query, and returns the metrics of its selectors.
fn asks_for_what_is_exported(
    exported: &BTreeMap<String, Exported>,
    place: &str,
    expression: &str,
) -> Vec<String> {
    let mut names = Vec::new();
    for (selected, matchers) in selected(expression) {
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| selected.strip_suffix(suffix))
            .find(|name| {
                exported
                    .get(*name)
                    .is_some_and(|metric| metric.kind == "histogram")
            })
            .unwrap_or(&selected)
            .to_owned();
        let metric = exported.get(&name);
        let metric = metric.unwrap_or_else(|| panic!("{place}: {selected} is not exported"));
        // Prometheus adds the label job.
        for (label, value) in matchers.into_iter().filter(|(label, _)| label != "job") {
            assert!(
                metric.labels.contains(&label),
                "{place}: {name} has no label {label}"
            );
            // The codes of the cloud are open-ended; of all else every value is there from the start.
            for value in value.split('|').filter(|_| label != "code") {
                assert!(
                    metric.values.contains(&(label.clone(), value.to_owned())),
                    "{place}: {label} of {name} is never {value}"
                );
            }
        }
        names.push(name);
    }
    names
}

/// The labels in `by (a, b)`.
fn grouped_by(query: &str) -> Vec<String> {
    let groups = query
        .split("by (")
        .skip(1)
        .map(|rest| rest.split_once(')').unwrap().0);
    groups
        .flat_map(|group| group.split(','))
        .map(|label| label.trim().to_owned())
        .collect()
}

#[test]
fn every_incident_is_explained_as_an_event() {
    let page = read("docs/conditions.md");
    for incident in Incident::ALL {
        let heading = format!("### {}\n\nEvent\n", incident.as_str());
        assert!(page.contains(&heading), "docs/conditions.md lacks:\n{heading}");
    }
}

/// Metrics of which each has at least one series.
fn all() -> Metrics {
    let metrics = Metrics::new();
    let (requests, _) = reflector::store();
    let (projects, _) = reflector::store();
    metrics.watch_requests(requests, |_| false);
    metrics.watch_projects(projects);
    let health = Health::default();
    // A heartbeat that was dropped still has an age.
    drop(health.register_heartbeat("pollers", Duration::from_secs(1)));
    metrics.watch_health(health);
    metrics.watch_circuit_breaker(|| {
        vec![
            (BreakerKind::Credentials, 0),
            (BreakerKind::Throttled, 0),
            (BreakerKind::Unanswered, 0),
        ]
    });
    metrics.watch_claims(|| 0);
    metrics.watch_unreadable(|| 0);
    metrics.watch_undecodable(|| vec![("DesktopDeletion", 0)]);
    metrics.attempt_settled(Outcome::Accepted, None);
    metrics.completed(Reason::AllDeleted, Summary::default());
    metrics.cloud_call(Operation::BatchDelete, CallCode::Http(202));
    metrics.suppressed(Operation::BatchDelete, BreakerKind::Credentials);
    metrics.permit_wait("poll", Duration::ZERO);
    for result in ["ok", "conflict", "error"] {
        metrics.reconcile("DesktopDeletion", result, Duration::ZERO);
    }
    metrics.api_write("DesktopDeletion", "Finish");
    metrics
}

/// By the name that a query uses; a histogram by what its series have in common.
fn exported() -> BTreeMap<String, Exported> {
    let text = all().encode().unwrap();
    let mut metrics = BTreeMap::new();
    let mut current = (String::new(), Exported::default());
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (family, kind) = kind.split_once(' ').unwrap();
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            metrics.extend([std::mem::take(&mut current)]);
            current.0 = format!("{family}{suffix}");
            kind.clone_into(&mut current.1.kind);
        } else if !line.starts_with('#') {
            let labels = line.split_once('{').map_or("", |(_, rest)| rest);
            let labels = labels.rsplit_once('}').map_or("", |(labels, _)| labels);
            for (label, value) in matchers(labels).into_iter().filter(|(label, _)| label != "le") {
                current.1.labels.insert(label.clone());
                current.1.values.insert((label, value));
            }
        }
    }
    metrics.extend([current]);
    metrics.remove("");
    metrics
}

/// The selectors of a query: name, and its label matchers with any operator.
fn selected(expression: &str) -> Vec<(String, Vec<(String, String)>)> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = expression.match_indices("desktop_deletion_");
    let selector = |(start, _): (usize, &str)| {
        let rest = &expression[start..];
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let braces = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        (name.to_owned(), matchers(braces.map_or("", |(inside, _)| inside)))
    };
    starts.map(selector).collect()
}

/// Labels and values of `a="x", b=~"y"`.
fn matchers(text: &str) -> Vec<(String, String)> {
    let parts: Vec<_> = text.split('"').collect();
    let pair = |pair: &[&str]| {
        let label = pair[0].trim_matches([',', ' ', '=', '!', '~']);
        (label.to_owned(), pair[1].to_owned())
    };
    parts.chunks_exact(2).map(pair).collect()
}

fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read("docs/alerts.yaml")).unwrap();
    let groups = file["groups"].as_array().unwrap();
    let rules: Vec<_> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .cloned()
        .collect();
    for rule in &rules {
        let summary = rule["annotations"]["summary"].as_str().unwrap_or_default();
        assert!(summary.ends_with('.'), "{rule:#}");
    }
    rules
}

/// The cells of the table below a heading of the page, without its head.
fn rows_of(heading: &str) -> Vec<Vec<String>> {
    let page = read("docs/metrics.md");
    let section = page.split("\n## ").find(|section| section.starts_with(heading));
    let rows = section
        .unwrap()
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2);
    let cells = |row: &str| {
        row.trim_matches('|')
            .split('|')
            .map(|c| c.trim().to_owned())
            .collect()
    };
    rows.map(cells).collect()
}

/// What stands between backticks.
fn code(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(ToOwned::to_owned)
        .collect()
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
