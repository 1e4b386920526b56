//! What is asked, and how answers are read.

use std::collections::{BTreeMap, BTreeSet};

use desktop_deletion_operator::workspace::api::{
    AttachedKind, AttachedUser, Billing, Desktop, DesktopFacts, DesktopKind, DesktopPage, Fact, LoginStatus,
    Lookup, SubJobQuery, SubJobStatus,
};
use desktop_deletion_operator::workspace::error::{Failure, Operation};

use super::server::{Behaviour, Server, answer};
use super::{
    ALICE, BOB, JOB, PROJECT, TOKEN, desktop, job, not_sent, patient, token, unreadable, workspace,
    workspace_with,
};

const DESKTOPS: &[u8] = include_bytes!("../../fixtures/workspace/desktops.json");
const DETAILS: &[u8] = include_bytes!("../../fixtures/workspace/desktops-detail.json");
const DESKTOP: &[u8] = include_bytes!("../../fixtures/workspace/desktop.json");
const DESKTOP_DELETED: &[u8] = include_bytes!("../../fixtures/workspace/desktop-deleted.json");
const SUB_JOBS: &[u8] = include_bytes!("../../fixtures/workspace/sub-jobs.json");
const JOB_BODY: &[u8] = include_bytes!("../../fixtures/workspace/job.json");

async fn serving(status: u16, body: &[u8]) -> Server {
    Server::start(Behaviour::Answer(answer(status, "", body))).await
}

/// First line and headers of a request, lower-case names.
fn head(request: &str) -> (String, Vec<(String, String)>) {
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap().to_owned();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    (
        first,
        headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
    )
}

fn first_line(server: &Server) -> String {
    head(&server.request()).0
}

