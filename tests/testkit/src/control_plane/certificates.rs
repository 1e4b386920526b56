//! Certificates of one control plane, good for nothing else.
//!
//! etcd is behind them too, so that no API server takes the etcd of another control plane for its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};

use crate::error::{Context, Error};

/// Files with a certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The files that etcd, the API server and the administrator need.
pub(super) struct Certificates {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
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
    /// Makes them and writes them to `folder`; that of the API server is also for these addresses.
    pub(super) fn write(folder: &Path, addresses: &[IpAddr]) -> Result<Self, Error> {
        let issuer = authority().map_err(failed)?;
        let sign = |name: &str, params| sign(&issuer, folder, name, &params);
        let mut server = leaf("kube-apiserver", &[SERVER]);
        server
            .subject_alt_names
            .extend(addresses.iter().copied().map(SanType::IpAddress));
        let tokens = KeyPair::generate().map_err(failed)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            authority: write(folder, "ca.pem", &issuer.pem())?,
            // etcd calls itself with this certificate, so it needs both usages.
            etcd: sign("etcd", leaf("etcd", &[SERVER, CLIENT]))?,
            server: sign("kube-apiserver", server)?,
            admin: sign("admin", member("admin", "system:masters"))?,
            token_signing_key: write(folder, "tokens-key.pem", &tokens.serialize_pem())?,
            token_public_key: write(folder, "tokens.pem", &tokens.public_key_pem())?,
            issuer,
        })
    }

    /// A certificate for a part of the cluster that is a client, and also a server at these addresses; `file` names its files.
    pub(super) fn sign(
        &self,
        file: &str,
        user: &str,
        group: &str,
        addresses: &[IpAddr],
    ) -> Result<Pair, Error> {
        let mut params = member(user, group);
        params.extended_key_usages.push(SERVER);
        params
            .subject_alt_names
            .extend(addresses.iter().copied().map(SanType::IpAddress));
        sign(&self.issuer, &self.folder, file, &params)
    }
}

fn sign(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    folder: &Path,
    name: &str,
    params: &CertificateParams,
) -> Result<Pair, Error> {
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, issuer).map_err(failed)?;
    Ok(Pair {
        certificate: write(folder, &format!("{name}.pem"), &certificate.pem())?,
        key: write(folder, &format!("{name}-key.pem"), &key.serialize_pem())?,
    })
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

/// A client, as Kubernetes reads it: the name is the user, the organisation its group.
fn member(user: &str, group: &str) -> CertificateParams {
    let mut params = leaf(user, &[CLIENT]);
    params.distinguished_name.push(DnType::OrganizationName, group);
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
