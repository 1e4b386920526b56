//! Invalid input, and the layer that stops it: no desktop is submitted with effect twice, no false status is reported,
//! and the operator continues to serve other requests meanwhile. Each table reads as documentation: the input, and what
//! is reported about it.
//!
//! | layer | what comes in | where |
//! | --- | --- | --- |
//! | schema | values that are missing, empty, too long, too many, of wrong types, of strange characters; fields of other spellings | [`crd_rules`](crate::crd_rules), `strange.rs` and `project.rs` in it |
//! | CEL | edits of immutable fields, edits after the end, duplicates, several credentials, invalid URLs and ports | [`crd_rules`](crate::crd_rules), `deletion_spec.rs` and `strange.rs` in it |
//! | CEL | a false status that another client wrote | [`crd_rules`](crate::crd_rules), [`attack`](crate::attack) |
//! | operator | Secrets without valid credentials, and credentials that the cloud rejects | [`credentials`] |
//! | operator | endpoints that lead elsewhere | [`endpoints`]; every malicious endpoint in `tests/offline/workspace_client/endpoints` |
//! | cloud | invalid responses, to the submission and to each read, and false responses | `tests/faults/bad_answers` |
//! | cloud | error responses, truncated and lost responses, each status | `tests/faults/answers.rs`, [`refusals`](crate::refusals) |
//! | life cycle | objects applied, deleted, restored, toggled and forged, over and over | [`life_cycle`] |
//! | life cycle | a namespace that is deleted, a second request for desktops in flight | `tests/faults/leaving.rs`, [`release`](crate::release) |
//! | life cycle | annotations that settle an attempt, stale and malformed | [`resolve`] |

mod credentials;
mod endpoints;
mod life_cycle;
mod resolve;
