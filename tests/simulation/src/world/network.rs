//! Calls on their way from an operator to a service, and responses on their way back.

use bytes::Bytes;
use desktop_deletion_operator::workspace::transport::TransportError;
use futures::channel::mpsc::UnboundedReceiver;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::oneshot;
use workspace_simulator::cloud;

use super::{Event, World};
use crate::acts::Trigger;
use crate::answers;
use crate::api_server;
use crate::calls::Call;
use crate::faults::Fault;
use crate::mutant::Mutant;

/// Most characters of a replaced response that are shown.
const SHOWN: usize = 300;

/// A call in flight.
pub struct CallInFlight {
    /// Which operator makes it.
    pub who: usize,
    /// What for.
    pub call: Call,
    /// Which call of its kind it is.
    pub number: u32,
    /// What happens to it.
    pub fault: Fault,
    /// When it left, in milliseconds after the begin.
    pub left: u64,
    /// The attempt that it is of, if it is a submission.
    pub intent: Option<String>,
    /// What is sent.
    pub payload: CallPayload,
    /// Where the response goes.
    pub reply: Reply,
}

/// A request.
#[derive(Debug, Clone)]
pub enum CallPayload {
    /// To the API server.
    Api(api_server::Request),
    /// To the cloud.
    Cloud(cloud::Request),
}

/// Where a response goes.
pub enum Reply {
    /// To the client of Kubernetes.
    Api(oneshot::Sender<Result<ApiReply, String>>),
    /// To the client of the cloud.
    Cloud(oneshot::Sender<Result<CloudReply, TransportError>>),
    /// It is discarded.
    Nobody,
}

/// A response of the API server.
pub enum ApiReply {
    /// This, and nothing more.
    Whole(u16, Bytes),
    /// A watch: one line after the other.
    Watch(UnboundedReceiver<Bytes>),
}

/// A response of the cloud.
#[derive(Debug)]
pub struct CloudReply {
    /// The response.
    pub response: cloud::Response,
    /// It breaks off in the middle of the body.
    pub cut: bool,
}

/// A response in flight.
pub struct Returned {
    who: usize,
    call: Call,
    number: u32,
    reply: Reply,
    answer: Answer,
}

/// What comes back.
pub(super) enum Answer {
    Api(ApiReply),
    Cloud(CloudReply),
    Broken { not_sent: bool, reason: &'static str },
}

impl CallPayload {
    /// By what calls that were made at one time are put in order.
    fn order(&self) -> (String, &[u8]) {
        match self {
            Self::Api(request) => (
                format!("{}{}{:?}", request.path, request.method, request.query),
                &request.body,
            ),
            Self::Cloud(request) => (
                format!("{}{}{}", request.path, request.method, request.query),
                &request.body,
            ),
        }
    }
}

impl World {
    /// Takes a call from an operator.
    pub fn send(&mut self, who: usize, payload: CallPayload, reply: Reply) {
        let call = match &payload {
            CallPayload::Api(request) => Call::of_api(request),
            CallPayload::Cloud(request) => Call::of_cloud(request),
        };
        if self.inbox.is_empty() {
            self.schedule_in(1, Event::TakeIn);
        }
        let intent = match &payload {
            CallPayload::Cloud(request) if call == Call::BatchDelete => self.intent_of(who, request),
            _ => None,
        };
        self.note_intent(who, call, &payload);
        self.inbox.push(CallInFlight {
            who,
            call,
            number: 0,
            fault: Fault::Well,
            left: self.time.elapsed(),
            intent,
            payload,
            reply,
        });
    }

    /// Decides what happens to the calls that were sent a moment ago.
    pub(super) fn take_in(&mut self) {
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.sort_by(|a, b| (a.who, a.payload.order()).cmp(&(b.who, b.payload.order())));
        for mut call_in_flight in inbox {
            if !self.operators[call_in_flight.who].alive {
                continue;
            }
            let count = self.counts.entry(call_in_flight.call).or_default();
            *count += 1;
            call_in_flight.number = *count;
            if call_in_flight.call.is_of_cloud() {
                self.facts
                    .cloud_calls
                    .push((self.time.elapsed(), call_in_flight.call));
            }
            let rules = &self.scenario.rules;
            let struck = rules
                .iter()
                .find(|rule| rule.strikes(call_in_flight.call, call_in_flight.number));
            if let Some(rule) = struck.filter(|_| !self.healed) {
                call_in_flight.fault = rule.fault;
            }
            self.set_off(call_in_flight);
        }
    }

