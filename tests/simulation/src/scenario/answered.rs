//! Worlds in which only the responses of the cloud are wrong, and in which the operator may crash once.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Login, NEXT_TOKEN, PASSWORD, Scenario, TOKEN, USER};
use crate::acts::{Act, Disturbance, Trigger};
use crate::answers::Rule;
use crate::calls::Call;
use crate::clock::START;
use crate::dice::Dice;

/// How long the operator's token lives; `--token-life` says the same, since a day would be long to play.
pub const TOKEN_LIFE: Duration = Duration::from_secs(2 * 3600);

/// How long such responses may last: longer than any deletion should take, shorter than the token lives.
const LONG_TROUBLED: u64 = 100 * 60_000;

/// How long after them everything must have ended: a row of a list that was shown once is missed for a day.
const LONG_PATIENCE: u64 = 30 * 3_600_000;

/// Makes the numbers by which these worlds are drawn their own.
const ANSWERS: u64 = 0x616e_7377_6572;

impl Scenario {
    /// What a seed gives if the responses of the cloud are replaced by undocumented ones.
    pub fn draw_answers(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ ANSWERS);
        let mut world = Self::draw_unguarded(seed, None);
        world.login = match dice.within(0..8) {
            0..5 => Login::AccessKey,
            5 | 6 => Login::Password,
            _ => Login::Token,
        };
        world.answers = world.login.draw_rules(&mut dice);
        if world.answers.iter().any(|rule| rule.count.is_none()) {
            world.troubled = LONG_TROUBLED;
        }
        world.patience = LONG_PATIENCE;
        world.rules = vec![];
        world.acts = death(&mut dice).into_iter().collect();
        // Each begins at once, so that it is there when the responses are.
        world
            .requests
            .iter_mut()
            .for_each(|request| request.suspended = false);
        let account = &mut world.cloud["accounts"][0];
        account["users"] = json!([{"name": USER, "password": PASSWORD}]);
        if let Some(tokens) = account["tokens"].as_array_mut() {
            tokens.push(token(TOKEN, TOKEN_LIFE));
            tokens.push(token(NEXT_TOKEN, TOKEN_LIFE * 24));
        }
        world
    }
}

impl Login {
    fn draw_rules(self, dice: &mut Dice) -> Vec<Rule> {
        let of_iam: &[Call] = match self {
            Self::AccessKey => &[],
            Self::Password => &[Call::CreateToken, Call::CreateKey],
            Self::Token => &[Call::ValidateToken],
        };
        let calls = [&Call::OF_CLOUD, of_iam].concat();
        let endless = dice.once_in(8);
        (0..dice.within(1..5))
            .map(|_| Rule::draw(&calls, endless, dice))
            .collect()
    }
}

/// In every sixth world the operator crashes around a submission.
fn death(dice: &mut Dice) -> Option<Act> {
    let nth = 1 + u32::from(dice.once_in(2));
    let when = *dice.one_of(&[
        Trigger::After(Call::BatchDelete, nth),
        Trigger::Answered(Call::BatchDelete, nth),
    ]);
    dice.once_in(6).then_some(Act {
        when,
        action: Disturbance::Crash(500),
    })
}

/// A token of the operator's user.
fn token(text: &str, life: Duration) -> Value {
    let end = START.checked_add(life).unwrap_or(START);
    json!({"token": text, "user": USER, "expires": end.to_string()})
}
