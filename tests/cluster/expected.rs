//! The expectations of the author of a request, compared with the facts that the cloud reports.

use serde_json::{Value, json};

use desktop_deletion_operator::crd::conditions::ConditionType::{Ready, Stalled, Submitted, Succeeded};

use crate::fixture::{Fixture, body, message, pair, says};

#[tokio::test]
async fn a_wrong_id_deletes_nothing_and_a_corrected_request_succeeds() {
    let world = [
        json!({"id": "pc-1", "name": "LAPTOP-1", "user": "anna"}),
        json!({"id": "pc-2", "name": "LAPTOP-2", "user": "ben"}),
    ];
    let fixture = Fixture::set("expected", &world).await;
    let _operator = fixture.operator(&[]);
    let anna = |id: &str| json!({"expected": [{"id": id, "computerName": "laptop-1", "userName": "Anna"}]});
    fixture
        .request_with("wrong", &["pc-1", "pc-2"], anna("pc-2"))
        .await;
    let status = fixture.reason("wrong", Submitted, "ExpectationFailed").await;
    assert_eq!(
        says(&status, Ready),
        pair("False", "ExpectationFailed"),
        "{status:#}"
    );
    assert_eq!(says(&status, Stalled), pair("True", "ExpectationFailed"));
    assert!(
        message(&status, Submitted).contains(
            "desktop pc-2: the computer name is LAPTOP-2, expected laptop-1, it is assigned to ben, expected Anna"
        ),
        "{status:#}"
    );
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    fixture.request_with("right", &["pc-1"], anna("pc-1")).await;
    let status = fixture.completed("right").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let posts = fixture.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(body(&posts[0])["desktop_ids"], json!(["pc-1"]));
}
