//! The call is made once, and its response is not misread.

use crate::{Edit, Layer, Mutant, Trial};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "client-retries",
        does: "The client retries the delete request after a 5xx response",
        edits: &[Edit {
            file: "src/workspace/exchange.rs",
            find: "        let received = transfer(transport, call, limits)
            .await
            .map_err(|lost| self.transport_error(&lost))?;
",
            replace: "        let again = call.clone();
        let mut received = transfer(transport, call, limits)
            .await
            .map_err(|lost| self.transport_error(&lost))?;
        if received.status.is_server_error() {
            received = transfer(transport, again, limits)
                .await
                .map_err(|lost| self.transport_error(&lost))?;
        }
",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["workspace_client::submission"],
        }],
    },
    Mutant {
        name: "client-retries-lost-response",
        does: "The client retries the delete request if its response is lost",
        edits: &[Edit {
            file: "src/workspace/exchange.rs",
            find: "        let received = transfer(transport, call, limits)
            .await
            .map_err(|lost| self.transport_error(&lost))?;
",
            replace: "        let again = call.clone();
        let received = match transfer(transport, call, limits).await {
            Ok(received) => received,
            Err(_) => transfer(transport, again, limits)
                .await
                .map_err(|lost| self.transport_error(&lost))?,
        };
",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["workspace_client::failures"],
        }],
    },
    Mutant {
        name: "redirects-followed",
        does: "The client follows redirects",
        edits: &[Edit {
            file: "src/workspace/connector.rs",
            find: ".redirect(redirect::Policy::none())",
            replace: ".redirect(redirect::Policy::limited(10))",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["workspace_client::submission"],
        }],
    },
    Mutant {
        name: "connections-reused",
        does: "The delete request can be sent on a reused connection, where it is unknown whether it was sent if the connection breaks",
        edits: &[Edit {
            file: "src/workspace/connector.rs",
            find: ".pool_max_idle_per_host(0)",
            replace: ".pool_max_idle_per_host(8)",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["workspace_client::submission"],
        }],
    },
    Mutant {
        name: "call-repeated-after-401",
        does: "The client retries the delete request after a 401 response",
        edits: &[Edit {
            file: "src/workspace/http.rs",
            find: "        let received = exchange
            .exchange(&*self.service.clients.submissions, request.call, limits)
            .await?;
",
            replace: "        let again = request.call.clone();
        let mut received = exchange
            .exchange(&*self.service.clients.submissions, request.call, limits)
            .await?;
        if received.status == StatusCode::UNAUTHORIZED {
            received = exchange
                .exchange(&*self.service.clients.submissions, again, limits)
                .await?;
        }
",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["workspace_client::logins"],
        }],
    },
    Mutant {
        name: "rejected-password-retried",
        does: "A password that IAM rejects is sent again, which can lock the user",
        edits: &[Edit {
            file: "src/workspace/iam/user_session.rs",
            find: "        let result = self.iam.create_token(&self.password, &self.project).await;
",
            replace: "        let mut result = self.iam.create_token(&self.password, &self.project).await;
        if result.is_err() {
            result = self.iam.create_token(&self.password, &self.project).await;
        }
",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["workspace_client::logins"],
        }],
    },
    Mutant {
        name: "inconclusive-response-treated-as-rejection",
        does: "An inconclusive response, such as HTTP 500, counts as a rejection",
        edits: &[Edit {
            file: "src/plan/error_policy.rs",
            find: "        _ => ErrorClass::InDoubt,
    }
}",
            replace: "        _ => ErrorClass::Unavailable,
    }
}",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::error_policy"],
        }],
    },
    Mutant {
        name: "lost-response-treated-as-not-sent",
        does: "A call whose connection breaks after the first byte counts as not sent",
        edits: &[Edit {
            file: "src/workspace/transport.rs",
            find: "            (false, cause)",
            replace: "            (true, cause)",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["workspace_client::failures"],
        }],
    },
];
