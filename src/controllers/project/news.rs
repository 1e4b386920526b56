//! What of a project concerns requests that wait for it: its spec, its conditions, and room under its daily limit. What is
//! reserved there concerns nobody who waits.

use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use crate::crd::WorkspaceProject;

/// The projects of a watch as requests were last told of them, by uid.
#[derive(Default)]
pub(super) struct News(HashMap<String, Told>);

struct Told {
    generation: Option<i64>,
    conditions: Vec<Condition>,
    usage: u32,
}

impl News {
    /// Takes in what the watch shows of a project, and says whether its requests are to be told.
    pub(super) fn shows(&mut self, project: &WorkspaceProject) -> bool {
        let status = project.status.clone().unwrap_or_default();
        let now = Told {
            generation: project.metadata.generation,
            conditions: status.conditions,
            usage: status.daily_usage.map_or(0, |usage| usage.desktops()),
        };
        let uid = project.uid().unwrap_or_default();
        let is_old = self.0.get(&uid).is_some_and(|told| {
            told.generation == now.generation && told.conditions == now.conditions && told.usage <= now.usage
        });
        self.0.insert(uid, now);
        !is_old
    }

    /// A project is gone.
    pub(super) fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    /// Projects were listed: what is not among them is gone.
    pub(super) fn keep(&mut self, exists: impl Fn(&str) -> bool) {
        self.0.retain(|uid, _| exists(uid));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn project(generation: i64, reason: &str, usage: &Value) -> WorkspaceProject {
        serde_json::from_value(json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "WorkspaceProject",
            "metadata": {"name": "prod", "uid": "u1", "generation": generation, "labels": {"any": reason}},
            "spec": {"region": "r", "projectID": "p", "credentials": {}},
            "status": {
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": reason, "message": "",
                    "lastTransitionTime": "2026-12-01T00:00:00Z",
                }],
                "dailyUsage": usage,
            },
        }))
        .unwrap()
    }

    fn used(desktops: i32) -> Value {
        json!({"submitted": [{"countsUntil": "2026-12-01T00:00:00Z", "desktops": desktops}]})
    }

    #[test]
    fn spec_conditions_and_room_are_news_and_a_reservation_is_not() {
        let mut news = News::default();
        assert!(news.shows(&project(1, "Valid", &Value::Null)), "it is new");
        assert!(!news.shows(&project(1, "Valid", &Value::Null)));
        assert!(!news.shows(&project(1, "Valid", &used(5))), "less room");
        assert!(!news.shows(&project(1, "Valid", &used(7))), "less room");
        assert!(news.shows(&project(1, "Valid", &used(6))), "more room");
        assert!(news.shows(&project(2, "Valid", &used(6))), "another spec");
        assert!(news.shows(&project(2, "Invalid", &used(6))), "another condition");
        news.forget("u1");
        assert!(news.shows(&project(2, "Invalid", &used(6))), "it is new");
        news.keep(|_| false);
        assert!(news.shows(&project(2, "Invalid", &used(6))), "it is new");
    }
}
