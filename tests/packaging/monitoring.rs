//! Alerts and dashboard, loaded by Prometheus' own tool.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Printed, path, read, run};

fn promtool(arguments: &[&str]) -> Printed {
    let program = testkit::prometheus_tool("promtool").unwrap();
    run(&program, arguments, &[], "")
}

#[test]
fn each_alert_fires_when_it_must_and_only_then() {
    let file = path("tests/packaging/alerts.test.yaml").display().to_string();
    let printed = promtool(&["test", "rules", &file]);
    assert!(printed.success, "{}{}", printed.stdout, printed.stderr);
}

#[test]
fn each_alert_is_tested_firing_and_not_firing() {
    let rules: Value = serde_saphyr::from_str(&read("docs/alerts.yaml")).unwrap();
    let alerts = rules["groups"][0]["rules"].as_array().unwrap().iter();
    let mut seen: BTreeMap<_, (bool, bool)> = alerts
        .map(|rule| (rule["alert"].as_str().unwrap(), (false, false)))
        .collect();
    let tests: Value = serde_saphyr::from_str(&read("tests/packaging/alerts.test.yaml")).unwrap();
    for test in tests["tests"].as_array().unwrap() {
        for check in test["alert_rule_test"].as_array().unwrap() {
            let (firing, silent) = seen.get_mut(check["alertname"].as_str().unwrap()).unwrap();
            let expected = check["exp_alerts"].as_array().unwrap();
            *firing |= !expected.is_empty();
            *silent |= expected.is_empty();
        }
    }
    seen.retain(|_, tested| *tested != (true, true));
    assert!(seen.is_empty(), "(firing, not firing): {seen:?}");
}

#[test]
fn every_query_of_the_dashboard_is_one_that_prometheus_parses() {
    let dashboard: Value = serde_json::from_str(&read("deploy/monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries: Vec<_> = panels
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "5m"))
        .collect();
    assert!(queries.len() > 20, "{}", queries.len());
    let rule =
        |(number, query): (usize, &String)| json!({"record": format!("query:{number}"), "expr": query});
    let rules: Vec<_> = queries.iter().enumerate().map(rule).collect();
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(file.path(), groups.to_string()).unwrap();
    let printed = promtool(&["check", "rules", file.path().to_str().unwrap()]);
    assert!(printed.success, "{}{}", printed.stdout, printed.stderr);
}
