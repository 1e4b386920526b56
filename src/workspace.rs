//! The client of the cloud API: Huawei Cloud Workspace as the operator sees it. Nothing here depends on Kubernetes.
//!
//! | file | what |
//! | --- | --- |
//! | [`api`] | the calls, one by one, and the plain data that they return |
//! | [`error`] | errors, with everything that the service reported |
//! | [`connector`] | creates a client from an endpoint and credentials |
//! | [`transport`] | how a request is sent: over the network, or to a simulated service |
//! | [`endpoint`] | which hosts and addresses the operator talks to |
//! | [`auth`] | credentials: parsed from the data of a Secret, and checked |
//! | [`iam`] | exchanges a password for a temporary access key, and renews it in time |
//! | [`signature`] | the request signature: a pure function |
//! | `http` | the calls of Workspace over HTTPS |
//! | `exchange` | one call of any service: limits, what counts as not sent, what a response means |
//! | `wire` | bodies as documented, read tolerantly |
//! | `error_response` | the formats of error responses |
//! | `text` | sanitizes texts from outside before they are shown |

pub mod api;
pub mod auth;
pub mod connector;
pub mod endpoint;
pub mod error;
mod error_response;
mod exchange;
mod http;
pub mod iam;
pub mod signature;
mod text;
pub mod transport;
mod wire;
