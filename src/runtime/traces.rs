//! Traces by OTLP over HTTP: the spans of this crate, and nothing else, in batches that a thread of their own sends.
//!
//! A span has only names, numbers and IDs: no header, no body, no query, no text of a response. Without a collector
//! there is no thread and no layer, and the spans are disabled.

use std::env;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, SpanExporter,
    WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::redirect;
use tokio::runtime::{self, Runtime};
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Config, OtlpEndpoint};
use crate::workspace::error::root_cause;

/// The name of the service, and of the library that makes the spans.
const SERVICE: &str = env!("CARGO_PKG_NAME");

/// How long a collector may take for one batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the end of the process may wait for the last batch.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(4);

/// Why there are no traces. Of an exporter error only the kind is reported, since its text may contain a URL with a
/// password.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The client cannot be created.
    #[error("failed to create a client for the collector: {}", root_cause(.0))]
    Client(#[source] reqwest::Error),
    /// No event loop can be made.
    #[error("failed to create an event loop for the collector: {0}")]
    EventLoop(#[source] io::Error),
    /// A variable cannot be used.
    #[error("a variable OTEL_EXPORTER_OTLP_* has a value that cannot be used")]
    Exporter(#[source] ExporterBuildError),
}

/// Sends the spans of this process to a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts sending, if there is a collector: that of the flag, else that of the standard variables.
    ///
    /// # Errors
    /// The collector cannot be used.
    pub fn start(config: &Config) -> Result<Option<Self>, TracesError> {
        let endpoint = config.otlp_endpoint.as_ref().map(OtlpEndpoint::traces_url);
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let variables = [OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT];
        if endpoint.is_none() && !variables.into_iter().any(is_set) {
            return Ok(None);
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new()?);
        let exporter = match endpoint {
            Some(url) => exporter.with_endpoint(url),
            None => exporter,
        };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter.build().map_err(TracesError::Exporter)?)
            .with_resource(resource(config))
            .build();
        Ok(Some(Self { provider }))
    }

    /// What turns the spans of this crate into those that are sent.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(filter_fn(is_traced).with_max_level_hint(LevelFilter::INFO))
    }

    /// Sends the remaining spans, with a timeout of some seconds.
    pub fn stop(&self) {
        // Spans that could not be sent are lost; a warning was logged.
        self.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT).ok();
    }
}

/// Whether it is a span of this crate. These are for traces only: log lines name their object themselves.
pub fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
}

fn resource(config: &Config) -> Resource {
    let pod = config.pod_name.clone();
    Resource::builder()
        .with_service_name(SERVICE)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(pod.map(|name| KeyValue::new("k8s.pod.name", name)))
        .build()
}

/// The collector. It is called by the thread that makes the batches, and has an event loop of its own there, so that it
/// cannot block anything else.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    event_loop: Runtime,
    /// The last call failed, which was logged.
    failing: AtomicBool,
}

impl Collector {
    fn new() -> Result<Self, TracesError> {
        // reqwest panics without a crypto provider; the first caller installs the one that is compiled in.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder()
            .timeout(EXPORT_TIMEOUT)
            .no_proxy()
            .redirect(redirect::Policy::none())
            // Between two batches nothing would notice that a connection was closed.
            .pool_max_idle_per_host(0);
        let event_loop = runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            client: client.build().map_err(TracesError::Client)?,
            event_loop: event_loop.map_err(TracesError::EventLoop)?,
            failing: AtomicBool::new(false),
        })
    }

    /// Logs once that the collector fails, and once that it works again.
    fn note(&self, failure: Option<&str>) {
        let failed_before = self.failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(reason) if !failed_before => {
                tracing::warn!(
                    reason,
                    "failed to export traces; spans are dropped when the queue is full"
                );
            }
            None if failed_before => tracing::info!("trace export resumed"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Within the event loop: a call sets its timer when it is made.
        let call = async |request| self.client.execute(request).await;
        let answer = reqwest::Request::try_from(request)
            .and_then(|request| self.event_loop.block_on(call(request)))
            // The URL may hold a password.
            .map_err(reqwest::Error::without_url);
        let failure = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!(
                "the collector returned HTTP {}",
                answer.status().as_u16()
            )),
            Err(error) => Some(root_cause(error)),
        };
        self.note(failure.as_deref());
        let answer = answer?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        Ok(response)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::mem;
    use std::sync::Arc;

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SpanData, SpanExporter};
    use parking_lot::Mutex;
    use serde_json::json;
    use tracing::subscriber::DefaultGuard;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::cli::tests::config;
    use crate::runtime::logging::tests::{Lines, subscribe};

    /// The spans of this thread that have ended, as they would be sent.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Recorded(Arc<Mutex<Vec<SpanData>>>);

    impl Recorded {
        /// Records from now on, until the guard is dropped.
        pub(crate) fn start() -> (Self, DefaultGuard) {
            let recorded = Self::default();
            let provider = SdkTracerProvider::builder().with_simple_exporter(recorded.clone());
            let traces = Traces {
                provider: provider
                    .with_resource(resource(&config(&["--pod-name=operator-7"])))
                    .build(),
            };
            let guard = subscribe(tracing_subscriber::registry().with(traces.layer()));
            (recorded, guard)
        }

        /// What has been recorded since the last call.
        pub(crate) fn take(&self) -> Vec<SpanData> {
            mem::take(&mut self.0.lock())
        }
    }

    impl SpanExporter for Recorded {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().extend(batch);
            Ok(())
        }
    }

    #[test]
    fn a_span_has_its_own_fields_and_nothing_of_log_lines_inside_it() {
        let (recorded, _guard) = Recorded::start();
        tracing::info_span!("submit", attempt = "a1").in_scope(|| tracing::error!("canary"));
        tracing::info_span!(target: "kube_client", "HTTP", url = "canary").in_scope(|| {});
        let spans = recorded.take();
        let [span] = &spans[..] else { panic!("{spans:#?}") };
        assert_eq!(span.name, "submit");
        assert_eq!(span.attributes, [KeyValue::new("attempt", "a1")]);
        assert!(span.events.is_empty(), "{span:#?}");
        assert_eq!(span.status, opentelemetry::trace::Status::Unset);
    }

    #[test]
    fn the_process_is_named_with_its_version_and_its_pod() {
        let resource = resource(&config(&["--pod-name=operator-7"]));
        let named = |name: &'static str| resource.get(&name.into()).map(|value| value.to_string());
        assert_eq!(
            named("service.name").as_deref(),
            Some("desktop-deletion-operator")
        );
        assert_eq!(
            named("service.version").as_deref(),
            Some(env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(named("k8s.pod.name").as_deref(), Some("operator-7"));
        assert_eq!(super::resource(&config(&[])).get(&"k8s.pod.name".into()), None);
    }

    #[test]
    fn each_outage_of_the_collector_is_one_warning() {
        let (lines, _guard) = Lines::start();
        let collector = Collector::new().unwrap();
        let outage = |reason: &str| (0..3).for_each(|_| collector.note(Some(reason)));
        collector.note(None);
        outage("refused");
        collector.note(None);
        collector.note(None);
        outage("reset");
        let said: Vec<_> = lines
            .read()
            .iter()
            .map(|line| (line["level"].clone(), line["reason"].clone()))
            .collect();
        let expected = [
            ("WARN", json!("refused")),
            ("INFO", json!(null)),
            ("WARN", json!("reset")),
        ];
        assert_eq!(said, expected.map(|(level, reason)| (json!(level), reason)));
    }
}
