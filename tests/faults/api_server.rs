//! The API server loses, refuses or holds each of the operator's writes, before or after it has carried it out. All
//! requests are played at the same time, under one operator.

use testkit::{Caught, Moment};

use crate::effects::Effect;
use crate::oracle::{self, End};
use crate::scene;
use crate::troupe::Troupe;

/// What becomes of a write.
#[derive(Debug, Clone, Copy)]
enum Blow {
    /// The connection is closed: without an effect the request was lost, with it the answer.
    Lost,
    /// Nothing comes, until the operator gives up.
    Hung,
    /// It is answered with this status.
    Status(u16),
}

const BLOWS: [Blow; 9] = [
    Blow::Lost,
    Blow::Hung,
    Blow::Status(401),
    Blow::Status(403),
    Blow::Status(409),
    Blow::Status(429),
    Blow::Status(500),
    Blow::Status(503),
    Blow::Status(504),
];

struct Case {
    name: String,
    effect: Effect,
    moment: Moment,
    blow: Blow,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for effect in Effect::CALM {
        for moment in [Moment::Before, Moment::After] {
            for blow in BLOWS {
                let name = format!("{moment:?} {effect:?} {blow:?}");
                let name = name
                    .replace(|c: char| !c.is_ascii_alphanumeric(), "-")
                    .to_lowercase();
                let name = name.trim_matches('-').replace("--", "-");
                cases.push(Case {
                    name,
                    effect,
                    moment,
                    blow,
                });
            }
        }
    }
    cases
}

impl Blow {
    /// Strikes; what is given back is held on.
    fn strike(self, caught: Caught) -> Option<Caught> {
        match self {
            Self::Lost => caught.drop_connection(),
            Self::Hung => return Some(caught),
            Self::Status(status) => caught.answer(status).unwrap(),
        }
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_lost_refused_or_never_answered_changes_nothing_about_the_end() {
    let cases = cases();
    let mut troupe = Troupe::gather("api-server").await;
    for case in &cases {
        troupe.add(&case.name, &scene::one_of_two_fails()).await;
    }
    let traps: Vec<_> = cases
        .iter()
        .map(|case| case.effect.trap(&troupe.proxy, case.moment, &case.name))
        .collect();
    let strikes = cases.iter().zip(traps).map(|(case, trap)| {
        let (blow, name) = (case.blow, case.name.clone());
        tokio::spawn(async move {
            let caught = trap
                .sprung()
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            blow.strike(caught)
        })
    });
    let strikes: Vec<_> = strikes.collect();
    let runs = troupe.play().await;
    for strike in strikes {
        strike.await.unwrap();
    }

    let mut broken = oracle::judge(&runs).await;
    let undisturbed = End::one_of_two_failed();
    for run in &runs {
        broken.extend(run.expect_end(&undisturbed));
    }
    oracle::report(cases.len(), &broken);
}
