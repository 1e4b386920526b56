//! Behaviour against a real kube-apiserver and etcd, with the operator as a separate process (tests/README.md lists the
//! tiers).
#![allow(missing_docs)] // a test is documented by its name
// A test that cannot go on says so by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access_denied;
mod approval;
mod attack;
mod bad_input;
mod burst;
mod claims;
mod copied;
mod counts;
mod crd_rules;
mod cut_lists;
mod daily_limit;
mod deploy;
mod doubt;
mod expected;
mod false_clocks;
mod finished;
mod fixture;
mod guardrails;
mod holds;
mod identity;
mod intent;
mod jobs;
mod late;
mod leader;
mod main_job;
mod metrics;
mod odd_answers;
mod plugin;
mod project;
mod prometheus;
mod proxy;
mod reads;
mod refusals;
mod release;
mod replaced;
mod restored;
mod shutdown;
mod start;
mod tcp_gate;
mod traces;
mod undecodable;
mod uninstall;
mod unreadable;
