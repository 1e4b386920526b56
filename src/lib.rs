//! `desktop-deletion-operator`: deletes Huawei Cloud Workspace desktops because somebody applied a
//! `DesktopDeletion`, submits each batch at most once, and always says why.
//!
//! ```text
//!  watch ──► load ──► plan(&Observed) ──► execute(step) ──► plan … ──► report
//!            live       pure: no clock,     exactly one        until    status, Events,
//!            object     no client, no       effect or one      Wait /   when to come back
//!                       async               cloud read         Done
//! ```
//!
//! A submission, step by step: read project and Secret, claim the desktops, read them and the jobs that name them, put
//! the finalizer on, look at the project once more, **sign, store the intent, send once, record**; then follow the job,
//! look whether the desktops are gone, take the finalizer off, store the verdict. Each step is a value of [`plan::step::Step`],
//! so each place where the process can die is the gap between two of them.
//!
//! | module | what | may use |
//! | --- | --- | --- |
//! | [`plan`] | decides the next step; pure | plain data of `crd`, `workspace`, `ids` |
//! | [`controllers`] | loads, carries out steps, reports; the project check, job poller, claims | all but `process`, `cli` |
//! | [`crd`] | the two kinds, their conditions and reasons: the contract with users | `ids` |
//! | [`workspace`] | the cloud: its calls, signature, endpoints, errors; knows no Kubernetes | `ids`, `clock`, `config`, `expiring` |
//! | [`cloud`] | sessions with the cloud that requests share: rate limiter, circuit breaker, batching, single flight | `plan`, `workspace`, `crd`, `runtime` |
//! | [`runtime`] | lease, health, metrics, logging, traces | `crd`, `workspace::error` |
//! | [`process`] | start, HTTP server, shutdown | `controllers` and what they run on: `runtime`, `workspace`, `crd` |
//! | [`cli`] | commands and flags | `process`, `runtime`, `crd`, `config` |
//! | [`config`] | what the flags set, as plain data | nothing of ours |
//! | [`ids`], [`clock`] | identifiers, parsed once; the one source of time and chance | nothing of ours |
//! | [`expiring`] | a map that forgets what nobody asks for | nothing of ours |

pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod controllers;
pub mod crd;
pub mod expiring;
pub mod ids;
pub mod plan;
pub mod process;
pub mod runtime;
pub mod workspace;
