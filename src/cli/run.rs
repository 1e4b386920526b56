//! `desktop-deletion-operator run`: its flags, and the [`Config`] that results from them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::config::endpoints::{self, AllowedEndpoint};
use crate::config::{CloudProxy, Config, Election, InvalidConfig, Namespaces, OtlpEndpoint, Timing};
use crate::runtime::logging::{self, LogFormat};

pub(super) const ABOUT: &str = "\
Run the operator until SIGTERM or SIGINT.

Connects to the API server with the kubeconfig in KUBECONFIG, or else with the ServiceAccount of its pod. Each flag can \
also be set by the environment variable shown; the flag takes precedence. Durations: 15s, 2m, 1h30m, 168h.";

const SCOPE: &str = "Scope";
const REPLICAS: &str = "Leader election";
const PROCESS: &str = "Process";

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    replicas: ReplicaArgs,
    #[command(flatten)]
    process: ProcessArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = SCOPE)]
struct ScopeArgs {
    /// Namespaces to watch, separated by commas; '*' for all, which needs cluster-wide permissions
    /// [default: the operator's own]
    #[arg(long, value_name = "NAMES", env = "DESKTOP_DELETION_NAMESPACES", value_parser = namespaces)]
    namespaces: Option<Namespaces>,

    /// Hosts that a project may point to, each HOST or HOST=CIDR,CIDR
    ///
    /// Give the flag once for each entry, or separate entries by ';' (required in the environment variable). A '*' matches
    /// one label of the host name, and below myhuaweicloud.com and myhuaweicloud.eu only a region. Loopback, link-local and
    /// private addresses, and IP addresses in place of a name, are refused unless a CIDR of the entry contains them. The
    /// list replaces the default, which is the hosts workspace.REGION, iam.REGION and sts.REGION of myhuaweicloud.com and
    /// myhuaweicloud.eu, and iam.myhuaweicloud.com.
    #[arg(
        long,
        value_name = "HOST[=CIDR,...]",
        env = "DESKTOP_DELETION_ALLOWED_ENDPOINTS",
        value_delimiter = ';',
        default_value = endpoints::DEFAULT,
        hide_default_value = true
    )]
    allowed_endpoints: Vec<AllowedEndpoint>,

    /// HTTP proxy (CONNECT) for the cloud [default: none; proxy environment variables are ignored]
    ///
    /// The proxy resolves host names and must restrict addresses itself; --allowed-endpoints is then checked by name only.
    /// Only http:// proxies are supported.
    #[arg(
        long,
        value_name = "http://HOST:PORT",
        env = "DESKTOP_DELETION_CLOUD_PROXY",
        hide_env_values = true
    )]
    cloud_proxy: Option<String>,

    /// File with USER:PASSWORD for the proxy of --cloud-proxy, read when the operator starts
    #[arg(
        long,
        value_name = "FILE",
        env = "DESKTOP_DELETION_CLOUD_PROXY_CREDENTIALS_FILE"
    )]
    cloud_proxy_credentials_file: Option<PathBuf>,

    /// The operator's own namespace, set by its Deployment
    #[arg(long, hide = true, env = "POD_NAMESPACE", value_parser = namespace)]
    pod_namespace: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = REPLICAS)]
struct ReplicaArgs {
    /// Enable leader election with the Lease desktop-deletion-operator in the operator's namespace
    ///
    /// The operator's Deployment sets this flag: one of its two pods is the leader, the other one is the standby. Without
    /// it, the process starts to reconcile immediately. Several processes at once are safe, since writes use optimistic
    /// concurrency, but they multiply the calls to the cloud API.
    #[arg(
        long,
        env = "DESKTOP_DELETION_LEADER_ELECT",
        value_name = "true|false",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = false
    )]
    leader_elect: bool,

    #[command(flatten)]
    election: Election,
}

