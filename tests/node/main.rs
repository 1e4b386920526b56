//! The operator on real nodes: its image under its own manifests, run by kubelet and containerd, in clusters that exist in
//! namespaces of this machine. Linux and root only; elsewhere each test says why it is skipped.
#![allow(missing_docs)] // a test is documented by its name
// A test that cannot go on says so by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// Makes of each function a test that runs in namespaces of its own.
macro_rules! on_nodes {
    ($($(#[needs($($need:ident),+)])? async fn $test:ident() $body:block)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let name = concat!(module_path!(), "::", stringify!($test));
            // Tests are named without the crate.
            let name = name.split_once("::").map_or(name, |(_, name)| name);
            let needs = &[$($(testkit::node::Need::$need),+)?];
            testkit::node::in_own_namespaces(name, needs, async || $body).await.unwrap();
        })+
    };
}

mod away;
mod families;
mod fixture;
mod hand_over;
mod helm;
mod install;
mod load;
mod network_policy;
mod upgrade;
