//! The simulated cloud: a pure function from the time and a request to a response.
//!
//! Nothing here opens a socket, reads a clock or draws a random number. Desktops and jobs move as functions of the
//! time that is passed in, so a simulation may drive the cloud as fast as it likes.

mod api_error;
mod batch_delete;
mod caller;
mod credentials;
mod desktop_reads;
mod desktops;
mod faults;
mod gateway;
mod iam;
mod job_reads;
mod jobs;
mod ledger;
mod message;
mod operation;
mod paging;
mod permissions;
mod settings;
mod signature;

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;

pub use faults::{
    ArmedFault, ConnectionFault, CutFault, DelayFault, DripFault, Fault, FaultEffect, StatusFault,
};
pub(crate) use gateway::MAX_BODY;
pub use ledger::LedgerEntry;
pub use message::{Delivery, Request, Response};
pub use operation::Operation;

use crate::digest::derived_id;
use crate::world::{World, WorldError};
use api_error::ApiError;
use operation::Call;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Workspace, IAM and the gateway in front of them.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// The world, without its desktops.
    world: World,
    desktops: desktops::DesktopStore,
    jobs: Vec<jobs::Job>,
    credentials: credentials::CredentialStore,
    faults: faults::Faults,
    request_counter: gateway::RequestCounter,
    ledger: Vec<LedgerEntry>,
    id_counters: BTreeMap<&'static str, u64>,
}

/// A request that was executed: its response and its effect.
struct HandledRequest {
    response: Response,
    took_effect: bool,
    job_id: Option<String>,
}

/// Which status was sent to the caller.
#[derive(Clone, Copy)]
enum SentStatus {
    /// The status of the response to the request.
    FromResponse,
    /// Another status, or none.
    Override(Option<u16>),
}

impl HandledRequest {
    /// The outcome of a read.
    fn read(body: &Value) -> Self {
        Self {
            response: Response::json(StatusCode::OK, body),
            took_effect: false,
            job_id: None,
        }
    }
}

impl Cloud {
    /// The cloud as `world` describes it.
    ///
    /// # Errors
    /// When the parts of the world do not fit together.
    pub fn new(world: World) -> Result<Self, WorldError> {
        let mut world = world.complete()?;
        Ok(Self {
            desktops: desktops::DesktopStore::of(std::mem::take(&mut world.desktops)),
            jobs: Vec::new(),
            credentials: credentials::CredentialStore::of(&world),
            faults: faults::Faults::default(),
            request_counter: gateway::RequestCounter::default(),
            ledger: Vec::new(),
            id_counters: BTreeMap::new(),
            world,
        })
    }

    /// Handles one request at `now`. Every request that is handled adds one entry to the ledger; a held request adds it
    /// when it is resumed.
    pub fn handle(&mut self, now: Timestamp, request: &Request) -> Delivery {
        let call = Call::of(request);
        match self.faults.matching(&call, request) {
            Some(fault) => self.apply_fault(now, request, &call, &fault),
            None => Delivery::Complete(self.execute(now, request, &call, SentStatus::FromResponse)),
        }
    }

    /// Handles a request that was [held](Delivery::Held) and has now arrived; faults do not apply to it again.
    pub fn resume(&mut self, now: Timestamp, request: &Request) -> Delivery {
        Delivery::Complete(self.execute(now, request, &Call::of(request), SentStatus::FromResponse))
    }

    fn apply_fault(&mut self, now: Timestamp, request: &Request, call: &Call, fault: &Fault) -> Delivery {
        match &fault.answer {
            FaultEffect::Delay(late) if !fault.effect_first => Delivery::Held { delay: late.delay },
            FaultEffect::Delay(late) => Delivery::Delayed {
                delay: late.delay,
                response: self.execute(now, request, call, SentStatus::FromResponse),
            },
            FaultEffect::Cut(cut) => Delivery::Cut {
                after: cut.cut_after,
                response: self.execute(now, request, call, SentStatus::FromResponse),
            },
            FaultEffect::Drip(slow) => Delivery::Dripping {
                pause: slow.drip,
                response: self.execute(now, request, call, SentStatus::FromResponse),
            },
            FaultEffect::DateAhead(date) => {
                let shown = date.date_ahead.after(self.clock(now));
                Delivery::Complete(dated(
                    self.execute(now, request, call, SentStatus::FromResponse),
                    shown,
                ))
            }
            FaultEffect::DateBehind(date) => {
                let shown = date.date_behind.before(self.clock(now));
                Delivery::Complete(dated(
                    self.execute(now, request, call, SentStatus::FromResponse),
                    shown,
                ))
            }
            FaultEffect::Connection(ConnectionFault::Endless) => {
                Delivery::Endless(self.execute(now, request, call, SentStatus::FromResponse))
            }
            FaultEffect::Connection(ConnectionFault::Reset) => {
                self.replace(now, request, call, fault.effect_first, None);
                Delivery::Reset
            }
            FaultEffect::Connection(ConnectionFault::Timeout) => {
                self.replace(now, request, call, fault.effect_first, None);
                Delivery::Timeout
            }
            FaultEffect::Status(other) => {
                self.replace(now, request, call, fault.effect_first, Some(other.status));
                let request_id = self.next_id("request");
                Delivery::Complete(other.response(self.service_headers(now, &request_id)))
            }
        }
    }