#[derive(Debug, Args)]
#[command(next_help_heading = PROCESS)]
struct ProcessArgs {
    /// Maximum number of concurrent reconciliations, not counting those that wait for the cloud; for a single project,
    /// these count too
    #[arg(
        long,
        value_name = "COUNT",
        env = "DESKTOP_DELETION_CONCURRENCY",
        default_value = "16"
    )]
    concurrency: NonZeroU16,

    /// Maximum number of calls per minute for each combination of credentials and endpoint; recovery has priority over
    /// polls, and polls over submissions
    #[arg(
        long,
        value_name = "COUNT",
        env = "DESKTOP_DELETION_REQUESTS_PER_MINUTE",
        default_value = "100"
    )]
    requests_per_minute: NonZeroU32,

    /// Show the users of desktops, which are personal data, in status and conditions of requests
    #[arg(
        long,
        env = "DESKTOP_DELETION_SHOW_USERS",
        value_name = "true|false",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = true
    )]
    show_users: bool,

    /// Address of /livez, /readyz and /metrics; [::] is IPv4 and IPv6, or only IPv4 if IPv6 is disabled; port 0 selects a
    /// free port, which is logged
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "DESKTOP_DELETION_LISTEN",
        default_value = "[::]:8080"
    )]
    listen: SocketAddr,

    /// Identity of this process in attempts and Events [default: the name of its pod, or else of the host]
    #[arg(long, value_name = "NAME", env = "DESKTOP_DELETION_IDENTITY", value_parser = identity)]
    identity: Option<String>,

    /// The name of the operator's pod, set by its Deployment
    #[arg(long, hide = true, env = "POD_NAME", value_parser = identity)]
    pod_name: Option<String>,

    /// Format of the log, which is written to standard error
    #[arg(
        long,
        value_name = "FORMAT",
        env = "DESKTOP_DELETION_LOG_FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,

    /// Log level: error, warn, info, debug or trace, also by module, as in info,kube=debug
    #[arg(long, value_name = "FILTER", env = "DESKTOP_DELETION_LOG_LEVEL", default_value = "info", value_parser = logging::filter_text)]
    log_level: String,

    #[expect(clippy::doc_markdown, reason = "--help shows it as it stands")]
    /// Base URL of a collector that receives traces by OTLP over HTTP [default: none]
    ///
    /// Traces are posted to URL/v1/traces. If the flag is not set, the standard variables OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
    /// and OTEL_EXPORTER_OTLP_ENDPOINT apply; if they are not set either, nothing is traced. OTEL_EXPORTER_OTLP_HEADERS and
    /// OTEL_RESOURCE_ATTRIBUTES apply in either case.
    #[arg(
        long,
        value_name = "http://HOST:PORT",
        env = "DESKTOP_DELETION_OTLP_ENDPOINT",
        hide_env_values = true
    )]
    otlp_endpoint: Option<String>,
}

impl RunArgs {
    /// Format and filter of the log, which is set up first.
    pub fn log(&self) -> (LogFormat, &str) {
        (self.process.log_format, &self.process.log_level)
    }

    /// Everything else, checked.
    ///
    /// # Errors
    /// Two durations do not go together, or the proxy or the collector of traces cannot be used.
    pub fn config(self) -> Result<Config, InvalidConfig> {
        // Taken apart field by field: a flag that is not read does not compile.
        let ScopeArgs {
            namespaces,
            allowed_endpoints,
            cloud_proxy,
            cloud_proxy_credentials_file,
            pod_namespace,
        } = self.scope;
        let ReplicaArgs {
            leader_elect,
            election,
        } = self.replicas;
        let ProcessArgs {
            concurrency,
            requests_per_minute,
            show_users,
            listen,
            identity,
            pod_name,
            log_format: _,
            log_level: _,
            otlp_endpoint,
        } = self.process;
        self.timing.check()?;
        election.check()?;
        Ok(Config {
            namespaces: namespaces
                .unwrap_or_else(|| pod_namespace.map_or(Namespaces::Own, |own| Namespaces::Named(vec![own]))),
            allowed_endpoints,
            cloud_proxy: CloudProxy::read(cloud_proxy.as_deref(), cloud_proxy_credentials_file.as_deref())?,
            timing: self.timing,
            election: leader_elect.then_some(election),
            concurrency,
            requests_per_minute,
            show_users,
            listen,
            identity: identity.or_else(|| pod_name.clone()).unwrap_or_else(host_name),
            pod_name,
            otlp_endpoint: OtlpEndpoint::read(otlp_endpoint.as_deref())?,
        })
    }
}

/// The name of this machine, or the program's where there is none.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .and_then(|name| self::identity(name.trim()).ok())
        .unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned())
}

fn namespaces(text: &str) -> Result<Namespaces, String> {
    let names: BTreeSet<&str> = text.split(',').map(str::trim).collect();
    if names.contains("*") {
        return if names.len() == 1 {
            Ok(Namespaces::All)
        } else {
            Err("'*' stands for all namespaces and cannot be combined with names".to_owned())
        };
    }
    names
        .into_iter()
        .map(namespace)
        .collect::<Result<_, _>>()
        .map(Namespaces::Named)
}

/// A DNS label, which is what the name of a namespace is (Kubernetes, RFC 1123).
fn namespace(name: &str) -> Result<String, String> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
    {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "{name:?} is not a valid namespace name: 1 to 63 lower-case letters, digits or '-', starting and ending with a letter or digit"
        ))
    }
}

