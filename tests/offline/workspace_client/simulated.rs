//! The client and the simulated cloud, which were written apart from each other, understand each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use desktop_deletion_operator::clock::{SystemClock, TimeSource};
use desktop_deletion_operator::workspace::api::{
    AttachedKind, AttachedUser, Billing, DesktopFacts, DesktopKind, Fact, Job, LoginStatus, Lookup,
    SubJobQuery, SubJobStatus, Workspace,
};
use desktop_deletion_operator::workspace::auth::{Credentials, SecretCredentials};
use desktop_deletion_operator::workspace::connector::Connector;
use desktop_deletion_operator::workspace::error::{Error, Operation};
use serde_json::json;
use workspace_simulator::world::World;
use workspace_simulator::{Options, Running, serve};

use super::{ALICE, BOB, batch, desktop, patient, secret, target};

const WORLD: &str = r#"
regions: [ap-southeast-1]
accounts:
  - name: example-account
    id: 0000000000000000000000000example
    accessKeys:
      - {id: AKEXAMPLE00000000000, secret: SKEXAMPLE-canary}
      - {id: AKTEMPORARY000000000, secret: SKTEMPORARY-canary, securityToken: ST-canary+/==}
      - {id: AKREADER000000000000, secret: SKREADER-canary, permissions: ["workspace:desktops:list", "workspace:jobs:*"]}
    users:
      - {name: operator, password: example-password}
    tokens:
      - {token: TOKEN-canary, user: operator}
projects:
  - id: 00000000000000000000000example01
desktops:
  - {id: 1d81c1dc-312b-4621-b778-bac3a1336442, name: PC-ALICE}
  - id: 34e25501-fd50-42b5-97ca-f4c5bb7b09b0
    name: PC-BOB
    outcome: {result: failed, errorCode: WKS.00010500, failReason: the port could not be removed}
timings: {waiting: 100ms, running: 100ms, emptyStatus: 50ms}
"#;

async fn cloud() -> Running {
    serve(Options::new(World::parse(WORLD).unwrap())).await.unwrap()
}

fn connected(cloud: &Running, credentials: Credentials) -> Arc<dyn Workspace> {
    let allowed = vec!["127.0.0.1=127.0.0.0/8".parse().unwrap()];
    Connector::new(patient(), allowed, Arc::new(SystemClock))
        .connect(
            &target(&cloud.workspace, &cloud.ca_pem),
            SecretCredentials::Static(credentials),
        )
        .unwrap()
}

fn access_key(id: &str, key: &str) -> Credentials {
    Credentials::access_key(&secret(&[("accessKey", id), ("secretKey", key)])).unwrap()
}

fn administrator() -> Credentials {
    access_key("AKEXAMPLE00000000000", "SKEXAMPLE-canary")
}

fn code(error: &Error) -> (u16, &str) {
    let refusal = error.error_response().unwrap();
    (refusal.status, refusal.code.as_deref().unwrap())
}

