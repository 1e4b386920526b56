//! The collector that traces are sent to: OTLP over HTTP, and only if a flag or a standard variable names it.

use url::Url;

/// The base URL of a collector for OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpEndpoint(String);

/// A URL that cannot be used. Messages do not contain the URL, since it may contain a password.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOtlpEndpoint {
    /// The URL has another form.
    #[error(
        "--otlp-endpoint must have the form http://HOST:PORT or https://HOST:PORT, without query; port 4317 is usually gRPC, which is not supported"
    )]
    Url,
    /// The URL holds credentials.
    #[error(
        "--otlp-endpoint must not contain credentials, because the command line is visible to others; put the headers of the collector into OTEL_EXPORTER_OTLP_HEADERS"
    )]
    UserInfo,
}

impl OtlpEndpoint {
    /// The URL that traces are posted to: below the base, as `OTEL_EXPORTER_OTLP_ENDPOINT` means it.
    pub fn traces_url(&self) -> String {
        format!("{}/v1/traces", self.0)
    }

    /// Reads a base URL.
    ///
    /// # Errors
    /// [`InvalidOtlpEndpoint`].
    pub fn read(url: Option<&str>) -> Result<Option<Self>, InvalidOtlpEndpoint> {
        // An empty variable counts as not set.
        url.filter(|url| !url.is_empty()).map(Self::parse).transpose()
    }

    fn parse(text: &str) -> Result<Self, InvalidOtlpEndpoint> {
        if text.contains('@') {
            return Err(InvalidOtlpEndpoint::UserInfo);
        }
        let url = Url::parse(text).map_err(|_| InvalidOtlpEndpoint::Url)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none();
        if plain {
            Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
        } else {
            Err(InvalidOtlpEndpoint::Url)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Option<String>, InvalidOtlpEndpoint> {
        OtlpEndpoint::read(Some(url)).map(|endpoint| endpoint.map(|endpoint| endpoint.traces_url()))
    }

    #[test]
    fn traces_are_posted_below_the_base_url() {
        for (base, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://[fd00::1]:4318", "https://[fd00::1]:4318/v1/traces"),
            (
                "https://otlp.example/tenant",
                "https://otlp.example/tenant/v1/traces",
            ),
        ] {
            assert_eq!(read(base).unwrap().as_deref(), Some(expected));
        }
        assert_eq!(read("").unwrap(), None);
        assert_eq!(OtlpEndpoint::read(None).unwrap(), None);
    }

    #[test]
    fn an_invalid_base_url_is_refused_and_not_repeated_in_the_error() {
        for bad in [
            "collector:4318",
            "canary",
            "grpc://canary:4317",
            "http://",
            "http://collector?key=canary",
            "http://collector#canary",
        ] {
            let message = read(bad).unwrap_err().to_string();
            assert!(
                message.contains("must have the form http://HOST:PORT") && !message.contains("canary"),
                "{message}"
            );
        }
        let message = read("http://user:canary@collector:4318").unwrap_err().to_string();
        assert!(
            message.contains("OTEL_EXPORTER_OTLP_HEADERS") && !message.contains("canary"),
            "{message}"
        );
    }
}
