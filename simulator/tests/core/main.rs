//! The core of the simulator, driven without sockets and with a clock that the tests turn.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking, like the tests"
)]

mod batch;
mod facts;
mod faults;
mod iam;
mod ledger;
mod life_cycle;
mod lists;
mod logins;
mod support;
mod world;
