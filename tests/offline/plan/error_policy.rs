//! Every error that the vendor's API reference names (sections "gateway codes", "Workspace codes", "throttling"),
//! and what is done about it.

use super::build::failure;
use desktop_deletion_operator::crd::deletion::{CloudError, ErrorClass};
use desktop_deletion_operator::plan::error_policy::classify;
use desktop_deletion_operator::plan::messages::of_error;
use desktop_deletion_operator::workspace::error::{BreakerKind, Error, ErrorResponse, Failure, Operation};

/// One row is one error. The answer's status, then its code: `GW.` stands for both prefixes of the gateway, `json` for
/// a JSON body without a code, `page` for a body that is no JSON object. Then: the class, the reason of the conditions,
/// whether a user must fix something, and how soon it is retried.
const TABLE: &str = "
    # No answer, or none that can be read.
    NotSent     -             Unreachable      ServiceUnavailable    itself  Backoff
    NoResponse  -             InDoubt          ServiceUnavailable    itself  Backoff
    Unreadable  -             InDoubt          ServiceUnavailable    itself  Backoff
    # A suppressed call says nothing about the credentials or the service.
    CircuitOpen Credentials   Authentication   AuthenticationFailed  person  Slow
    CircuitOpen Throttled     Throttled        Throttled             itself  Backoff
    CircuitOpen Unanswered    Unavailable      ServiceUnavailable    itself  Backoff

    # Codes of the gateway.
    404         GW.0101       WrongEndpoint    WrongEndpoint         person  Slow
    404         GW.0103       WrongEndpoint    WrongEndpoint         person  Slow
    400         GW.0104       WrongEndpoint    WrongEndpoint         person  Slow
    500         GW.0105       WrongEndpoint    WrongEndpoint         person  Slow
    400         GW.0201       UnknownRefusal   RequestRefused        person  Slow
    413         GW.0201       UnknownRefusal   RequestRefused        person  Slow
    408         GW.0201       InDoubt          ServiceUnavailable    itself  Backoff
    499         GW.0201       InDoubt          ServiceUnavailable    itself  Backoff
    408         WKS.0001      InDoubt          ServiceUnavailable    itself  Backoff
    414         GW.0201       UnknownRefusal   RequestRefused        person  Slow
    494         GW.0201       UnknownRefusal   RequestRefused        person  Slow
    500         GW.0201       InDoubt          ServiceUnavailable    itself  Backoff
    502         GW.0201       InDoubt          ServiceUnavailable    itself  Backoff
    504         GW.0201       InDoubt          ServiceUnavailable    itself  Backoff
    400         GW.0204       WrongEndpoint    WrongEndpoint         person  Slow
    401         GW.0301       Authentication   AuthenticationFailed  person  Slow
    403         GW.0302       Permission       PermissionDenied      person  Slow
    401         GW.0303       Authentication   AuthenticationFailed  person  Slow
    403         GW.0304       Permission       PermissionDenied      person  Slow
    401         GW.0305       Authentication   AuthenticationFailed  person  Slow
    403         GW.0306       Permission       PermissionDenied      person  Slow
    401         GW.0307       Authentication   AuthenticationFailed  person  Slow
    429         GW.0308       Throttled        Throttled             itself  Backoff
    403         GW.0310       Permission       PermissionDenied      person  Slow
    400         GW.0311       Authentication   AuthenticationFailed  person  Slow
    403         GW.0401       Permission       PermissionDenied      person  Slow
    403         GW.0402       Permission       PermissionDenied      person  Slow
    500         GW.0601       InDoubt          ServiceUnavailable    itself  Backoff
    400         GW.0602       UnknownRefusal   RequestRefused        person  Slow
    500         GW.0605       InDoubt          ServiceUnavailable    itself  Backoff
    500         GW.0606       InDoubt          ServiceUnavailable    itself  Backoff
    400         GW.0607       UnknownRefusal   RequestRefused        person  Slow
    500         GW.0608       InDoubt          ServiceUnavailable    itself  Backoff
    502         GW.0610       Unavailable      ServiceUnavailable    itself  Backoff
    503         GW.0613       Unavailable      ServiceUnavailable    itself  Backoff
    403         GW.0802       Permission       PermissionDenied      person  Slow
    400         GW.1009       Authentication   AuthenticationFailed  person  Slow
    # A code that no table has: the status decides, but the gateway knows no desktop.
    400         GW.9999       UnknownRefusal   RequestRefused        person  Slow
    404         GW.9999       WrongEndpoint    WrongEndpoint         person  Slow
    500         GW.9999       InDoubt          ServiceUnavailable    itself  Backoff

    # Codes of Workspace.
    400         WKS.0001      InvalidRequest   InvalidRequest        person  Soon
    409         WKS.00010032  Conflict         Conflict              itself  Backoff
    400         WKS.0407      Conflict         Conflict              itself  Backoff
    403         WKS.00010099  ServiceDisabled  ServiceDisabled       person  Slow
    500         WKS.0202      InDoubt          ServiceUnavailable    itself  Backoff
    400         WKS.00170312  ServiceDisabled  ServiceDisabled       person  Slow
    400         WKS.00170117  ServiceDisabled  ServiceDisabled       person  Slow
    400         WKS.00170208  UnknownRefusal   RequestRefused        person  Slow
    500         WKS.00000003  InDoubt          ServiceUnavailable    itself  Backoff
    404         WKS.00081103  NotFound         NotFound              itself  AfterJobVisibility
    409         WKS.00081101  Conflict         Conflict              itself  Backoff

    # Statuses of the operation, with a code that no table has, with none, and as a proxy's page.
    400         json          UnknownRefusal   RequestRefused        person  Slow
    400         page          WrongEndpoint    WrongEndpoint         person  Slow
    401         json          Authentication   AuthenticationFailed  person  Slow
    401         IAM.0011      Authentication   AuthenticationFailed  person  Slow
    401         401           Authentication   AuthenticationFailed  person  Slow
    401         page          Authentication   AuthenticationFailed  person  Slow
    403         json          Permission       PermissionDenied      person  Slow
    403         WKS.99999999  Permission       PermissionDenied      person  Slow
    403         STS5.1001     Permission       PermissionDenied      person  Slow
    403         page          Permission       PermissionDenied      person  Slow
    404         json          NotFound         NotFound              itself  AfterJobVisibility
    404         WKS.99999999  NotFound         NotFound              itself  AfterJobVisibility
    # Another service than Workspace knows no desktop.
    404         IAM.0004      UnknownRefusal   RequestRefused        person  Slow
    404         SYS.0404      UnknownRefusal   RequestRefused        person  Slow
    404         page          WrongEndpoint    WrongEndpoint         person  Slow
    405         json          WrongEndpoint    WrongEndpoint         person  Slow
    405         page          WrongEndpoint    WrongEndpoint         person  Slow
    407         page          Unavailable      ServiceUnavailable    itself  Backoff
    421         json          Unavailable      ServiceUnavailable    itself  Backoff
    423         json          Unavailable      ServiceUnavailable    itself  Backoff
    425         json          Unavailable      ServiceUnavailable    itself  Backoff
    408         json          InDoubt          ServiceUnavailable    itself  Backoff
    408         page          InDoubt          ServiceUnavailable    itself  Backoff
    499         json          InDoubt          ServiceUnavailable    itself  Backoff
    499         page          InDoubt          ServiceUnavailable    itself  Backoff
    409         json          Conflict         Conflict              itself  Backoff
    413         json          UnknownRefusal   RequestRefused        person  Slow
    413         page          UnknownRefusal   RequestRefused        person  Slow
    414         json          UnknownRefusal   RequestRefused        person  Slow
    414         page          UnknownRefusal   RequestRefused        person  Slow
    429         json          Throttled        Throttled             itself  Backoff
    429         page          Throttled        Throttled             itself  Backoff
    500         json          InDoubt          ServiceUnavailable    itself  Backoff
    500         page          InDoubt          ServiceUnavailable    itself  Backoff
    502         json          InDoubt          ServiceUnavailable    itself  Backoff
    502         page          InDoubt          ServiceUnavailable    itself  Backoff
    503         json          InDoubt          ServiceUnavailable    itself  Backoff
    503         page          InDoubt          ServiceUnavailable    itself  Backoff
    504         json          InDoubt          ServiceUnavailable    itself  Backoff
    504         page          InDoubt          ServiceUnavailable    itself  Backoff

    # Neither a refusal nor what was asked for: a redirect, a good status that is not the documented one.
    200         json          InDoubt          ServiceUnavailable    itself  Backoff
    204         page          InDoubt          ServiceUnavailable    itself  Backoff
    301         page          InDoubt          ServiceUnavailable    itself  Backoff
    302         page          InDoubt          ServiceUnavailable    itself  Backoff
    307         page          InDoubt          ServiceUnavailable    itself  Backoff
