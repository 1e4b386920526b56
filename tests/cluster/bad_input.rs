//! Bad input, and the layer that stops it: nothing takes effect twice, nothing is said that is not so, and the operator
//! goes on serving others meanwhile. Each table reads as documentation: what is given, and what is said about it.
//!
//! | layer | what comes in | where |
//! | --- | --- | --- |
//! | schema and CEL | specs and status, created, edited, forged | [`crd_rules`](crate::crd_rules) |
//! | operator | Secrets that hold no login | [`credentials`] |
//! | operator | endpoints that lead elsewhere | [`endpoints`], `tests/offline/workspace_client/endpoints` |
//! | cloud | answers that are none, or not true | `tests/faults/bad_answers.rs` |
//! | life cycle | applied, deleted, restored, forged, toggled, namespaces that end | [`life_cycle`] |
//! | life cycle | annotations that settle an attempt, stale and malformed | [`resolve`] |

mod credentials;
mod endpoints;
mod life_cycle;
mod resolve;
