//! The handle of the operator's process, tried on a shell in its place.

use testkit::{Error, GENEROUS, Operator, OperatorOptions, eventually};

fn script(script: &str) -> Result<Operator, Error> {
    let arguments = ["-c", script];
    let environment = [("GREETING", "hello")];
    Operator::start(OperatorOptions {
        binary: "sh",
        arguments: &arguments,
        environment: &environment,
        kubeconfig: None,
    })
}

async fn prints(operator: &Operator, text: &str) -> Result<(), Error> {
    let wanted = format!("the log has {text:?}");
    let look = async || {
        if operator.log().contains(text) {
            Ok(())
        } else {
            Err(operator.log())
        }
    };
    eventually(&wanted, GENEROUS, look).await
}

#[tokio::test]
async fn the_operator_gets_only_the_environment_that_was_specified() -> Result<(), Error> {
    // Cargo sets this variable for every test.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let operator = script(r#"echo "$GREETING, [$CARGO_MANIFEST_DIR]""#)?;
    assert_eq!(operator.wait().await?, 0);
    assert_eq!(operator.log(), "hello, []\n");
    Ok(())
}

#[tokio::test]
async fn the_operator_can_be_frozen_during_its_shutdown() -> Result<(), Error> {
    let operator = script("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done")?;
    prints(&operator, "ready").await?;
    operator.freeze();
    assert_eq!(operator.exit_status(), None);
    operator.thaw();
    assert_eq!(operator.terminate().await?, 0);
    assert!(operator.log().ends_with("bye\n"));
    Ok(())
}

#[tokio::test]
async fn the_operator_can_be_killed_without_a_graceful_shutdown() -> Result<(), Error> {
    let operator = script("trap 'echo bye' TERM EXIT; echo ready; while :; do sleep 0.01; done")?;
    prints(&operator, "ready").await?;
    operator.kill().await?;
    assert_eq!(
        (operator.exit_status(), operator.log_tail().as_str()),
        (Some(137), "ready")
    );
    Ok(())
}
