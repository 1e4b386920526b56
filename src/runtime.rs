//! What every part of the process uses: log, probes, metrics, traces, and the lease of the leader.
//!
//! | file | what |
//! | --- | --- |
//! | [`logging`] | log lines, as text or JSON |
//! | [`health`] | which watches have synced, which loops still run: `/readyz`, `/livez` |
//! | [`lease`] | which of several replicas works |
//! | [`metrics`] | what is counted: `/metrics` |
//! | [`traces`] | spans, sent to a collector if there is one |

pub mod health;
pub mod lease;
pub mod logging;
pub mod metrics;
pub mod traces;