    fn set_off(&mut self, call_in_flight: CallInFlight) {
        let latency = self.dice.within(1..12);
        let (who, call, number, fate) = (
            call_in_flight.who,
            call_in_flight.call,
            call_in_flight.number,
            call_in_flight.fault,
        );
        if fate != Fault::Well {
            self.tell("fault", || {
                format!("{call}, number {number}, of operator-{who}: {fate}")
            });
        }
        match fate {
            Fault::Unreachable => self.break_off(call_in_flight, true, "connection refused", latency),
            Fault::Reset => self.break_off(call_in_flight, false, "connection reset", latency),
            Fault::Lost => self.limbo.push((call_in_flight.who, call_in_flight.reply)),
            Fault::Late(late) => self.schedule_in(late + latency, Event::Arrives(Box::new(call_in_flight))),
            _ => self.schedule_in(latency, Event::Arrives(Box::new(call_in_flight))),
        }
    }

    fn break_off(
        &mut self,
        call_in_flight: CallInFlight,
        not_sent: bool,
        reason: &'static str,
        latency: u64,
    ) {
        let answer = Answer::Broken { not_sent, reason };
        self.return_in(latency, call_in_flight, answer);
    }

    fn return_in(&mut self, latency: u64, call_in_flight: CallInFlight, answer: Answer) {
        let returned = Returned {
            who: call_in_flight.who,
            call: call_in_flight.call,
            number: call_in_flight.number,
            reply: call_in_flight.reply,
            answer,
        };
        self.schedule_in(latency, Event::Returns(Box::new(returned)));
    }

    /// A call arrives at its service.
    pub(super) fn arrive(&mut self, call_in_flight: CallInFlight) {
        let (call, number) = (call_in_flight.call, call_in_flight.number);
        let was_alive = self.operators[call_in_flight.who].alive;
        self.trigger(Trigger::Before(call, number));
        // Calls that a process had sent before it crashed may still arrive.
        if was_alive && !self.operators[call_in_flight.who].alive && self.dice.once_in(2) {
            self.tell("network", || {
                format!("{call}, number {number}, is lost with its sender")
            });
            return;
        }
        let answer = if let Fault::Refused(code) = call_in_flight.fault {
            self.refuse(&call_in_flight, code)
        } else if let (Fault::Page(ahead), CallPayload::Cloud(_)) =
            (call_in_flight.fault, &call_in_flight.payload)
        {
            self.page(ahead)
        } else if let Some(rule) = self.replacing(&call_in_flight) {
            self.replace_answer(&call_in_flight, &rule)
        } else {
            let answer = self.handle(&call_in_flight);
            self.spoil(&call_in_flight, answer)
        };
        self.trigger(Trigger::After(call, number));
        self.resend(&call_in_flight);
        let latency = self.dice.within(1..12);
        match call_in_flight.fault {
            Fault::AnswerLost => self.limbo.push((call_in_flight.who, call_in_flight.reply)),
            Fault::AnswerLate(late) => self.return_in(late + latency, call_in_flight, answer),
            _ => self.return_in(latency, call_in_flight, answer),
        }
    }

    /// The rule that replaces the response to this call, if one does.
    fn replacing(&self, call_in_flight: &CallInFlight) -> Option<answers::Rule> {
        let rules = self.scenario.answers.iter().filter(|_| !self.healed);
        let of_cloud = matches!(call_in_flight.payload, CallPayload::Cloud(_));
        let mut striking =
            rules.filter(|rule| of_cloud && rule.strikes(call_in_flight.call, call_in_flight.number));
        striking.next().cloned()
    }