    /// Carries a request out if it is to take effect, and records that another `status` was sent.
    fn replace(&mut self, now: Timestamp, request: &Request, call: &Call, effect: bool, status: Option<u16>) {
        if effect {
            self.execute(now, request, call, SentStatus::Override(status));
        } else {
            self.record(now, request, call, status, None);
        }
    }

    /// Decides a request and records it.
    fn execute(&mut self, now: Timestamp, request: &Request, call: &Call, sent: SentStatus) -> Response {
        let request_id = self.next_id("request");
        let outcome = self
            .decide(now, request, call)
            .unwrap_or_else(|error| HandledRequest {
                response: error.response(&self.world.switches.gateway_prefix, &request_id),
                took_effect: false,
                job_id: None,
            });
        let status = match sent {
            SentStatus::FromResponse => Some(outcome.response.status.as_u16()),
            SentStatus::Override(status) => status,
        };
        self.record(now, request, call, status, Some(&outcome));
        let mut response = outcome.response;
        response.headers.extend(self.service_headers(now, &request_id));
        response
    }

    /// The checks of the gateway, then the operation of the service.
    fn decide(&mut self, now: Timestamp, request: &Request, call: &Call) -> Result<HandledRequest, ApiError> {
        gateway::check_form(request, call, self.world.switches.require_content_type)?;
        let clock = self.clock(now);
        match call.operation {
            Operation::CreateToken => return iam::create_token(self, clock, request),
            Operation::ValidateToken => return iam::validate_token(self, clock, request),
            Operation::CreateTemporaryAccessKey => return iam::create_temporary_key(self, clock, request),
            _ => {}
        }
        let rules = credentials::AuthContext {
            world: &self.world,
            clock,
        };
        let caller = self.credentials.authenticate(request, rules)?;
        self.request_counter
            .count(&self.world.switches.throttle, &caller, call.operation, clock)?;
        permissions::check_project(self, call, request, &caller)?;
        if call.operation == Operation::ListProjects {
            return Ok(iam::list_projects(self, call, &caller));
        }
        if self.world.switches.service_disabled {
            let message = "the Workspace service is disabled for the tenant";
            return Err(ApiError::workspace(
                StatusCode::FORBIDDEN,
                "WKS.00010099",
                message,
            ));
        }
        permissions::check_action(self, call, &caller)?;
        match call.operation {
            Operation::BatchDelete => batch_delete::handle(self, now, request, call, &caller),
            Operation::ShowDesktop => desktop_reads::show(self, now, call),
            Operation::ShowJob => job_reads::show(self, now, call),
            Operation::ListSubJobs => job_reads::list(self, now, call),
            _ => desktop_reads::list(self, now, call),
        }
    }

    fn record(
        &mut self,
        now: Timestamp,
        request: &Request,
        call: &Call,
        status: Option<u16>,
        outcome: Option<&HandledRequest>,
    ) {
        let mut entry = LedgerEntry::of(request, call.operation, now, self.clock(now));
        entry.caller = credentials::claimed_name(&self.credentials, request);
        entry.status = status;
        entry.took_effect = outcome.is_some_and(|outcome| outcome.took_effect);
        entry.job_id = outcome.and_then(|outcome| outcome.job_id.clone());
        self.ledger.push(entry);
    }

    /// The headers of every response: the service's own time, and the request ID.
    fn service_headers(&self, now: Timestamp, request_id: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.extend(date_header(self.clock(now)));
        let request_id = HeaderValue::from_str(request_id).ok();
        headers.extend(request_id.map(|value| (REQUEST_ID, value)));
        headers
    }

    /// The service's clock at `now`.
    fn clock(&self, now: Timestamp) -> Timestamp {
        let timings = &self.world.timings;
        timings.clock_behind.before(timings.clock_ahead.after(now))
    }

    fn project(&self, id: &str) -> Option<&crate::world::Project> {
        self.world.projects.iter().find(|project| project.id == id)
    }

    /// The next id of this kind: 32 hexadecimal digits.
    fn next_id(&mut self, kind: &'static str) -> String {
        // Counted by kind: the first job has the same id however many reads went before.
        let count = self.id_counters.entry(kind).or_default();
        *count += 1;
        derived_id(self.world.seed, kind, &count.to_string())
    }

    /// The next id of this kind in the form of a random UUID.
    fn next_uuid(&mut self, kind: &'static str) -> String {
        let id = self.next_id(kind);
        format!(
            "{}-{}-4{}-8{}-{}",
            &id[..8],
            &id[8..12],
            &id[13..16],
            &id[17..20],
            &id[20..]
        )
    }

    /// The next secret of this kind, `length` letters and digits. It contains a marker word, so that a leaked secret,
    /// for instance in a log, is easy to find.
    fn next_secret(&mut self, kind: &'static str, length: usize) -> String {
        let mut text = String::new();
        while text.len() < length {
            text.push_str("canary");
            text.push_str(&self.next_id(kind));
        }
        text.truncate(length);
        text
    }
}

/// The response with another `Date`.
fn dated(mut response: Response, shown: Timestamp) -> Response {
    if let Some((name, value)) = date_header(shown) {
        response.headers.insert(name, value);
    }
    response
}

fn date_header(shown: Timestamp) -> Option<(HeaderName, HeaderValue)> {
    let text = httpdate::fmt_http_date(shown.max(Timestamp::UNIX_EPOCH).into());
    let value = HeaderValue::from_str(&text).ok()?;
    Some((header::DATE, value))
}