";

#[test]
fn every_error_has_its_class_reason_and_retry_policy() {
    let mut wrong = Vec::new();
    for (error, row) in rows() {
        let class = classify(&error);
        let error_policy = class.error_policy();
        let said = [
            class.as_str().to_owned(),
            error_policy.reason.to_string(),
            if error_policy.needs_user {
                "person"
            } else {
                "itself"
            }
            .to_owned(),
            format!("{:?}", error_policy.retry),
        ];
        if said != row[2..] {
            wrong.push(format!("{row:?}: {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_every_class() {
    let covered: Vec<_> = rows().map(|(error, _)| classify(&error)).collect();
    let missing: Vec<_> = ErrorClass::ALL
        .iter()
        .filter(|class| !covered.contains(class))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn an_unknown_5xx_response_of_the_service_is_never_treated_as_a_rejection() {
    // Errors that mean "certainly not carried out" must be listed: an unlisted 5xx may have deleted.
    for status in 500..=599 {
        for code in [None, Some("WKS.99999999"), Some("APIGW.9999"), Some("IAM.0011")] {
            assert_eq!(
                classify(&refused(status, code, true)),
                ErrorClass::InDoubt,
                "{status} {code:?}"
            );
        }
    }
}

#[test]
fn a_code_of_the_gateway_means_the_same_whatever_the_status() {
    let codes = rows().filter(|(_, row)| {
        let number = row[1].strip_prefix("GW.");
        // Too large a request, or no response behind the gateway: one code for both. The other is no code of the table.
        let refused = row[0] >= "400";
        refused && number.is_some_and(|number| !["0201", "9999"].contains(&number))
    });
    for (error, row) in codes {
        let code = error.error_response().unwrap().code.as_deref();
        for status in [400, 401, 403, 404, 409, 429, 500, 502, 503] {
            let class = classify(&refused(status, code, true));
            assert_eq!(class.as_str(), row[2], "{status} {code:?}");
        }
    }
}

#[test]
fn no_error_code_turns_a_redirect_or_an_interim_response_into_a_rejection() {
    for (error, _) in rows() {
        let Some(refusal) = error.error_response() else {
            continue;
        };
        for status in [100, 103, 302, 307] {
            let class = classify(&refused(status, refusal.code.as_deref(), true));
            assert_eq!(class, ErrorClass::InDoubt, "{status} {:?}", refusal.code);
        }
    }
}

#[test]
fn iam_errors_400_404_and_405_mean_a_wrong_endpoint() {
    for operation in [Operation::CreateToken, Operation::CreateTemporaryAccessKey] {
        for (status, json) in [(400, true), (404, true), (404, false), (405, false)] {
            let error = Error {
                operation,
                ..refused(status, None, json)
            };
            assert_eq!(classify(&error), ErrorClass::WrongEndpoint, "{status} {json}");
        }
        let error = Error {
            operation,
            ..refused(401, Some("401"), true)
        };
        assert_eq!(classify(&error), ErrorClass::Authentication);
    }
    let text = of_error(&of(Operation::CreateToken, ErrorClass::WrongEndpoint));
    assert!(text.contains("iamEndpoint"), "{text}");
}

#[test]
fn a_denial_names_the_permission_that_is_missing() {
    for operation in Operation::ALL {
        let text = of_error(&of(*operation, ErrorClass::Permission));
        assert!(text.contains(operation.permission()), "{text}");
    }
}

#[test]
fn a_denial_that_names_another_action_is_about_that_one() {
    for (words, action) in [
        (
            "Policy doesn't allow vpc:ports:delete to be performed.",
            "credentials lack permission vpc:ports:delete;",
        ),
        (
            "batchDelete: HTTP 403: User iam::u1:user:bot is not authorized to perform: workspace:desktops:batchDelete",
            "credentials lack permission workspace:desktops:batchDelete;",
        ),
        (
            "denied at 12:30:45",
            "credentials lack permission workspace:desktops:batchDelete;",
        ),
    ] {
        let denial = CloudError {
            message: Some(words.to_owned()),
            ..of(Operation::BatchDelete, ErrorClass::Permission)
        };
        let text = of_error(&denial);
        assert!(text.starts_with(action), "{text}");
    }
}

#[test]
fn a_403_that_is_not_about_permissions_names_none() {
    for code in ["APIGW.0310", "APIG.0401", "APIGW.0402", "APIG.0802"] {
        let denial = CloudError {
            code: Some(code.to_owned()),
            ..of(Operation::BatchDelete, ErrorClass::Permission)
        };
        let text = of_error(&denial);
        assert!(!text.contains(Operation::BatchDelete.permission()), "{text}");
        assert!(text.contains("see its message"), "{text}");
    }
}

#[test]
fn every_error_class_has_a_message_with_the_response_of_the_cloud() {
    for class in ErrorClass::ALL {
        let refused = CloudError {
            http_status: Some(499),
            code: Some("X.1".to_owned()),
            message: None,
            ..of(Operation::BatchDelete, *class)
        };
        let text = of_error(&refused);
        assert!(text.ends_with(" (batchDelete: HTTP 499 X.1)"), "{text}");
    }
}

fn of(operation: Operation, class: ErrorClass) -> CloudError {
    CloudError {
        operation,
        ..failure(class)
    }
}

/// The errors of the table, each with its row; the gateway's once for each prefix.
fn rows() -> impl Iterator<Item = (Error, Vec<&'static str>)> {
    let lines = TABLE.lines().map(str::trim);
    let rows = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.flat_map(|line| {
        let row: Vec<_> = line.split_whitespace().collect();
        assert_eq!(row.len(), 6, "{line}");
        errors(row[0], row[1])
            .into_iter()
            .map(move |error| (error, row.clone()))
    })
}

fn errors(status: &str, code: &str) -> Vec<Error> {
    let reason = || "reason".to_owned();
    match status {
        "NotSent" => vec![failed(Failure::NotSent { reason: reason() })],
        "NoResponse" => vec![failed(Failure::NoResponse { reason: reason() })],
        "CircuitOpen" => {
            let breaker = match code {
                "Credentials" => BreakerKind::Credentials,
                "Throttled" => BreakerKind::Throttled,
                _ => BreakerKind::Unanswered,
            };
            vec![failed(Failure::CircuitOpen {
                breaker,
                reason: reason(),
            })]
        }
        "Unreadable" => vec![failed(Failure::Unreadable {
            status: 202,
            code: None,
            request_id: None,
            reason: reason(),
        })],
        status => {
            let status = status.parse().unwrap();
            match (code, code.strip_prefix("GW.")) {
                (_, Some(number)) => ["APIGW", "APIG"]
                    .iter()
                    .map(|prefix| refused(status, Some(&format!("{prefix}.{number}")), true))
                    .collect(),
                ("json", _) => vec![refused(status, None, true)],
                ("page", _) => vec![refused(status, None, false)],
                _ => vec![refused(status, Some(code), true)],
            }
        }
    }
}

fn refused(status: u16, code: Option<&str>, json: bool) -> Error {
    failed(Failure::ErrorResponse(Box::new(ErrorResponse {
        status,
        code: code.map(ToOwned::to_owned),
        json,
        ..ErrorResponse::default()
    })))
}

fn failed(failure: Failure) -> Error {
    Error {
        operation: Operation::BatchDelete,
        failure,
        service_time: None,
    }
}