    /// A response that no documentation promises, in place of the true one.
    fn replace_answer(&mut self, call_in_flight: &CallInFlight, rule: &answers::Rule) -> Answer {
        let carried_out = rule.is_carried_out(call_in_flight.number);
        let answer = if carried_out {
            self.handle(call_in_flight)
        } else {
            self.page(0)
        };
        let Answer::Cloud(reply) = answer else {
            return answer;
        };
        let truth = answers::Original {
            call: call_in_flight.call,
            answer: &reply.response,
            carried_out,
            cheap: call_in_flight.number > rule.from + 3,
        };
        let replaced = answers::replace(&truth, &mut rule.dice(call_in_flight.number));
        self.facts.replaced += 1;
        let (call, number) = (call_in_flight.call, call_in_flight.number);
        self.tell("answer", || {
            let done = if carried_out { "" } else { "not carried out, " };
            let body = String::from_utf8_lossy(&replaced.response.body);
            let body: String = body.chars().take(SHOWN).collect();
            let status = replaced.response.status.as_u16();
            format!("{call}, number {number}: {done}{}: {status} {body}", replaced.how)
        });
        Answer::Cloud(CloudReply {
            response: replaced.response,
            cut: replaced.cut,
        })
    }

    /// What a client does that repeats calls.
    fn resend(&mut self, call_in_flight: &CallInFlight) {
        let retries = self.scenario.mutant == Some(Mutant::ClientRetries);
        let lost = matches!(call_in_flight.fault, Fault::AnswerReset | Fault::AnswerLost);
        if retries && lost && call_in_flight.call == Call::BatchDelete {
            let again = CallInFlight {
                who: call_in_flight.who,
                call: call_in_flight.call,
                number: call_in_flight.number,
                fault: Fault::Well,
                left: call_in_flight.left,
                intent: call_in_flight.intent.clone(),
                payload: call_in_flight.payload.clone(),
                reply: Reply::Nobody,
            };
            self.schedule_in(1_000, Event::Arrives(Box::new(again)));
        }
    }

    fn refuse(&mut self, call_in_flight: &CallInFlight, code: u16) -> Answer {
        let call = call_in_flight.call;
        self.tell(&Self::name(call_in_flight.who), || format!("{call} -> {code}"));
        match &call_in_flight.payload {
            CallPayload::Api(_) => {
                let reason = if code == 409 { "Conflict" } else { "InternalError" };
                let refusal = api_server::Refusal::new(code, reason, "the simulated API server refuses");
                Answer::Api(ApiReply::Whole(code, refusal.response().bytes()))
            }
            CallPayload::Cloud(_) => Answer::Cloud(CloudReply {
                response: self.refusal_of_cloud(code),
                cut: false,
            }),
        }
    }

    /// What the gateway or the service would say with this status.
    fn refusal_of_cloud(&self, code: u16) -> cloud::Response {
        let word = match code {
            401 => "APIGW.0301",
            403 => "WKS.0403",
            404 => "WKS.00010004",
            409 => "WKS.00010032",
            429 => "APIGW.0308",
            503 => "APIGW.0613",
            _ => "APIGW.0201",
        };
        let mut headers = self.dated();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if code == 429 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        }
        if code == 302 {
            headers.insert(
                header::LOCATION,
                HeaderValue::from_static("https://elsewhere.example/"),
            );
        }
        let body = format!(r#"{{"error_code":"{word}","error_msg":"the simulated service refuses"}}"#);
        cloud::Response {
            status: StatusCode::from_u16(code).unwrap_or_default(),
            headers,
            body: Bytes::from(body),
        }
    }

    /// The service's clock is the true time.
    fn dated(&self) -> HeaderMap {
        self.dated_ahead(0)
    }

    fn dated_ahead(&self, seconds: i64) -> HeaderMap {
        let shown = self.time.now().checked_add(SignedDuration::from_secs(seconds));
        let shown = shown.unwrap_or(Timestamp::MAX);
        let date = shown.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let date = HeaderValue::from_str(&date).ok();
        date.map(|date| (header::DATE, date)).into_iter().collect()
    }

