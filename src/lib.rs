//! `desktop-deletion-operator`: deletes Huawei Cloud Workspace desktops declared as `DesktopDeletion` resources, never
//! submits a batch again while an earlier delete request may take effect, and reports every step in conditions.
//!
//! ```text
//!  watch ──► load ──► plan(&Observed) ──► execute(step) ──► plan … ──► report
//!            cached     pure: no clock,     exactly one        until    status, Events,
//!            copy       no client, no       effect or one      Wait /   time of the next
//!                       async               cloud read         Done     reconciliation
//! ```
//!
//! The loop is the function `run_steps` in [`controllers::deletion`]: it calls [`plan::plan`], carries out the step, and
//! calls `plan` again, until the step is `Wait` or `Done`.
//!
//! The steps of a submission: read the project and its Secret, claim the desktops, read them and the jobs that name them,
//! add the finalizer, read the project again, **sign, store the intent, send once, record the response**; then follow the
//! job, verify that the desktops are gone, remove the finalizer, and store the result. Each step is a value of
//! [`plan::step::Step`], so a crash always happens between two of them or within one.
//!
//! | module | content | may use |
//! | --- | --- | --- |
//! | [`plan`] | decides the next step; pure | `ids`, `crd`, `config`, `workspace::api`, `workspace::error` |
//! | [`controllers`] | load objects, carry out steps, report; the check of projects, the job poller, the claims; reads the Secrets | `plan`, `cloud`, `runtime`, `workspace`, `crd`, `config`, `expiring`, `ids`, `clock` |
//! | [`crd`] | the two kinds, their conditions and reasons: the API for users | `ids` |
//! | [`workspace`] | the client of the cloud API: its calls, signature, endpoints, errors; does not depend on Kubernetes | `ids`, `clock`, `config`, `expiring` |
//! | [`cloud`] | sessions with the cloud API that requests share: rate limiter, circuit breaker, batching, single flight | `plan`, `workspace`, `crd`, `runtime`, `ids`, `clock`, `config`, `expiring` |
//! | [`runtime`] | leader election, health, metrics, logging, traces | `crd`, `clock`, `config`, `workspace::error` |
//! | [`process`] | start, HTTP server, shutdown | `controllers`, `runtime`, `workspace`, `clock`, `config` |
//! | [`cli`] | commands and flags | `runtime`, `crd`, `config` |
//! | [`config`] | the values of the flags, as plain data | no other module |
//! | [`ids`], [`clock`] | identifiers, parsed once; the only source of time and randomness | no other module |
//! | [`expiring`] | a map whose entries expire when they are not used | no other module |
//!
//! The last column is that of the test `tests/offline/layering.rs`, which refuses any other use.
//!
//! The section "Where to look" of CONTRIBUTING.md leads from a question to the file that answers it.

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
