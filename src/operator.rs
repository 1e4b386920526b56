//! What surrounds the controllers: the process as its log, its probes, its metrics and its end.
//!
//! | file | what |
//! | --- | --- |
//! | [`telemetry`] | log lines, as text or JSON |
//! | [`health`] | which watches have synced, which loops still run: `/readyz`, `/livez` |
//! | [`lease`] | which of several replicas works |
//! | [`metrics`] | what is counted: `/metrics` |
//! | [`api_proxy`] | the proxy to the API server, if there is one |
//! | [`process`] | the life of the process |
//! | [`server`] | the HTTP server of these three |
//! | [`shutdown`] | SIGTERM and SIGINT |

pub mod api_proxy;
pub mod health;
pub mod lease;
pub mod metrics;
pub mod process;
pub mod server;
pub mod shutdown;
pub mod telemetry;
