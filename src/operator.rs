//! What surrounds the controllers: the process as its log, its probes, its metrics and its end.
//!
//! | file | what |
//! | --- | --- |
//! | [`telemetry`] | log lines, as text or JSON |
//! | [`health`] | which watches have synced, which loops still run: `/readyz`, `/livez` |
//! | [`metrics`] | what is counted: `/metrics` |
//! | [`server`] | the HTTP server of these three |
//! | [`shutdown`] | SIGTERM and SIGINT |

pub mod health;
pub mod metrics;
pub mod server;
pub mod shutdown;
pub mod telemetry;
