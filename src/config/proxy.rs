//! The proxy through which the cloud is reached: HTTP CONNECT, and only if a flag names it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

/// A proxy that opens tunnels by HTTP CONNECT.
#[derive(Debug, Clone)]
pub struct CloudProxy {
    host: String,
    port: u16,
    /// The credentials that it requires, if any.
    pub credentials: Option<ProxyCredentials>,
}

/// Credentials for the proxy (HTTP Basic).
#[derive(Debug, Clone)]
pub struct ProxyCredentials {
    /// The user, without a colon.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// A proxy that cannot be used. Neither the URL nor the content of the file is repeated: either may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum InvalidProxy {
    /// The URL has another form.
    #[error(
        "--cloud-proxy must have the form http://HOST:PORT, without path or query; https and socks proxies are not supported"
    )]
    Url,
    /// The URL holds credentials.
    #[error(
        "--cloud-proxy must not contain credentials, because the command line is visible to others; put USER:PASSWORD into a file and name it with --cloud-proxy-credentials-file"
    )]
    UserInfo,
    /// There is a file but no proxy.
    #[error("--cloud-proxy-credentials-file needs --cloud-proxy")]
    NoProxy,
    /// The file cannot be read.
    #[error("failed to read {} (--cloud-proxy-credentials-file): {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has another content.
    #[error(
        "{} (--cloud-proxy-credentials-file) must contain USER:PASSWORD on a single line, in printable characters",
        path.display()
    )]
    Credentials {
        /// Which file.
        path: PathBuf,
    },
}

impl CloudProxy {
    /// Reads `http://HOST:PORT`, and the file with its credentials.
    ///
    /// # Errors
    /// [`InvalidProxy`].
    pub fn read(url: Option<&str>, credentials: Option<&Path>) -> Result<Option<Self>, InvalidProxy> {
        // Empty variables count as not set.
        let Some(url) = url.filter(|url| !url.is_empty()) else {
            return match credentials {
                Some(_) => Err(InvalidProxy::NoProxy),
                None => Ok(None),
            };
        };
        let mut proxy = Self::parse(url)?;
        proxy.credentials = credentials.map(ProxyCredentials::read).transpose()?;
        Ok(Some(proxy))
    }

    fn parse(text: &str) -> Result<Self, InvalidProxy> {
        if text.contains('@') {
            return Err(InvalidProxy::UserInfo);
        }
        let url = Url::parse(text).map_err(|_| InvalidProxy::Url)?;
        let plain =
            url.scheme() == "http" && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) if plain => Ok(Self {
                host: host.to_owned(),
                port,
                credentials: None,
            }),
            _ => Err(InvalidProxy::Url),
        }
    }
}

/// `HOST:PORT`.
impl fmt::Display for CloudProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl ProxyCredentials {
    fn read(path: &Path) -> Result<Self, InvalidProxy> {
        let text = std::fs::read_to_string(path).map_err(|source| InvalidProxy::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).ok_or_else(|| InvalidProxy::Credentials {
            path: path.to_owned(),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        // Editors add a line feed after the last line.
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (user, password) = line.split_once(':')?;
        let printable = !line.chars().any(char::is_control);
        (printable && !user.is_empty()).then(|| Self {
            user: user.to_owned(),
            password: SecretString::from(password),
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        for (url, proxy) in [
            ("http://proxy.example:3128", "proxy.example:3128"),
            ("http://10.0.0.1:8080/", "10.0.0.1:8080"),
            ("http://[fd00::1]:8080", "[fd00::1]:8080"),
            ("http://proxy.example", "proxy.example:80"),
        ] {
            let read = CloudProxy::read(Some(url), None).unwrap().unwrap();
            assert_eq!(read.to_string(), proxy);
        }
        assert!(CloudProxy::read(None, None).unwrap().is_none());
        assert!(CloudProxy::read(Some(""), None).unwrap().is_none());
    }

    #[test]
    fn an_invalid_proxy_is_refused_and_not_repeated_in_the_error() {
        for (url, why) in [
            ("proxy.example:3128", "must have the form http://HOST:PORT"),
            (
                "https://canary.example:3128",
                "must have the form http://HOST:PORT",
            ),
            (
                "socks5://canary.example:1080",
                "must have the form http://HOST:PORT",
            ),
            (
                "http://canary.example/path",
                "must have the form http://HOST:PORT",
            ),
            ("http://canary.example?a", "must have the form http://HOST:PORT"),
            ("http://", "must have the form http://HOST:PORT"),
            (
                "http://user:canary@proxy.example:3128",
                "--cloud-proxy-credentials-file",
            ),
            ("user:canary@proxy.example:3128", "--cloud-proxy-credentials-file"),
        ] {
            let message = CloudProxy::read(Some(url), None).unwrap_err().to_string();
            assert!(
                message.contains(why) && !message.contains("canary"),
                "{url}: {message}"
            );
        }
        let message = CloudProxy::read(None, Some(Path::new("/none")))
            .unwrap_err()
            .to_string();
        assert_eq!(message, "--cloud-proxy-credentials-file needs --cloud-proxy");
    }

    #[test]
    fn credentials_are_a_line_with_user_and_password() {
        for content in ["robot:can:ary", "robot:can:ary\n", "robot:can:ary\r\n"] {
            let file = file(content);
            let proxy = CloudProxy::read(Some("http://a:1"), Some(file.path()))
                .unwrap()
                .unwrap();
            let found = proxy.credentials.as_ref().unwrap();
            assert_eq!(
                (found.user.as_str(), found.password.expose_secret()),
                ("robot", "can:ary")
            );
            assert!(!format!("{proxy:?}").contains("can:ary"));
        }
    }

    #[test]
    fn a_file_without_credentials_is_named_and_not_shown() {
        for content in [
            "",
            "canary",
            ":canary",
            "canary:a\nb",
            "canary:\u{7}",
            "canary:a\n\n",
        ] {
            let file = file(content);
            let message = CloudProxy::read(Some("http://a:1"), Some(file.path()))
                .unwrap_err()
                .to_string();
            let named = message.contains(&file.path().display().to_string());
            assert!(named && !message.contains("canary"), "{content:?}: {message}");
        }
        let missing = CloudProxy::read(Some("http://a:1"), Some(Path::new("/nowhere/at-all")));
        assert!(missing.unwrap_err().to_string().contains("/nowhere/at-all"));
    }
}