/// A name that fits where Kubernetes and this project's status keep it: as a pod's name, at most 253 characters.
fn identity(name: &str) -> Result<String, String> {
    if (1..=253).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "{name:?} is not a valid identity: 1 to 253 printable ASCII characters without spaces"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::tests::{config, try_config};

    #[test]
    fn namespaces_are_that_of_the_operator_several_or_all() {
        assert_eq!(config(&[]).namespaces, Namespaces::Own);
        assert_eq!(
            config(&["--pod-namespace=here"]).namespaces,
            Namespaces::Named(vec!["here".to_owned()])
        );
        assert_eq!(
            config(&["--pod-namespace=here", "--namespaces=b, a,b"]).namespaces,
            Namespaces::Named(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(config(&["--namespaces=*"]).namespaces, Namespaces::All);
        for bad in ["", "a,,b", "*,a", "A", "-a", "a.b"] {
            assert!(try_config(&["--namespaces", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn allowed_endpoints_repeat_or_are_separated_by_semicolons_and_replace_the_default() {
        assert_eq!(config(&[]).allowed_endpoints.len(), 7);
        let one = "a.example=10.0.0.0/8,fd00::/8";
        let two = "b.example";
        let written = |flags: &[&str]| {
            config(flags)
                .allowed_endpoints
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            written(&["--allowed-endpoints", one, "--allowed-endpoints", two]),
            [one, two]
        );
        assert_eq!(
            written(&["--allowed-endpoints", &format!("{one};{two}")]),
            [one, two]
        );
    }

    #[test]
    fn the_identity_defaults_to_the_pod_name() {
        assert_eq!(config(&["--pod-name=operator-7"]).identity, "operator-7");
        assert_eq!(config(&["--pod-name=operator-7", "--identity=me"]).identity, "me");
        assert!(!config(&[]).identity.is_empty());
        assert!(try_config(&["--identity=a b"]).is_err());
    }

    #[test]
    fn users_are_shown_unless_a_flag_says_otherwise() {
        assert!(config(&[]).show_users);
        assert!(!config(&["--show-users=false"]).show_users);
    }

    #[test]
    fn probes_are_served_on_both_families_of_addresses() {
        assert_eq!(config(&[]).listen, "[::]:8080".parse().unwrap());
    }

    #[test]
    fn the_cloud_is_reached_directly_unless_a_flag_names_a_proxy() {
        assert!(config(&[]).cloud_proxy.is_none());
        let named = config(&["--cloud-proxy=http://proxy.example:3128"]).cloud_proxy;
        assert_eq!(named.unwrap().to_string(), "proxy.example:3128");
        let message = try_config(&["--cloud-proxy=http://user:canary@proxy.example:3128"]).unwrap_err();
        assert!(!message.contains("canary"), "{message}");
    }

    #[test]
    fn the_election_is_off_unless_it_is_wanted() {
        assert_eq!(config(&[]).election, None);
        assert_eq!(config(&["--leader-elect=false"]).election, None);
        let short = [
            "--leader-elect=true",
            "--lease-duration=3s",
            "--renew-deadline=2s",
            "--lease-retry=250ms",
        ];
        let expected = Election {
            lease_duration: Duration::from_secs(3),
            renew_deadline: Duration::from_secs(2),
            retry: Duration::from_millis(250),
        };
        assert_eq!(config(&short).election, Some(expected));
    }

    #[test]
    fn invalid_values_are_refused_and_the_flag_is_named() {
        for (flag, why) in [
            ("--poll-interval=15", "write it like 15s"),
            (
                "--max-signature-age=20m",
                "must be shorter than --signature-window (15m)",
            ),
            ("--lease-duration=1500ms", "not a whole number of seconds"),
            ("--leader-elect=perhaps", "--leader-elect"),
            ("--concurrency=0", "--concurrency"),
            ("--listen=8080", "--listen"),
            ("--log-level=loud=yes", "--log-level"),
            ("--allowed-endpoints=https://a.example", "--allowed-endpoints"),
            (
                "--cloud-proxy=socks5://a.example",
                "--cloud-proxy must have the form http://HOST:PORT",
            ),
            ("--cloud-proxy-credentials-file=/a", "needs --cloud-proxy"),
            ("--otlp-endpoint=collector:4317", "--otlp-endpoint must have"),
        ] {
            let message = try_config(&[flag]).unwrap_err();
            assert!(message.contains(why), "{flag}: {message}");
        }
    }
}
