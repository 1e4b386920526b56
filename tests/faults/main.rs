//! Crashes and faults: the operator as a process against a real API server and the simulated cloud, killed before and
//! after each of its effects, with requests and answers lost on either side, and every answer of the cloud that is no
//! good one. Whatever happens, one oracle judges ([`oracle`]).
//!
//! | file | what |
//! | --- | --- |
//! | [`oracle`] | what must hold in every run |
//! | [`scene`] | one request with a cloud of its own |
//! | [`troupe`] | many scenes at the same time under one operator |
//! | [`effects`] | the operator's writes, and how a proxy recognises them |
//! | [`kill`] | SIGKILL before and after each effect |
//! | [`api_server`] | the API server loses, refuses or delays each write |
//! | [`answers`] | the cloud refuses, loses or delays each call |
//! | [`bad_answers`] | the cloud answers what is no answer, or not true |
//! | [`person`] | a person settles what cannot be found out |
//! | [`foreign`] | what others do to the desktops meanwhile |
//! | [`overlap`] | two requests for one desktop |
//! | [`leaving`] | objects that go while something is under way |
//! | [`old_reads`] | what was read before a request had its turn |
#![allow(missing_docs)] // a test is documented by its name
// A test that cannot go on says so by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod api_server;
mod bad_answers;
mod effects;
mod foreign;
mod kill;
mod leaving;
mod old_reads;
mod oracle;
mod overlap;
mod person;
mod scene;
// What its own suite shares with this one, and some more.
#[path = "../cluster/stage.rs"]
#[allow(dead_code, unused_imports)]
mod stage;
mod troupe;
