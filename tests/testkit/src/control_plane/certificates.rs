//! Certificates of one control plane, good for nothing else.
//!
//! etcd is behind them too: when two control planes race for a port, an API server must not take the etcd of
//! another one for its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};

use crate::error::{Context, Error};

/// Files with a certificate and its key.
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// The files that etcd, the API server and the administrator need.
pub(super) struct Certificates {
    /// The authority that signed all of them.
    pub(super) authority: PathBuf,
    /// For etcd, and for the API server as its client.
    pub(super) etcd: Pair,
    /// For the API server.
    pub(super) server: Pair,
    /// For a client of the group `system:masters`, whom RBAC lets do everything.
    pub(super) admin: Pair,
    /// Key that signs the tokens of service accounts.
    pub(super) token_signing_key: PathBuf,
    /// Public half of it.
    pub(super) token_public_key: PathBuf,
}

impl Certificates {
    /// Makes them and writes them to `folder`.
    pub(super) fn write(folder: &Path) -> Result<Self, Error> {
        let authority = authority().map_err(failed)?;
        let authority_file = write(folder, "ca.pem", &authority.pem())?;
        let sign = |name: &str, params: CertificateParams| {
            let key = KeyPair::generate().map_err(failed)?;
            let certificate = params.signed_by(&key, &authority).map_err(failed)?;
            Ok::<_, Error>(Pair {
                certificate: write(folder, &format!("{name}.pem"), &certificate.pem())?,
                key: write(folder, &format!("{name}-key.pem"), &key.serialize_pem())?,
            })
        };
        let tokens = KeyPair::generate().map_err(failed)?;
        Ok(Self {
            authority: authority_file,
            // etcd calls itself with this certificate, so it needs both usages.
            etcd: sign("etcd", leaf("etcd", &[SERVER, CLIENT]))?,
            server: sign("kube-apiserver", leaf("kube-apiserver", &[SERVER]))?,
            admin: sign("admin", admin())?,
            token_signing_key: write(folder, "tokens-key.pem", &tokens.serialize_pem())?,
            token_public_key: write(folder, "tokens.pem", &tokens.public_key_pem())?,
        })
    }
}

const SERVER: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ServerAuth;
const CLIENT: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ClientAuth;

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("testkit");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn leaf(common_name: &str, usages: &[ExtendedKeyUsagePurpose]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = usages.to_vec();
    params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    params
}

fn admin() -> CertificateParams {
    let mut params = leaf("admin", &[CLIENT]);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    params
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn write(folder: &Path, file: &str, pem: &str) -> Result<PathBuf, Error> {
    let path = folder.join(file);
    std::fs::write(&path, pem).context(|| format!("write {}", path.display()))?;
    Ok(path)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that map_err asks for"
)]
fn failed(error: rcgen::Error) -> Error {
    Error::Other(format!("make a certificate: {error}"))
}
