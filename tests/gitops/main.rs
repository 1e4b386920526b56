//! Requests and projects that come from Git: the real Argo CD and Flux deliver commits to a real API server, and the
//! operator acts on them. Each scenario is one function that both tools play.
#![allow(missing_docs)] // a test is documented by its name
// A test that cannot go on says so by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// Makes of each scenario a test for Argo CD and one for Flux.
macro_rules! with_both {
    ($($scenario:ident),+ $(,)?) => {
        mod argocd {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(crate::delivery::Tool::ArgoCd).await;
            })+
        }
        mod flux {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(crate::delivery::Tool::Flux).await;
            })+
        }
    };
}

mod applied;
mod argocd;
mod argocd_options;
mod delivery;
mod edits;
mod flux;
mod flux_options;
mod git;
mod removal;
mod service;
// What the suite `cluster` shares with this one, and some more.
#[path = "../cluster/fixture.rs"]
#[allow(dead_code, unused_imports)]
mod fixture;
mod suspend;
