//! Sends a call and interprets its response: the same for every service.

use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::api::ApiResponse;
use super::endpoint::Endpoint;
use super::error::{Error, ErrorResponse, Failure, Operation};
use super::error_response;
use super::text::Sanitizer;
use super::transport::{Clients, Options, Transport, TransportError};
use super::wire::Unreadable;
use crate::clock::Clock;

use transfer::{Limits, ReceivedResponse, transfer};

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
    pub(super) fn limits(&self, max_success_body: usize) -> Limits {
        Limits {
            max_success_body,
            max_error_body: self.options.max_small_body,
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
    ) -> Result<ReceivedResponse, Error> {
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
    ) -> Result<ReceivedResponse, Error> {
        let received = transfer(transport, call, limits)
            .await
            .map_err(|lost| self.transport_error(&lost))?;
        tracing::debug!(
            operation = %self.operation,
            status = received.status.as_u16(),
            request_id = error_response::request_id(&received.headers, self.sanitizer),
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

    fn record(&self, result: &Result<ReceivedResponse, Error>, span: &Span) {
        let class = match result {
            Ok(received) => {
                let status = received.status.as_u16();
                span.record("http.response.status_code", status);
                span.record(
                    "request_id",
                    error_response::request_id(&received.headers, self.sanitizer),
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

    fn transport_error(&self, lost: &TransportError) -> Error {
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

    /// The value of a response if its status is a `success`; otherwise its error.
    pub(super) fn decode<T>(
        &self,
        received: &ReceivedResponse,
        success: bool,
        read: impl FnOnce(&[u8], Sanitizer<'_>) -> Result<T, Unreadable>,
    ) -> Result<ApiResponse<T>, Error> {
        if success {
            self.readable(received, read)
        } else {
            Err(self.error_from_response(received))
        }
    }

    fn readable<T>(
        &self,
        received: &ReceivedResponse,
        read: impl FnOnce(&[u8], Sanitizer<'_>) -> Result<T, Unreadable>,
    ) -> Result<ApiResponse<T>, Error> {
        let service_time = error_response::service_time(&received.headers);
        let value = match received.defect() {
            Some(reason) => Err(reason),
            None => read(&received.body, self.sanitizer),
        };
        value
            .map(|value| ApiResponse {
                value,
                status: received.status.as_u16(),
                service_time,
            })
            .map_err(|reason| self.unreadable(received, &reason))
    }

    /// A success status without the expected body, which may contain an error instead.
    fn unreadable(&self, received: &ReceivedResponse, reason: &str) -> Error {
        let response = self.error_response(received);
        let mut reason = self.sanitizer.sentence(reason);
        if let Some(message) = &response.message {
            reason = self.sanitizer.sentence(&format!("{reason}; message: {message}"));
        }
        let failure = Failure::Unreadable {
            status: response.status,
            code: response.code,
            request_id: response.request_id,
            reason,
        };
        Error::new(self.operation, failure)
    }

    /// The error response in a response other than the documented success.
    fn error_response(&self, received: &ReceivedResponse) -> ErrorResponse {
        // A compressed or truncated text is not quoted.
        let body = if received.defect().is_some() {
            &[][..]
        } else {
            &received.body
        };
        let now = error_response::service_time(&received.headers).unwrap_or_else(|| self.service.clock.now());
        error_response::read(
            received.status.as_u16(),
            &received.headers,
            body,
            now,
            self.sanitizer,
        )
    }

    fn error_from_response(&self, received: &ReceivedResponse) -> Error {
        let response = self.error_response(received);
        // The page of a proxy or another intermediary has another clock.
        let of_service = response.json && response.code.is_some();
        Error {
            operation: self.operation,
            failure: Failure::ErrorResponse(Box::new(response)),
            service_time: error_response::service_time(&received.headers).filter(|_| of_service),
        }
    }
}
