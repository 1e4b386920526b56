//! Used by all parts of the process: log, probes, metrics, traces, and leader election.
//!
//! | file | what |
//! | --- | --- |
//! | [`logging`] | log lines, as text or JSON |
//! | [`health`] | which watches have synced, which loops still run: `/readyz`, `/livez` |
//! | [`lease`] | which of several replicas works |
//! | [`metrics`] | metrics: `/metrics` |
//! | [`traces`] | spans, sent to a collector if there is one |

pub mod health;
pub mod lease;
pub mod logging;
pub mod metrics;
pub mod traces;