    /// What something that lies between the operator and the service says.
    fn page(&self, ahead: i64) -> Answer {
        Answer::Cloud(CloudReply {
            response: cloud::Response {
                status: StatusCode::BAD_GATEWAY,
                headers: self.dated_ahead(ahead),
                body: Bytes::from_static(b"<html>bad gateway</html>"),
            },
            cut: false,
        })
    }

    /// The part of a response that arrives.
    fn spoil(&mut self, call_in_flight: &CallInFlight, answer: Answer) -> Answer {
        match (call_in_flight.fault, answer) {
            (Fault::AnswerReset, _) => Answer::Broken {
                not_sent: false,
                reason: "connection reset",
            },
            (Fault::AnswerCut, Answer::Api(ApiReply::Whole(code, body))) => {
                Answer::Api(ApiReply::Whole(code, body.slice(..body.len() / 2)))
            }
            (Fault::AnswerCut, Answer::Cloud(reply)) => Answer::Cloud(CloudReply { cut: true, ..reply }),
            (Fault::Denied(code), Answer::Api(ApiReply::Whole(..))) => self.refuse(call_in_flight, code),
            (Fault::Dated(ahead), Answer::Cloud(mut reply)) => {
                reply.response.headers.extend(self.dated_ahead(ahead));
                Answer::Cloud(reply)
            }
            (Fault::RowsCut, Answer::Cloud(reply)) => Answer::Cloud(relisted(reply, |list| {
                if let Some(rows) = list["jobs"].as_array_mut() {
                    rows.truncate(rows.len() / 2);
                }
            })),
            (Fault::CountLow, Answer::Cloud(reply)) => Answer::Cloud(relisted(reply, |list| {
                let count = list["total_count"].as_u64().unwrap_or_default();
                list["total_count"] = count.saturating_sub(1).into();
            })),
            (Fault::Denied(code), Answer::Cloud(_)) => Answer::Cloud(CloudReply {
                response: cloud::Response {
                    status: StatusCode::from_u16(code).unwrap_or_default(),
                    headers: self.dated(),
                    body: Bytes::from_static(b"<html>bad gateway</html>"),
                },
                cut: false,
            }),
            (_, answer) => answer,
        }
    }

    /// A response arrives at the operator.
    pub(super) fn give_back(&mut self, returned: Returned) {
        let Returned {
            who,
            call,
            number,
            reply,
            answer,
        } = returned;
        if !self.operators[who].alive {
            return;
        }
        self.note_read(who, call, &answer);
        // The caller may have stopped waiting.
        match (reply, answer) {
            (Reply::Api(reply), Answer::Api(answer)) => drop(reply.send(Ok(answer))),
            (Reply::Cloud(reply), Answer::Cloud(answer)) => drop(reply.send(Ok(answer))),
            (Reply::Api(reply), Answer::Broken { reason, .. }) => {
                drop(reply.send(Err(reason.to_owned())));
            }
            (Reply::Cloud(reply), Answer::Broken { not_sent, reason }) => {
                let reason = reason.to_owned();
                drop(reply.send(Err(TransportError { not_sent, reason })));
            }
            (reply, _) => self.limbo.push((who, reply)),
        }
        self.trigger(Trigger::Answered(call, number));
    }

    /// A submission is still in flight.
    pub(super) fn is_submission_under_way(&self) -> bool {
        let sent = |call_in_flight: &CallInFlight| call_in_flight.call == Call::BatchDelete;
        let flying = |event: &Event| matches!(event, Event::Arrives(parcel) if sent(parcel));
        self.inbox.iter().any(sent) || self.agenda.values().any(flying)
    }
}

/// The response with another list.
fn relisted(mut reply: CloudReply, change: impl FnOnce(&mut Value)) -> CloudReply {
    if let Ok(mut list) = serde_json::from_slice::<Value>(&reply.response.body) {
        change(&mut list);
        reply.response.body = Bytes::from(list.to_string());
    }
    reply
}
