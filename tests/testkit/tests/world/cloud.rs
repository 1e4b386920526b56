//! The simulated cloud as the suites use it.

use serde_json::json;
use testkit::{Cloud, Error};
use workspace_simulator::cloud::Operation;

const DESKTOP: &str = "1d81c1dc-312b-4621-b778-bac3a1336442";

#[tokio::test]
async fn the_simulated_cloud_responds_over_tls_and_keeps_a_ledger() -> Result<(), Error> {
    let cloud = Cloud::start(&Cloud::world()).await?;
    cloud.add_desktop(&json!({"id": DESKTOP}))?;
    assert_eq!(cloud.simulator().desktops().len(), 1);

    rustls::crypto::ring::default_provider().install_default().ok();
    let authority = reqwest::Certificate::from_pem(cloud.simulator().ca_pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .build()
        .unwrap();
    let url = format!(
        "{}/v2/{}/desktops/{DESKTOP}",
        cloud.simulator().workspace,
        testkit::cloud::PROJECT_ID
    );
    let refusal = client.get(&url).send().await.unwrap().status();
    assert!(refusal.is_client_error(), "{refusal} without a signature");

    cloud.add_fault(&json!({"operation": "showDesktop", "answer": {"status": 504}}))?;
    assert_eq!(client.get(&url).send().await.unwrap().status(), 504);
    cloud.clear_faults();
    let statuses: Vec<_> = cloud
        .calls(Operation::ShowDesktop)
        .iter()
        .map(|entry| entry.status)
        .collect();
    assert_eq!(statuses, [Some(refusal.as_u16()), Some(504)]);
    Ok(())
}

#[tokio::test]
async fn invalid_worlds_and_faults_are_refused_with_a_reason() -> Result<(), Error> {
    let cloud = Cloud::start(&Cloud::world()).await?;
    let error = cloud
        .add_desktop(&json!({"id": DESKTOP, "colour": "blue"}))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("not a desktop for the simulated cloud: unknown field `colour`"),
        "{error}"
    );
    Ok(())
}