fn header(request: &str, name: &str) -> Option<String> {
    head(request)
        .1
        .into_iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

#[tokio::test]
async fn desktops_are_asked_for_by_repeated_ids_in_canonical_order() {
    let server = serving(200, DESKTOPS).await;
    let page = workspace(&server)
        .list_desktops(&[desktop(BOB), desktop(ALICE)])
        .await
        .unwrap();
    assert_eq!(
        first_line(&server),
        format!("GET /v2/{PROJECT}/desktops?desktop_id={ALICE}&desktop_id={BOB}&limit=2 HTTP/1.1")
    );
    let row = |id, name: &str, status: &str, task_status: &str, user: &str, rest: DesktopFacts| Desktop {
        id: desktop(id),
        name: Some(name.to_owned()),
        status: status.to_owned(),
        task_status: task_status.to_owned(),
        facts: Box::new(DesktopFacts {
            computer_name: Fact::Given(name.to_owned()),
            user_name: Fact::Given(user.to_owned()),
            created: Fact::Given("2022-02-23T04:02:07Z".parse().unwrap()),
            ..rest
        }),
    };
    let of_alice = DesktopFacts {
        attached: Fact::Given(BTreeSet::from([AttachedUser {
            name: "alice".to_owned(),
            kind: AttachedKind::User,
        }])),
        tags: Fact::Given(BTreeMap::from([("team".to_owned(), "blue".to_owned())])),
        maintenance: Fact::Given(false),
        kind: Fact::Given(DesktopKind::Dedicated),
        ..DesktopFacts::default()
    };
    assert_eq!(
        page.value,
        DesktopPage {
            total: 2,
            desktops: vec![
                row(ALICE, "PC-ALICE", "ACTIVE", "", "alice", of_alice),
                row(
                    BOB,
                    "PC-BOB",
                    "SHUTOFF",
                    "deleting",
                    "bob",
                    DesktopFacts::default()
                )
            ],
            rows: 2,
        }
    );
}

#[tokio::test]
async fn a_list_with_limit_1_verifies_credentials() {
    let server = serving(200, br#"{"total_count":0,"desktops":[]}"#).await;
    let page = workspace(&server).list_desktops(&[]).await.unwrap();
    assert_eq!(
        first_line(&server),
        format!("GET /v2/{PROJECT}/desktops?limit=1 HTTP/1.1")
    );
    assert_eq!(page.value, DesktopPage::default());
}

#[tokio::test]
async fn more_ids_than_one_call_may_name_are_refused() {
    let server = serving(200, DESKTOPS).await;
    let ids: Vec<_> = (0..101).map(|n| desktop(&format!("d{n}"))).collect();
    let error = workspace(&server).list_desktops(&ids).await.unwrap_err();
    assert!(not_sent(&error).contains("at most 100"));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn details_of_desktops_are_asked_for_and_read() {
    let server = serving(200, DETAILS).await;
    let page = workspace(&server)
        .list_desktop_details(&[desktop(BOB), desktop(ALICE)])
        .await
        .unwrap();
    assert_eq!(
        first_line(&server),
        format!("GET /v2/{PROJECT}/desktops/detail?desktop_id={ALICE}&desktop_id={BOB}&limit=2 HTTP/1.1")
    );
    assert_eq!(page.service_time, Some("2026-01-15T08:30:45Z".parse().unwrap()));
    let [of_alice, of_bob] = page.value.try_into().unwrap();

    assert_eq!(of_alice.desktop.id, desktop(ALICE));
    assert_eq!(of_alice.desktop.status, "ACTIVE");
    assert_eq!(
        of_alice.desktop.facts.created,
        Fact::Given("2022-01-21T06:57:47Z".parse().unwrap())
    );
    assert_eq!(of_alice.facts.login_status, Fact::Given(LoginStatus::Connected));
    // As in the vendor's own example, the two fields disagree.
    assert_eq!(of_alice.facts.charge_mode, Fact::Given(Billing::Prepaid));
    assert_eq!(of_alice.facts.charging_mode, Fact::Given(Billing::PayPerUse));
    assert_eq!(
        of_alice.facts.order_id,
        Fact::Given("CS0000000000000001".to_owned())
    );

    assert_eq!(of_bob.desktop.facts.user_name, Fact::NotGiven);
    assert_eq!(of_bob.desktop.facts.kind, Fact::Given(DesktopKind::Pooled));
    assert_eq!(of_bob.facts.login_status, Fact::Given(LoginStatus::Unregistered));
    assert_eq!(of_bob.facts.charge_mode, Fact::Given(Billing::PayPerUse));
    assert_eq!(of_bob.facts.charging_mode, Fact::NotGiven);
    assert_eq!(of_bob.facts.order_id, Fact::NotGiven);
}

#[tokio::test]
async fn details_of_no_or_too_many_desktops_are_refused() {
    let server = serving(200, DETAILS).await;
    let ids: Vec<_> = (0..101).map(|n| desktop(&format!("d{n}"))).collect();
    for ids in [&ids[..], &[]] {
        let error = workspace(&server).list_desktop_details(ids).await.unwrap_err();
        assert!(not_sent(&error).contains("1 to 100"), "{error}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn errors_of_the_detailed_list_name_the_call() {
    let server = serving(403, br#"{"error_code":"WKS.0403","error_msg":"no"}"#).await;
    let asked = [desktop(ALICE)];
    let error = workspace(&server).list_desktop_details(&asked).await.unwrap_err();
    assert_eq!(error.operation, Operation::ListDesktopsDetail);
    assert_eq!(error.error_response().map(|refusal| refusal.status), Some(403));
    for body in ["", "[]", r#"{"desktops":[]}"#, r#"{"total_count":1}"#] {
        let server = serving(200, body.as_bytes()).await;
        let error = workspace(&server).list_desktop_details(&asked).await.unwrap_err();
        assert_eq!(unreadable(&error).0, 200, "{body}");
    }
}

#[tokio::test]
async fn every_response_carries_the_time_of_the_service() {
    let server = serving(200, DESKTOPS).await;
    let page = workspace(&server).list_desktops(&[]).await.unwrap();
    assert_eq!(page.service_time, Some("2026-01-15T08:30:45Z".parse().unwrap()));
}

#[tokio::test]
async fn every_call_names_content_type_language_and_project() {
    let server = serving(200, DESKTOPS).await;
    workspace(&server).list_desktops(&[]).await.unwrap();
    let request = server.request();
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-language", "en-us"),
        ("x-project-id", PROJECT),
        ("x-sdk-date", "20260115T083042Z"),
        ("host", server.endpoint().trim_start_matches("https://")),
    ] {
        assert_eq!(header(&request, name).as_deref(), Some(value), "{name}");
    }
    let authorization = header(&request, "authorization").unwrap();
    assert!(
        authorization.contains("SignedHeaders=content-type;host;x-project-id;x-sdk-date,"),
        "{authorization}"
    );
    assert_eq!(header(&request, "accept-encoding"), None);
}

#[tokio::test]
async fn a_token_is_sent_as_it_is_and_nothing_is_signed() {
    let server = serving(200, DESKTOPS).await;
    workspace_with(&server, token(), patient())
        .list_desktops(&[])
        .await
        .unwrap();
    let request = server.request();
    assert_eq!(header(&request, "x-auth-token").as_deref(), Some(TOKEN));
    assert_eq!(
        header(&request, "content-type").as_deref(),
        Some("application/json")
    );
    assert_eq!(header(&request, "authorization"), None);
}

#[tokio::test]
async fn reads_use_a_connection_again() {
    let server = serving(200, DESKTOPS).await;
    let workspace = workspace(&server);
    for _ in 0..20 {
        workspace.list_desktops(&[]).await.unwrap();
    }
    // A connection that is not back in time is not waited for.
    let (requests, connections) = (server.requests().len(), server.connections());
    assert!(requests == 20 && connections < 20, "{connections} connections");
}

#[tokio::test]
async fn one_desktop_is_found_with_its_state() {
    let server = serving(200, DESKTOP).await;
    let found = workspace(&server).show_desktop(&desktop(ALICE)).await.unwrap();
    assert_eq!(
        first_line(&server),
        format!("GET /v2/{PROJECT}/desktops/{ALICE} HTTP/1.1")
    );
    assert!(
        matches!(found.value, Lookup::Found(found) if found.status == "ACTIVE" && found.id == desktop(ALICE))
    );
}

#[tokio::test]
async fn a_deleted_desktop_may_be_found_in_an_array_of_one() {
    let server = serving(200, DESKTOP_DELETED).await;
    let found = workspace(&server).show_desktop(&desktop(ALICE)).await.unwrap();
    assert!(matches!(found.value, Lookup::Found(found) if found.status == "DELETED"));
}

#[tokio::test]
async fn a_404_of_the_service_means_gone() {
    for (body, tells_the_time) in [
        (r#"{"error_code":"WKS.0404","error_msg":"not found"}"#, true),
        (r#"{"error":{"code":404}}"#, true),
        ("{}", false),
    ] {
        let server = serving(404, body.as_bytes()).await;
        let found = workspace(&server).show_desktop(&desktop(ALICE)).await.unwrap();
        assert_eq!(found.value, Lookup::Gone, "{body}");
        assert_eq!(found.service_time.is_some(), tells_the_time, "{body}");
    }
}

#[tokio::test]
async fn a_404_of_gateway_or_proxy_does_not_mean_gone() {
    for body in [
        r#"{"error_code":"APIGW.0101","error_msg":"The API does not exist"}"#,
        r#"{"error_code":"APIG.0101","error_msg":"The API does not exist"}"#,
        r#"{"error_code":"apigw.0103"}"#,
        "<html><title>404 Not Found</title></html>",
        "[]",
        "",
    ] {
        let server = serving(404, body.as_bytes()).await;
        let error = workspace(&server)
            .show_desktop(&desktop(ALICE))
            .await
            .unwrap_err();
        assert_eq!(
            error.error_response().map(|refusal| refusal.status),
            Some(404),
            "{body}"
        );
    }
}

#[tokio::test]
async fn other_calls_report_a_404_as_an_error() {
    let server = serving(404, br#"{"error_code":"WKS.0404"}"#).await;
    let error = workspace(&server).show_job(&job(JOB)).await.unwrap_err();
    assert_eq!(
        error.error_response().and_then(|refusal| refusal.code.as_deref()),
        Some("WKS.0404")
    );
}

#[tokio::test]
async fn sub_jobs_are_filtered_by_the_service() {
    let server = serving(200, SUB_JOBS).await;
    let query = SubJobQuery {
        statuses: vec![SubJobStatus::Waiting, SubJobStatus::Running],
        job: Some(job(JOB)),
        offset: 2000,
        limit: 1000,
    };
    let page = workspace(&server).list_sub_jobs(&query).await.unwrap().value;
    assert_eq!(
        first_line(&server),
        format!(
            "GET /v2/{PROJECT}/workspace-sub-jobs?job_id={JOB}&job_type=deleteDesktops&limit=1000&offset=2000&status=RUNNING&status=WAITING HTTP/1.1"
        )
    );
    assert_eq!((page.total, page.rows), (3, 3));
    let read: Vec<_> = page
        .sub_jobs
        .iter()
        .map(|row| (row.desktop.as_str(), row.status))
        .collect();
    assert_eq!(
        read,
        [(ALICE, SubJobStatus::Success), (BOB, SubJobStatus::Failed)]
    );
    assert_eq!(
        page.sub_jobs[1].reason.as_deref(),
        Some("The desktop is being migrated.")
    );
}

#[tokio::test]
async fn pages_beyond_the_limits_of_the_service_are_refused() {
    let server = serving(200, SUB_JOBS).await;
    for (offset, limit) in [(10_001, 1000), (0, 1001)] {
        let query = SubJobQuery {
            offset,
            limit,
            ..SubJobQuery::default()
        };
        let error = workspace(&server).list_sub_jobs(&query).await.unwrap_err();
        assert!(not_sent(&error).contains("offset 10000"));
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_job_is_read_with_its_sub_jobs() {
    let server = serving(200, JOB_BODY).await;
    let found = workspace(&server).show_job(&job(JOB)).await.unwrap().value;
    assert_eq!(
        first_line(&server),
        format!("GET /v2/{PROJECT}/workspace-jobs/{JOB} HTTP/1.1")
    );
    assert!(found.finished);
    assert_eq!(found.code.as_deref(), Some("WKS.00010000"));
    assert_eq!(found.sub_jobs.len(), 1);
}

#[tokio::test]
async fn a_response_of_another_form_than_documented_is_unreadable() {
    for body in [
        "",
        "[]",
        "<html></html>",
        r#"{"desktops":[]}"#,
        r#"{"total_count":1"#,
    ] {
        let server = serving(200, body.as_bytes()).await;
        let error = workspace(&server).list_desktops(&[]).await.unwrap_err();
        assert_eq!(unreadable(&error).0, 200, "{body}");
        assert!(matches!(&error.failure, Failure::Unreadable { request_id: Some(id), .. } if id == "req-1"));
    }
}

#[tokio::test]
async fn an_error_in_a_success_response_keeps_its_code_and_message() {
    for (body, code) in [
        (
            r#"{"error_code":"WKS.0407","error_msg":"busy just now"}"#,
            "WKS.0407",
        ),
        (r#"{"error":{"code":401,"message":"busy just now"}}"#, "401"),
        (r#"{"code":"X.1","message":"busy just now"}"#, "X.1"),
    ] {
        let server = serving(200, body.as_bytes()).await;
        let error = workspace(&server).list_desktops(&[]).await.unwrap_err();
        let (_, reason) = unreadable(&error);
        assert!(reason.ends_with("; message: busy just now"), "{reason}");
        let Failure::Unreadable { code: said, .. } = &error.failure else {
            panic!("{error:?}");
        };
        assert_eq!(said.as_deref(), Some(code), "{body}");
    }
}

#[tokio::test]
async fn only_status_200_is_accepted_for_a_read() {
    for status in [201, 202, 204, 206, 301, 304, 500] {
        let body = if [204, 304].contains(&status) {
            &[][..]
        } else {
            DESKTOPS
        };
        let server = serving(status, body).await;
        let error = workspace(&server).list_desktops(&[]).await.unwrap_err();
        assert_eq!(error.error_response().map(|refusal| refusal.status), Some(status));
    }
}

#[tokio::test]
async fn a_compressed_response_is_unreadable() {
    let server = Server::start(Behaviour::Answer(answer(
        200,
        "Content-Encoding: gzip\r\n",
        &[0x1f, 0x8b, 8, 0],
    )))
    .await;
    let error = workspace(&server).list_desktops(&[]).await.unwrap_err();
    assert_eq!(unreadable(&error).1, "unexpected Content-Encoding");
}
