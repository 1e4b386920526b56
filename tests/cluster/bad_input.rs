//! Bad input, and the layer that stops it: no desktop is submitted with effect twice, nothing is said that is not so, and
//! the operator goes on serving others meanwhile. Each table reads as documentation: what comes in, and what is said
//! about it.
//!
//! | layer | what comes in | where |
//! | --- | --- | --- |
//! | schema | values that are missing, empty, too long, too many, of wrong types, of strange characters; fields of other spellings | [`crd_rules`](crate::crd_rules), `strange.rs` and `project.rs` in it |
//! | CEL | edits of what may not be edited, edits after the end, duplicates, several logins, URLs and ports that are none | [`crd_rules`](crate::crd_rules), `deletion_spec.rs` and `strange.rs` in it |
//! | CEL | a status that is not so, written by somebody else | [`crd_rules`](crate::crd_rules), [`attack`](crate::attack) |
//! | operator | Secrets that hold no login, and logins that the cloud does not take | [`credentials`] |
//! | operator | endpoints that lead elsewhere | [`endpoints`]; every trick in `tests/offline/workspace_client/endpoints` |
//! | cloud | answers that are none, to the submission and to each read, and answers that are not true | `tests/faults/bad_answers` |
//! | cloud | refusals, cut and lost answers, each status | `tests/faults/answers.rs`, [`refusals`](crate::refusals) |
//! | life cycle | objects applied, deleted, restored, toggled and forged, over and over | [`life_cycle`] |
//! | life cycle | a namespace that ends, a twin of what is in flight | `tests/faults/leaving.rs`, [`release`](crate::release) |
//! | life cycle | annotations that settle an attempt, stale and malformed | [`resolve`] |

mod credentials;
mod endpoints;
mod life_cycle;
mod resolve;
