//! The command line, parsed once into typed values. Every flag is also an environment variable.
//!
//! | file | what |
//! | --- | --- |
//! | [`run`] | the flags of `run`, and the [`Config`](crate::config::Config) that results from them |
//! | [`crds`] | the subcommand `crds` |

use clap::{Parser, Subcommand};

pub mod crds;
pub mod run;

pub use crds::CrdsArgs;
pub use run::RunArgs;

/// Deletes Huawei Cloud Workspace desktops declared as `DesktopDeletion` resources.
#[derive(Debug, Parser)]
#[command(version, about, long_about = ABOUT, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const ABOUT: &str = "\
Deletes Huawei Cloud Workspace desktops declared as DesktopDeletion resources.

A batch is never submitted again while an earlier delete request may take effect. Its job is followed to the end, and \
the conditions of the object report progress, result and required action.

Examples:
  desktop-deletion-operator crds | kubectl apply -f -    install the CRDs
  desktop-deletion-operator run                          serve the operator's own namespace
  desktop-deletion-operator run --namespaces '*'         serve the whole cluster";

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator until SIGTERM or SIGINT
    #[command(long_about = run::ABOUT)]
    Run(Box<RunArgs>),
    /// Print the CRDs as YAML, or write them to files
    Crds(CrdsArgs),
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::Config;

    /// The configuration of `run` with these flags, without the environment of the test.
    pub(crate) fn config(flags: &[&str]) -> Config {
        try_config(flags).unwrap()
    }

    pub(crate) fn try_config(flags: &[&str]) -> Result<Config, String> {
        let args = ["desktop-deletion-operator", "run"].iter().chain(flags);
        match Cli::try_parse_from(args)
            .map_err(|error| error.to_string())?
            .command
        {
            Command::Run(args) => args.config().map_err(|error| error.to_string()),
            Command::Crds(_) => unreachable!("the subcommand is run"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable_of_its_name_and_a_heading() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        for arg in run.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let name = arg.get_long().unwrap();
            let expected = format!("DESKTOP_DELETION_{}", name.to_uppercase().replace('-', "_"));
            assert_eq!(
                arg.get_env().and_then(|env| env.to_str()),
                Some(expected.as_str()),
                "--{name}"
            );
            assert!(arg.get_help_heading().is_some(), "--{name}");
            assert!(arg.get_help().is_some(), "--{name}");
        }
    }
}
