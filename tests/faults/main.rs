//! Crashes and faults: the operator as a process against a real API server and the simulated cloud, killed before and
//! after each of its effects, with calls lost before and after their effect, and every kind of error response of the
//! cloud. In every case, one oracle judges ([`oracle`]).
//!
//! | file | what |
//! | --- | --- |
//! | [`oracle`] | what must hold in every run |
//! | [`plans`] | the plans by name, and how one of them is run again |
//! | [`points`] | the points P00 to P24 of the protocol: each call in flight |
//! | [`trial`] | one request with a cloud of its own |
//! | [`trial_group`] | many trials at the same time under one operator |
//! | [`operator_group`] | several operators, one after the other |
//! | [`effects`] | the operator's calls of the API server, and how a proxy recognises them |
//! | [`process`] | SIGKILL and SIGSTOP at each point, with things as they are or as they were |
//! | [`kill`] | SIGKILL before and after each effect, and what the status reports in the end |
//! | [`edits`] | the request is deleted, suspended, resumed or created again at each point |
//! | [`replicas`] | two replicas at each point at the same time |
//! | [`api_server`] | the API server loses, refuses, delays or cuts each call |
//! | [`answers`] | the cloud refuses, loses or delays each call |
//! | [`bad_answers`] | the cloud returns an invalid or false response |
//! | [`outages`] | API server or etcd are unavailable, or restored to an earlier state; the watch fails silently |
//! | [`clocks`] | the operator's clock is wrong |
//! | [`assumptions`] | what is assumed of the cloud is false |
//! | [`person`] | a user resolves attempts with unknown outcome |
//! | [`foreign`] | what other clients do to the desktops meanwhile |
//! | [`overlap`] | two requests for one desktop |
//! | [`daily_limit`] | two requests for the rest of a project's daily limit |
//! | [`leaving`] | objects that are deleted while one of their calls is in flight |
//! | [`old_reads`] | reads that a request made before it received a permit |
#![allow(missing_docs)] // a test is documented by its name
// A test that cannot go on says so by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod api_server;
mod approvals;
mod assumptions;
mod bad_answers;
mod clocks;
mod daily_limit;
mod edits;
mod effects;
mod foreign;
mod kill;
mod leaving;
mod old_reads;
mod operator_group;
mod oracle;
mod outages;
mod overlap;
mod person;
mod plans;
mod points;
mod process;
mod replicas;
mod trial;
// What its own suite shares with this one, and some more.
#[path = "../cluster/fixture.rs"]
#[allow(dead_code, unused_imports)]
mod fixture;
mod trial_group;
