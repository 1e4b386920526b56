//! Calls and objects in a few words.

use serde_json::Value;
use workspace_simulator::cloud;

use crate::api_server::{Request, Response};

/// Most characters of a response that are shown.
const SHOWN: usize = 200;

/// A call of the API server.
pub(crate) fn exchange(request: &Request, response: &Response) -> String {
    let sent: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let mut words = Vec::new();
    // An Event is named after the time of the machine.
    if sent["kind"] != "Event" {
        words.push(last(request.path.trim_end_matches("/status")).to_owned());
    }
    if let Some(version) = sent["metadata"]["resourceVersion"].as_str() {
        words.push(format!("at {version}"));
    }
    if !sent["metadata"]["finalizers"].is_null() && sent["spec"].is_null() {
        words.push(format!("finalizers {}", sent["metadata"]["finalizers"]));
    }
    if !sent["status"].is_null() {
        words.push(status(&sent["status"]));
    }
    if sent["kind"] == "Event" {
        words.push(format!("{} {}", text(&sent["reason"]), text(&sent["note"])));
    }
    words.push(format!("-> {}", response.code));
    if let Some(version) = response.body["metadata"]["resourceVersion"].as_str() {
        words.push(format!("at {version}"));
    }
    if response.code >= 400 {
        words.push(text(&response.body["message"]).to_owned());
    }
    words.join(" ")
}

/// A call of the cloud.
pub(crate) fn answer(request: &cloud::Request, response: &cloud::Response) -> String {
    let told = String::from_utf8_lossy(&response.body);
    let told: String = told.chars().take(SHOWN).collect();
    let query = if request.query.is_empty() {
        String::new()
    } else {
        format!("?{}", request.query)
    };
    let sent = String::from_utf8_lossy(&request.body);
    format!(
        "{}{query} {sent} -> {} {told}",
        last(&request.path),
        response.status.as_u16()
    )
}

/// A status.
pub(crate) fn status(status: &Value) -> String {
    let list = |field: &str, word: &dyn Fn(&Value) -> String| {
        let items = status[field].as_array().into_iter().flatten();
        items.map(word).collect::<Vec<_>>().join(" ")
    };
    let attempts = list("attempts", &|a| {
        let jobs = a["jobIDs"]
            .as_array()
            .map_or(String::new(), |_| a["jobIDs"].to_string());
        format!("{}={}{jobs}", text(&a["id"]), text(&a["outcome"]))
    });
    let desktops = list("desktops", &|d| {
        format!("{}={}", text(&d["id"]), text(&d["state"]))
    });
    let conditions = list("conditions", &|c| {
        format!(
            "{}={}/{}",
            text(&c["type"]),
            text(&c["status"]),
            text(&c["reason"])
        )
    });
    let end = if status["completionTime"].is_null() {
        ""
    } else {
        ", finished"
    };
    format!("[{attempts} | {desktops} | {conditions}{end}]")
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
