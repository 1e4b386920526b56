//! What the services make of a call, and what the judge has to know of it.

use invariants::reading::items;
use serde_json::Value;
use workspace_simulator::cloud;

use super::World;
use super::network::{Answer, ApiReply, CallInFlight, CallPayload, CloudReply};
use crate::api_server;
use crate::brief;
use crate::calls::Call;
use crate::facts::{Author, IdleWrite, Post};

impl World {
    /// Carries a call out.
    pub(super) fn handle(&mut self, call_in_flight: &CallInFlight) -> Answer {
        match &call_in_flight.payload {
            CallPayload::Api(request) => self.handle_api(call_in_flight, request),
            CallPayload::Cloud(request) => self.handle_cloud(call_in_flight, request),
        }
    }

    fn handle_api(&mut self, call_in_flight: &CallInFlight, request: &api_server::Request) -> Answer {
        let before = self.api.store.revision();
        let answer = self.api.handle(self.time.now(), request);
        let after = self.api.store.revision();
        if after > before {
            self.facts
                .authors
                .insert(after, Author::Operator(call_in_flight.who));
        }
        let (who, call) = (Self::name(call_in_flight.who), call_in_flight.call);
        match answer {
            api_server::Answer::Whole(response) => {
                let writes = matches!(call, Call::WriteStatus | Call::PatchRequest);
                if writes && response.code == 200 && after == before {
                    let uid = response.body["metadata"]["uid"].as_str().unwrap_or_default();
                    self.facts.idle_writes.push(IdleWrite {
                        uid: uid.to_owned(),
                        what: format!("{who}: {call} of {}", request.path),
                    });
                }
                if call == Call::WriteStatus && response.code == 200 {
                    self.note_conditions(&response.body);
                }
                self.tell(&who, || format!("{call} {}", brief::exchange(request, &response)));
                let body = response.bytes();
                self.pump();
                self.create_wanted();
                Answer::Api(ApiReply::Whole(response.code, body))
            }
            api_server::Answer::Watch(watch) => {
                let shown = watch.shown;
                self.tell(&who, || format!("{call} from {shown}"));
                Answer::Api(ApiReply::Watch(self.open_watch(call_in_flight.who, watch)))
            }
        }
    }

    fn note_conditions(&mut self, request: &Value) {
        if !items(&request["status"], "conditions").is_empty() {
            let name = request["metadata"]["name"].as_str().unwrap_or_default();
            let now = self.time.elapsed();
            let known = self.facts.first_conditions.entry(name.to_owned());
            known.or_insert(now);
        }
    }

    fn handle_cloud(&mut self, call_in_flight: &CallInFlight, request: &cloud::Request) -> Answer {
        let now = self.time.now();
        // Faults are this world's, not the cloud's.
        let cloud::Delivery::Complete(response) = self.cloud.handle(now, request) else {
            return Answer::Broken {
                not_sent: false,
                reason: "the cloud broke off",
            };
        };
        if call_in_flight.call == Call::BatchDelete {
            self.note_post(call_in_flight, request);
        }
        let (who, call) = (Self::name(call_in_flight.who), call_in_flight.call);
        self.tell(&who, || format!("{call} {}", brief::answer(request, &response)));
        Answer::Cloud(CloudReply { response, cut: false })
    }

    /// The attempt that a submission is of, which leaves now.
    pub(super) fn intent_of(&self, who: usize, request: &cloud::Request) -> Option<String> {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        // What is sent with a token bears no date.
        let signed_at = request.header("x-sdk-date");
        let writer = Self::name(who);
        let signed_alike = |attempt: &&Value| {
            let own = text(&attempt["signedAt"]).replace(['-', ':'], "");
            attempt["desktopIDs"] == body["desktop_ids"]
                && attempt["writer"] == *writer
                && signed_at.is_none_or(|signed_at| own == signed_at)
        };
        let stored = self.api.store.history().iter().filter_map(|c| c.after.as_ref());
        let attempts = stored.filter_map(|object| object["status"]["attempts"].as_array());
        let mut known = Vec::new();
        for attempt in attempts.flatten().filter(signed_alike) {
            let id = text(&attempt["id"]);
            if !known.contains(&id) {
                known.push(id);
            }
        }
        known.last().map(|id| (*id).to_owned())
    }

    fn note_post(&mut self, call_in_flight: &CallInFlight, request: &cloud::Request) {
        let entry = self.cloud.ledger().last();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let desktops = body["desktop_ids"].as_array();
        self.facts.posts.push(Post {
            who: call_in_flight.who,
            left: call_in_flight.left,
            intent: call_in_flight.intent.clone(),
            arrived: self.time.now(),
            revision: self.api.store.revision(),
            signed_at: request.header("x-sdk-date").unwrap_or_default().to_owned(),
            digest: entry.map(|e| e.body_digest.clone()).unwrap_or_default(),
            desktops: desktops
                .into_iter()
                .flatten()
                .map(|id| text(id).to_owned())
                .collect(),
            job: entry.and_then(|e| e.job_id.clone().filter(|_| e.took_effect)),
        });
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