/// Asks for the job until it is finished.
async fn finished(workspace: &dyn Workspace, id: &desktop_deletion_operator::ids::JobID) -> Job {
    loop {
        let job = workspace.show_job(id).await.unwrap().value;
        if job.finished {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_batch_is_listed_deleted_and_followed_to_its_end() {
    let cloud = cloud().await;
    let workspace = connected(&cloud, administrator());
    let page = workspace
        .list_desktops(&[desktop(ALICE), desktop(BOB)])
        .await
        .unwrap();
    assert_eq!(page.value.total, 2);
    assert!(page.service_time.is_some());

    let signed = workspace.sign_batch_delete(&batch(), SystemClock.now()).unwrap();
    let digest = signed.digest().to_owned();
    let id = workspace.send(signed).await.unwrap().value;
    let posted = cloud
        .ledger()
        .into_iter()
        .find(|entry| entry.took_effect)
        .unwrap();
    assert_eq!(
        (posted.body_digest, posted.job_id.as_deref()),
        (digest, Some(id.as_str()))
    );

    finished(&*workspace, &id).await;
    let query = SubJobQuery {
        job: Some(id),
        limit: 1000,
        ..SubJobQuery::default()
    };
    let ended = workspace.list_sub_jobs(&query).await.unwrap().value;
    assert_eq!((ended.total, ended.rows), (2, 2));
    let status = |id| {
        ended
            .sub_jobs
            .iter()
            .find(|row| row.desktop == desktop(id))
            .unwrap()
    };
    assert_eq!(status(ALICE).status, SubJobStatus::Success);
    assert_eq!(status(BOB).status, SubJobStatus::Failed);
    assert_eq!(
        status(BOB).reason.as_deref(),
        Some("the port could not be removed")
    );

    assert_eq!(
        workspace.show_desktop(&desktop(ALICE)).await.unwrap().value,
        Lookup::Gone
    );
    assert!(matches!(
        workspace.show_desktop(&desktop(BOB)).await.unwrap().value,
        Lookup::Found(_)
    ));
}

#[tokio::test]
async fn every_kind_of_credentials_is_accepted() {
    let cloud = cloud().await;
    let temporary = secret(&[
        ("accessKey", "AKTEMPORARY000000000"),
        ("secretKey", "SKTEMPORARY-canary"),
        ("securityToken", "ST-canary+/=="),
    ]);
    for credentials in [
        administrator(),
        Credentials::access_key(&temporary).unwrap(),
        Credentials::token(&secret(&[("token", "TOKEN-canary")])).unwrap(),
    ] {
        let shown = format!("{credentials:?}");
        let answered = connected(&cloud, credentials).list_desktops(&[]).await;
        assert!(answered.is_ok(), "{shown}: {answered:?}");
    }
}

#[tokio::test]
async fn the_facts_of_a_desktop_are_the_same_in_both_lists() {
    let cloud = cloud().await;
    let keys = json!({
        "user": "alice", "attachedUsers": [{"name": "alice"}, {"name": "night", "type": "GROUP"}],
        "created": "2026-03-01T10:20:30.999Z", "type": "SHARED", "tags": {"team": "vdi"}, "maintenance": true,
    });
    cloud.change_desktop(ALICE, keys.as_object().unwrap()).unwrap();
    let workspace = connected(&cloud, administrator());
    let listed = workspace.list_desktops(&[desktop(ALICE)]).await.unwrap();
    let facts = &*listed.value.desktops[0].facts;
    let user = |name: &str, kind| AttachedUser {
        name: name.to_owned(),
        kind,
    };
    let expected = DesktopFacts {
        computer_name: Fact::Given("PC-ALICE".to_owned()),
        user_name: Fact::Given("alice".to_owned()),
        attached: Fact::Given(BTreeSet::from([
            user("alice", AttachedKind::User),
            user("night", AttachedKind::Group),
        ])),
        created: Fact::Given("2026-03-01T10:20:30Z".parse().unwrap()),
        tags: Fact::Given(BTreeMap::from([("team".to_owned(), "vdi".to_owned())])),
        maintenance: Fact::Given(true),
        kind: Fact::Given(DesktopKind::Shared),
        pool: Fact::NotGiven,
    };
    assert_eq!(*facts, expected);
    let Lookup::Found(shown) = workspace.show_desktop(&desktop(ALICE)).await.unwrap().value else {
        panic!("the desktop exists")
    };
    assert_eq!(*shown.facts, expected);

    let keys = json!({"fields": [
        {"field": "user_name", "absent": true}, {"field": "attach_user_infos"},
        {"field": "desktop_type", "value": "HOLOGRAM"}, {"field": "tags", "value": []},
    ]});
    cloud.change_desktop(ALICE, keys.as_object().unwrap()).unwrap();
    let listed = workspace.list_desktops(&[desktop(ALICE)]).await.unwrap();
    assert_eq!(
        *listed.value.desktops[0].facts,
        DesktopFacts {
            user_name: Fact::NotGiven,
            attached: Fact::NotGiven,
            kind: Fact::Unreadable("HOLOGRAM".to_owned()),
            tags: Fact::Given(BTreeMap::new()),
            ..expected
        }
    );
}

#[tokio::test]
async fn sessions_and_billing_are_read_from_the_detailed_list() {
    let cloud = cloud().await;
    let keys = json!({"loginStatus": "CONNECTED", "chargingMode": "prePaid", "orderID": "CS1"});
    cloud.change_desktop(ALICE, keys.as_object().unwrap()).unwrap();
    let keys = json!({"fields": [
        {"field": "login_status", "value": "LOGGING_IN"}, {"field": "product.charge_mode", "absent": true},
        {"field": "metadata"},
    ]});
    cloud.change_desktop(BOB, keys.as_object().unwrap()).unwrap();
    let workspace = connected(&cloud, administrator());
    let asked = [desktop(ALICE), desktop(BOB), desktop("nobody")];
    let details = workspace.list_desktop_details(&asked).await.unwrap().value;
    let [of_alice, of_bob] = details.try_into().unwrap();
    assert_eq!(of_alice.facts.login_status, Fact::Given(LoginStatus::Connected));
    assert_eq!(of_alice.facts.charge_mode, Fact::Given(Billing::Prepaid));
    assert_eq!(of_alice.facts.charging_mode, Fact::Given(Billing::Prepaid));
    assert_eq!(of_alice.facts.order_id, Fact::Given("CS1".to_owned()));
    assert_eq!(
        of_bob.facts.login_status,
        Fact::Unreadable("LOGGING_IN".to_owned())
    );
    assert_eq!(
        (of_bob.facts.charge_mode, of_bob.facts.charging_mode),
        (Fact::NotGiven, Fact::NotGiven)
    );
    assert_eq!(of_bob.facts.order_id, Fact::NotGiven);

    let reader = connected(&cloud, access_key("AKREADER000000000000", "SKREADER-canary"));
    let error = reader.list_desktop_details(&asked).await.unwrap_err();
    assert_eq!(error.error_response().map(|refusal| refusal.status), Some(403));
    assert!(
        error
            .to_string()
            .contains(Operation::ListDesktopsDetail.permission()),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_secret_key_is_refused_by_the_gateway() {
    let cloud = cloud().await;
    let workspace = connected(&cloud, access_key("AKEXAMPLE00000000000", "SKEXAMPLE-wrong"));
    let error = workspace.list_desktops(&[]).await.unwrap_err();
    assert_eq!(code(&error), (401, "APIGW.0301"));
}

#[tokio::test]
async fn an_old_signature_is_refused_by_the_gateway() {
    let cloud = cloud().await;
    let workspace = connected(&cloud, administrator());
    let long_ago = SystemClock.now() - Duration::from_secs(16 * 60);
    let error = workspace
        .send(workspace.sign_batch_delete(&batch(), long_ago).unwrap())
        .await
        .unwrap_err();
    assert_eq!(code(&error), (401, "APIGW.0301"));
    assert!(cloud.ledger().iter().all(|entry| !entry.took_effect));
}

#[tokio::test]
async fn credentials_without_the_permission_are_refused() {
    let cloud = cloud().await;
    let workspace = connected(&cloud, access_key("AKREADER000000000000", "SKREADER-canary"));
    let error = workspace
        .send(workspace.sign_batch_delete(&batch(), SystemClock.now()).unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.error_response().map(|refusal| refusal.status), Some(403));
    assert!(
        error.to_string().contains("workspace:desktops:batchDelete"),
        "{error}"
    );
}
