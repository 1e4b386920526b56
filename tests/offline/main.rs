//! Tests that need no control plane: the operator's parts against recorded bodies and loopback servers.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chart;
mod dependencies;
mod deploy;
mod docs;
mod layering;
mod lease;
mod manifests;
mod metrics;
mod mutants;
mod plan;
mod reference;
mod signing_vectors;
mod source;
mod workspace_client;
