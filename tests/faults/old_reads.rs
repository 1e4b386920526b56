//! The reads of a request become outdated while it waits for a permit, and are repeated before anything is sent.

use serde_json::json;
use testkit::eventually;

use desktop_deletion_operator::crd::conditions::ConditionType::Succeeded;

use crate::fixture::{Fixture, desktop, pair, says};
use crate::trial::{BOUND, FLAGS};

/// More than the concurrent calls with one set of credentials, so that some must wait.
const REQUESTS: usize = 8;

#[tokio::test]
async fn requests_whose_reads_become_outdated_while_they_wait_for_a_permit_are_all_submitted() {
    let names: Vec<_> = (0..REQUESTS).map(|number| format!("pc-{number}")).collect();
    let desktops: Vec<_> = names.iter().map(|name| desktop(name)).collect();
    let fixture = Fixture::set("old-reads", &desktops).await;
    // The first submissions are answered so late that what the others have read is old by then.
    for nth in [1, 2] {
        let late =
            json!({"operation": "batchDelete", "nth": nth, "effectFirst": true, "answer": {"delay": "3s"}});
        fixture.cloud.add_fault(&late).unwrap();
    }
    let guard = |flag: &&&str| flag.starts_with("--max-signature-age");
    let mut flags: Vec<_> = FLAGS[1..].iter().filter(|flag| !guard(flag)).copied().collect();
    flags.push("--max-signature-age=1s");
    for name in &names {
        fixture.request(name, &[name]).await;
    }
    let _operator = fixture.operator(&flags);
    let sent = async || match fixture.posts().len() {
        REQUESTS => Ok(()),
        count => Err(format!("{count} of {REQUESTS}")),
    };
    eventually("each request was submitted", BOUND, sent)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    for name in &names {
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    }
    assert_eq!(fixture.posts().len(), REQUESTS, "each of them once");
}
