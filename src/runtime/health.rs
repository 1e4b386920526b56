//! Whether the operator is ready (the watches of requests and projects have synced) and alive (each loop that sends
//! heartbeats has sent one recently).
//!
//! A task that panicked or hangs must not go unnoticed while the process still responds: the leader election, the
//! watches of requests and the job pollers send heartbeats under their names. If one sends none for longer than its
//! maximum, or has ended, `/livez` fails: the operator then records the submissions in progress and exits; if it
//! cannot, the kubelet restarts it.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::duration;

/// The health of the process; clones share it.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The result of each check, with a note or a reason.
    checks: BTreeMap<String, Result<Option<String>, String>>,
    heartbeats: BTreeMap<String, HeartbeatState>,
    stopping: bool,
}

struct HeartbeatState {
    last: Instant,
    max_interval: Duration,
    ended: bool,
}

impl Health {
    /// A check that `/readyz` waits for, such as the first list of a watch. It fails until [`Check::pass`].
    #[must_use = "readiness waits for the check to pass"]
    pub fn check(&self, name: impl Into<String>) -> Check {
        let name = name.into();
        self.0
            .lock()
            .checks
            .insert(name.clone(), Err("has not passed yet".to_owned()));
        Check {
            name,
            health: self.clone(),
        }
    }

    /// A check that fails until its value is dropped, for work before the other checks exist.
    pub fn preliminary(&self, name: impl Into<String>) -> StartupCheck {
        StartupCheck(self.check(name))
    }

    /// A loop that `/livez` watches: it must call [`Heartbeat::beat`] at least once in `max_interval`, from now on. Dropping
    /// the heartbeat means that the loop has ended, which is a failure until [`Health::stopping`].
    #[must_use = "dropping the heartbeat says that the loop has ended"]
    pub fn register_heartbeat(&self, name: impl Into<String>, max_interval: Duration) -> Heartbeat {
        let name = name.into();
        self.0.lock().heartbeats.insert(
            name.clone(),
            HeartbeatState {
                last: Instant::now(),
                max_interval,
                ended: false,
            },
        );
        Heartbeat {
            name,
            health: self.clone(),
        }
    }

    /// The process is shutting down: `/readyz` fails, and `/livez` succeeds regardless of its loops, so that no restart
    /// interrupts the record of a submission.
    pub fn stopping(&self) {
        self.0.lock().stopping = true;
    }

    /// The result of `/readyz`.
    #[must_use]
    pub fn ready(&self) -> Report {
        let state = self.0.lock();
        let mut report = Report::default();
        for (name, result) in &state.checks {
            report.add(name, result.clone());
        }
        if state.stopping {
            report.add("shutdown", Err("the operator is stopping".to_owned()));
        } else if state.checks.is_empty() {
            report.add("start", Err("no watch has been started yet".to_owned()));
        }
        report
    }

    /// The result of `/livez`.
    #[must_use]
    pub fn live(&self) -> Report {
        let state = self.0.lock();
        let mut report = Report::default();
        for (name, beat) in &state.heartbeats {
            let status = if state.stopping { Ok(()) } else { beat.status() };
            report.add(name, status.map(|()| None));
        }
        report
    }

    /// Time since the last heartbeat of each loop, by name.
    #[must_use]
    pub fn heartbeat_ages(&self) -> Vec<(String, Duration)> {
        let state = self.0.lock();
        let silence = |(name, beat): (&String, &HeartbeatState)| (name.clone(), beat.last.elapsed());
        state.heartbeats.iter().map(silence).collect()
    }
}

impl HeartbeatState {
    fn status(&self) -> Result<(), String> {
        let silent = self.last.elapsed();
        if self.ended {
            Err("the loop has ended".to_owned())
        } else if silent > self.max_interval {
            let whole = Duration::from_secs(silent.as_secs());
            Err(format!(
                "no heartbeat for {} (maximum: {})",
                duration::text(whole),
                duration::text(self.max_interval)
            ))
        } else {
            Ok(())
        }
    }
}

/// Handle of one check of readiness; clones share it.
#[derive(Clone)]
pub struct Check {
    name: String,
    health: Health,
}

impl Check {
    /// The check passes.
    pub fn pass(&self) {
        self.set(Ok(None));
    }

    /// The check passes, with a note (lower case, no full stop).
    pub fn pass_as(&self, note: impl Into<String>) {
        self.set(Ok(Some(note.into())));
    }

    /// The check fails, because of `why` (lower case, no full stop).
    pub fn fail(&self, why: impl Into<String>) {
        self.set(Err(why.into()));
    }

    /// Sets why the check has not passed yet (lower case, no full stop); no effect once it has passed.
    pub fn explain(&self, why: impl Into<String>) {
        if let Some(Err(before)) = self.health.0.lock().checks.get_mut(&self.name) {
            *before = why.into();
        }
    }

