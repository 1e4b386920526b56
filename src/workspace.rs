//! The cloud: Huawei Cloud Workspace as the operator sees it. Nothing here has heard of Kubernetes.
//!
//! | file | what |
//! | --- | --- |
//! | [`api`] | the calls, one by one, and the plain data they answer with |
//! | [`error`] | what can go wrong, with everything that the service said |

pub mod api;
pub mod error;
