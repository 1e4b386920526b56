//! Sends a call and interprets its response: the same for every service.

use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::api::Answer;
use super::endpoint::Endpoint;
use super::error::{Error, Failure, Operation, Refusal};
use super::refusal;
use super::text::Sanitizer;
use super::transport::{Clients, Options, Transport, TransportError};
use super::wire::Unreadable;
use crate::clock::Clock;

use transfer::{Limits, Received, transfer};

pub(super) mod transfer;

/// A service at one endpoint, and the way to it.
pub(super) struct Service {
    pub(super) endpoint: Endpoint,
    pub(super) clients: Clients,
    pub(super) clock: Clock,
    pub(super) options: Options,
}

impl Service {
    /// The limits of a call whose success response may have that many bytes.
    pub(super) fn limits(&self, good: usize) -> Limits {
        Limits {
            good,
            bad: self.options.max_small_answer,
            timeout: self.options.timeout,
        }
    }
}

/// One call of a service.
pub(super) struct Exchange<'a> {
    pub(super) operation: Operation,
    pub(super) service: &'a Service,
    /// Removes the credentials from texts.
    pub(super) sanitizer: Sanitizer<'a>,
}

impl Exchange<'_> {
    /// Sends once.
    pub(super) async fn exchange(
        &self,
        transport: &dyn Transport,
        call: http::Request<Vec<u8>>,
        limits: Limits,
    ) -> Result<Received, Error> {
        let span = self.span();
        let result = Box::pin(self.send(transport, call, limits))
            .instrument(span.clone())
            .await;
        self.record(&result, &span);
        result
    }

    async fn send(
        &self,
        transport: &dyn Transport,
        call: http::Request<Vec<u8>>,
        limits: Limits,
    ) -> Result<Received, Error> {
        let received = transfer(transport, call, limits)
            .await
            .map_err(|lost| self.lost(&lost))?;
        tracing::debug!(
            operation = %self.operation,
            status = received.status.as_u16(),
            request_id = refusal::request_id(&received.headers, self.sanitizer),
            "received a response from the cloud"
        );
        Ok(received)
    }

    /// The span of the call. It contains neither URL nor headers nor bodies.
    fn span(&self) -> Span {
        tracing::info_span!(
            "cloud_call",
            otel.name = self.operation.as_str(),
            otel.kind = "client",
            otel.status_code = Empty,
            operation = self.operation.as_str(),
            http.response.status_code = Empty,
            request_id = Empty,
            error.type = Empty,
        )
    }

    fn record(&self, result: &Result<Received, Error>, span: &Span) {
        let class = match result {
            Ok(received) => {
                let status = received.status.as_u16();
                span.record("http.response.status_code", status);
                span.record(
                    "request_id",
                    refusal::request_id(&received.headers, self.sanitizer),
                );
                (status >= 400).then(|| status.to_string())
            }
            Err(error) if error.was_not_sent() => Some("notSent".to_owned()),
            Err(_) => Some("noResponse".to_owned()),
        };
        if let Some(class) = class {
            span.record("error.type", class);
            span.record("otel.status_code", "ERROR");
        }
    }

    fn lost(&self, lost: &TransportError) -> Error {
        let reason = format!(
            "{}: {}",
            self.service.endpoint,
            self.sanitizer.sentence(&lost.reason)
        );
        let failure = if lost.not_sent {
            Failure::NotSent { reason }
        } else {
            Failure::NoResponse { reason }
        };
        // A truncated response may be from any server, so its time is not used.
        Error::new(self.operation, failure)
    }

    /// The value of a response whose status is `good`; otherwise its error.
    pub(super) fn answer<T>(
        &self,
        received: &Received,
        good: bool,
        read: impl FnOnce(&[u8], Sanitizer<'_>) -> Result<T, Unreadable>,
    ) -> Result<Answer<T>, Error> {
        if good {
            self.readable(received, read)
        } else {
            Err(self.refused(received))
        }
    }

    fn readable<T>(
        &self,
        received: &Received,
        read: impl FnOnce(&[u8], Sanitizer<'_>) -> Result<T, Unreadable>,
    ) -> Result<Answer<T>, Error> {
        let service_time = refusal::service_time(&received.headers);
        let value = match received.defect() {
            Some(reason) => Err(reason),
            None => read(&received.body, self.sanitizer),
        };
        value
            .map(|value| Answer {
                value,
                status: received.status.as_u16(),
                service_time,
            })
            .map_err(|reason| self.unreadable(received, &reason))
    }

    /// A success status without the expected body, which may contain an error instead.
    fn unreadable(&self, received: &Received, reason: &str) -> Error {
        let said = self.refusal(received);
        let mut reason = self.sanitizer.sentence(reason);
        if let Some(message) = &said.message {
            reason = self.sanitizer.sentence(&format!("{reason}; message: {message}"));
        }
        let failure = Failure::Unreadable {
            status: said.status,
            code: said.code,
            request_id: said.request_id,
            reason,
        };
        Error::new(self.operation, failure)
    }

    /// The error response in a response other than the documented success.
    fn refusal(&self, received: &Received) -> Refusal {
        // A compressed or truncated text is not quoted.
        let body = if received.defect().is_some() {
            &[][..]
        } else {
            &received.body
        };
        let now = refusal::service_time(&received.headers).unwrap_or_else(|| self.service.clock.now());
        refusal::read(
            received.status.as_u16(),
            &received.headers,
            body,
            now,
            self.sanitizer,
        )
    }

    fn refused(&self, received: &Received) -> Error {
        let refusal = self.refusal(received);
        // The page of a proxy or another intermediary has another clock.
        let of_service = refusal.json && refusal.code.is_some();
        Error {
            operation: self.operation,
            failure: Failure::Refused(Box::new(refusal)),
            service_time: refusal::service_time(&received.headers).filter(|_| of_service),
        }
    }
}
