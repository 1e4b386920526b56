//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Group, Parser, Subcommand};
use desktop_deletion_operator::config::duration;

use crate::connection::Connection;
use crate::output::Format;

/// View, approve and follow requests that delete desktops
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-desktops",
    bin_name = "kubectl desktops",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 success, 1 negative result, 2 error, 3 timed out. docs/kubectl-desktops.md describes each command."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) connection: Connection,

    /// Output format
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) output: Format,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the desktops that a request will delete; exit code 1 if it is blocked or there is no plan
    Plan(RequestArgs),
    /// Approve the plan of a request, exactly as it is shown
    Approve(Approve),
    /// Show how the plan differs from the approved one; exit code 1 if it does
    Diff(RequestArgs),
    /// Wait until a request is finished; exit code 0 if all desktops are gone, 1 if not
    Wait(Wait),
    /// Print a manifest for the desktops that a finished request did not delete
    Retry(Retry),
    /// Settle an attempt whose outcome the operator cannot determine
    Resolve(Resolve),
    /// Print several manifests for a manifest with many desktops
    Split(Split),
}

#[derive(Debug, Group)]
pub(crate) struct RequestArgs {
    /// Name of the request
    #[arg(value_parser = name)]
    pub(crate) name: String,
}

#[derive(Debug, Group)]
pub(crate) struct Approve {
    #[command(flatten)]
    pub(crate) request: RequestArgs,

    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) request: RequestArgs,

    /// Stop after this time with exit code 3, such as 90s or 3h [default: wait without limit]
    #[arg(long, value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Group)]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) request: RequestArgs,

    /// Name of the new request [default: NAME-retry; for a request named NAME-retry, NAME-retry-2]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) new_name: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Resolve {
    #[command(flatten)]
    pub(crate) request: RequestArgs,

    #[command(flatten)]
    pub(crate) resolution: Resolution,

    /// ID of the attempt [default: the last one]
    #[arg(long, value_name = "ID")]
    pub(crate) attempt: Option<String>,

    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct Resolution {
    /// Adopt this job as the result of the delete request
    #[arg(long, value_name = "JOB")]
    pub(crate) adopt: Option<String>,

    /// Submit the desktops again, if you are sure that the delete request had no effect
    #[arg(long)]
    pub(crate) retry: bool,

    /// Abandon the request if its result is no longer needed; its desktops may still be deleted
    #[arg(long)]
    pub(crate) abandon: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Split {
    /// File with a request in YAML or JSON; - for standard input
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,

    /// Maximum number of desktops per request
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) size: u32,
}

/// A name as kubectl takes it: also `ddel/NAME`.
fn name(text: &str) -> Result<String, String> {
    let name = match text.split_once('/') {
        Some((
            "ddel" | "desktopdeletion" | "desktopdeletions" | "desktopdeletions.cloud-desktops.dev",
            name,
        )) => name,
        Some((kind, _)) => return Err(format!("{kind} is not a DesktopDeletion")),
        None => text,
    };
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if name.is_empty() || !name.chars().all(valid) {
        return Err("invalid name: it must consist of lower case letters, digits, '-' and '.'".to_owned());
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
        let about = Args::command().get_about().map(ToString::to_string);
        let own = "View, approve and follow requests that delete desktops";
        assert_eq!(about.as_deref(), Some(own), "it is not the operator's");
    }

    #[test]
    fn a_name_may_have_the_kind_as_prefix() {
        for text in ["leavers", "ddel/leavers", "desktopdeletion/leavers"] {
            assert_eq!(name(text).as_deref(), Ok("leavers"));
        }
        for text in ["", "pod/leavers", "ddel/", "../leavers", "Leavers", "a b"] {
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn exactly_one_resolution_must_be_given() {
        let parse = |more: &[&str]| {
            let begin = ["kubectl-desktops", "resolve", "leavers"];
            Args::try_parse_from(begin.iter().chain(more)).map(drop)
        };
        assert!(parse(&["--retry"]).is_ok());
        assert!(parse(&["--adopt", "job-1"]).is_ok());
        assert!(parse(&[]).is_err());
        assert!(parse(&["--retry", "--abandon"]).is_err());
    }
}
