//! A Prometheus server that scrapes the operator, evaluates the alerts that are shipped, and is asked what the dashboard
//! asks.

use std::path::Path;

use serde_json::{Value, json};
use testkit::{Process, ReservedPort, eventually};

use crate::fixture::{BOUND, Fixture, Running, desktop};
use crate::shutdown::{address, answers};

struct Prometheus<'a> {
    fixture: &'a Fixture,
    process: Process,
    url: String,
    _port: ReservedPort,
    _folder: tempfile::TempDir,
}

impl<'a> Prometheus<'a> {
    /// A server that scrapes the operator and evaluates the rules every second.
    fn start(fixture: &'a Fixture, operator: &Running) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.yaml");
        let configuration = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": [
                {"job_name": "operator", "static_configs": [{"targets": [address(operator).unwrap()]}]},
            ],
        });
        let file = folder.path().join("prometheus.yaml");
        std::fs::write(&file, configuration.to_string()).unwrap();
        let port = ReservedPort::reserve().unwrap();
        let server = format!("127.0.0.1:{}", port.number());
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={server}"),
        ];
        let program = testkit::prometheus_tool("prometheus").unwrap();
        Self {
            fixture,
            process: Process::start("prometheus", &program, arguments, &[]).unwrap(),
            url: format!("http://{server}/api/v1"),
            _port: port,
            _folder: folder,
        }
    }

    /// The data of its response.
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("{}/{path}", self.url);
        let answer = self.fixture.http().get(url).query(query).send().await;
        let answer = answer.map_err(|error| format!("{error}: {}", self.process.log_tail()))?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        if answer["status"] == "success" {
            Ok(answer["data"].clone())
        } else {
            Err(answer.to_string())
        }
    }

    /// The result of a query, once it is not empty.
    async fn has(&self, query: &str) -> Value {
        let look = async || {
            let found = self.get("query", &[("query", query)]).await?;
            let result = found["result"].clone();
            if result.as_array().is_some_and(Vec::is_empty) {
                Err(format!("nothing; {}", self.process.log_tail()))
            } else {
                Ok(result)
            }
        };
        eventually(query, BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Names of the series in an exposition, each once.
fn names(text: &str) -> std::collections::BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

#[tokio::test]
async fn a_prometheus_server_stores_every_series_and_evaluates_every_alert_and_every_query_of_the_dashboard()
{
    let fixture = Fixture::set("prometheus", &[desktop("pc-1")]).await;
    let operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.completed("leaver").await;
    let text = answers(&fixture, &operator, "/metrics", 200).await;
    let server = Prometheus::start(&fixture, &operator);

    server
        .has(r#"desktop_deletion_completed_requests_total{reason="AllDeleted"} == 1"#)
        .await;
    for name in names(&text) {
        server.has(name).await;
    }
    // The last scrape may have taken longer than the second that it has.
    let scraped = async || {
        let targets = server.get("targets", &[]).await?;
        let target = &targets["activeTargets"][0];
        if target["health"] == "up" && target["lastError"] == "" {
            Ok(())
        } else {
            Err(format!("{targets:#}"))
        }
    };
    eventually("the operator is scraped without an error", BOUND, scraped)
        .await
        .unwrap_or_else(|error| panic!("{error}"));

    every_alert_is_evaluated(&server).await;
    every_query_of_the_dashboard_is_answered(&server).await;
}

async fn every_alert_is_evaluated(server: &Prometheus<'_>) {
    let evaluated = async || {
        let groups = server.get("rules", &[]).await?;
        let rules = groups["groups"][0]["rules"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let healthy = |rule: &Value| rule["health"] == "ok" && rule["lastError"].is_null();
        if !rules.is_empty() && rules.iter().all(healthy) {
            Ok(rules)
        } else {
            Err(format!("{groups:#}"))
        }
    };
    let rules = eventually("every alert is evaluated", BOUND, evaluated)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let firing: Vec<_> = rules.iter().filter(|rule| rule["state"] == "firing").collect();
    assert!(firing.is_empty(), "{firing:#?}");
}

async fn every_query_of_the_dashboard_is_answered(server: &Prometheus<'_>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring/dashboard.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let mut answered = 0;
    for target in targets {
        let query = target["expr"]
            .as_str()
            .unwrap()
            .replace("$__rate_interval", "5m")
            .replace("$job", ".*");
        let answer = server.get("query", &[("query", &query)]).await.unwrap();
        assert!(answer["result"].is_array(), "{query}: {answer:#}");
        answered += 1;
    }
    assert!(answered > 20, "{answered}");
}