    fn set(&self, result: Result<Option<String>, String>) {
        self.health.0.lock().checks.insert(self.name.clone(), result);
    }
}

/// A check for work before the other checks exist. It never passes, and is removed when this value is dropped.
pub struct StartupCheck(Check);

impl StartupCheck {
    /// Why it is still not over (lower case, no full stop).
    pub fn explain(&self, why: impl Into<String>) {
        self.0.explain(why);
    }
}

impl Drop for StartupCheck {
    fn drop(&mut self) {
        self.0.health.0.lock().checks.remove(&self.0.name);
    }
}

/// Handle of one loop, owned by it.
pub struct Heartbeat {
    name: String,
    health: Health,
}

impl Heartbeat {
    /// The loop is making progress.
    pub fn beat(&self) {
        self.change(|beat| beat.last = Instant::now());
    }

    fn change(&self, change: impl FnOnce(&mut HeartbeatState)) {
        if let Some(beat) = self.health.0.lock().heartbeats.get_mut(&self.name) {
            change(beat);
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.change(|beat| beat.ended = true);
    }
}

/// The response body of a probe, one line per check, in the format of the API server's probes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    failed: bool,
    lines: String,
}

impl Report {
    /// Whether every check holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.failed
    }

    fn add(&mut self, name: &str, result: Result<Option<String>, String>) {
        self.failed |= result.is_err();
        // Writing to a String cannot fail.
        let _ = match result {
            Ok(None) => writeln!(self.lines, "[+]{name} ok"),
            Ok(Some(note)) => writeln!(self.lines, "[+]{name} ok: {note}"),
            Err(why) => writeln!(self.lines, "[-]{name} failed: {why}"),
        };
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines)?;
        f.write_str(if self.failed { "failed\n" } else { "ok\n" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(60);

    #[test]
    fn a_preliminary_check_is_failed_while_it_lives() {
        let health = Health::default();
        let preliminary = health.preliminary("api-server");
        preliminary.explain("no answer");
        assert_eq!(
            health.ready().to_string(),
            "[-]api-server failed: no answer\nfailed\n"
        );
        drop(preliminary);
        assert!(!health.ready().holds() && !health.ready().to_string().contains("api-server"));
    }

    #[test]
    fn a_check_reports_why_it_fails_until_it_passes() {
        let health = Health::default();
        let check = health.check("watch");
        check.explain("the permission to list desktops is missing");
        assert_eq!(
            health.ready().to_string(),
            "[-]watch failed: the permission to list desktops is missing\nfailed\n"
        );
        check.pass();
        check.explain("the connection broke");
        assert!(health.ready().holds(), "{}", health.ready());
    }

    #[test]
    fn ready_only_when_every_check_has_passed() {
        let health = Health::default();
        assert!(!health.ready().holds(), "before anything was registered");
        let (one, two) = (
            health.check("watch desktopdeletions"),
            health.check("watch workspaceprojects"),
        );
        one.pass();
        assert_eq!(
            health.ready().to_string(),
            "[+]watch desktopdeletions ok\n[-]watch workspaceprojects failed: has not passed yet\nfailed\n"
        );
        two.pass();
        assert!(health.ready().holds());
        one.fail("the watch was refused");
        assert!(!health.ready().holds());
        one.pass_as("again");
        assert_eq!(
            health.ready().to_string(),
            "[+]watch desktopdeletions ok: again\n[+]watch workspaceprojects ok\nok\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_without_heartbeat_for_too_long_is_named() {
        let health = Health::default();
        let (poller, other) = (
            health.register_heartbeat("poller", BOUND),
            health.register_heartbeat("watch", BOUND),
        );
        tokio::time::advance(Duration::from_secs(50)).await;
        poller.beat();
        other.beat();
        tokio::time::advance(Duration::from_secs(50)).await;
        assert!(health.live().holds());
        other.beat();
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(
            health.live().to_string(),
            "[-]poller failed: no heartbeat for 1m 1s (maximum: 1m)\n[+]watch ok\nfailed\n"
        );
        poller.beat();
        assert!(health.live().holds());
    }

    #[tokio::test]
    async fn a_loop_that_panicked_is_not_alive() {
        let health = Health::default();
        let heartbeat = health.register_heartbeat("poller", BOUND);
        let ended = tokio::spawn(async move {
            heartbeat.beat();
            panic!("a bug");
        });
        assert!(ended.await.is_err());
        assert!(
            health
                .live()
                .to_string()
                .contains("[-]poller failed: the loop has ended")
        );
        let again = health.register_heartbeat("poller", BOUND);
        assert!(health.live().holds(), "it was started again");
        drop(again);
    }

    #[test]
    fn a_process_that_shuts_down_is_alive_but_not_ready() {
        let health = Health::default();
        health.check("watch").pass();
        drop(health.register_heartbeat("poller", BOUND));
        health.stopping();
        assert!(health.live().holds());
        assert!(!health.ready().holds());
    }
}
