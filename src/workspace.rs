//! The cloud: Huawei Cloud Workspace as the operator sees it. Nothing here has heard of Kubernetes.
//!
//! | file | what |
//! | --- | --- |
//! | [`api`] | the calls, one by one, and the plain data they answer with |
//! | [`error`] | what can go wrong, with everything that the service said |
//! | [`connector`] | from endpoint and login to something that makes the calls |
//! | [`transport`] | what carries a request: the network, or a service that is simulated |
//! | [`endpoint`] | which hosts and addresses the operator talks to |
//! | [`auth`] | the login, and the only place that looks at its secrets |
//! | [`iam`] | from a password to something that signs, and renewed in time |
//! | [`signature`] | the request signature: a pure function |
//! | `http` | the calls of Workspace over HTTPS |
//! | `exchange` | one call of any service: limits, what counts as not sent, what an answer means |
//! | `wire` | bodies as documented, read tolerantly |
//! | `refusal` | every envelope that errors come in |
//! | `text` | texts from outside, made fit to show |

pub mod api;
pub mod auth;
pub mod connector;
pub mod endpoint;
pub mod error;
mod exchange;
mod http;
pub mod iam;
mod refusal;
pub mod signature;
mod text;
pub mod transport;
mod wire;
