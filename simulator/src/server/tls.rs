//! A certificate authority of its own, and the server's certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::Error;

/// A certificate authority that lives as long as the simulator.
pub(super) struct Authority {
    /// Its certificate, in PEM.
    pub(super) pem: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// # Errors
    /// When the certificate cannot be made.
    pub(super) fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "workspace-simulator CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(failed)?;
        Ok(Self {
            pem: issuer.pem(),
            issuer,
        })
    }

    /// The configuration of a server whose certificate is for the loopback addresses, the address that it listens
    /// on, and `names`.
    ///
    /// # Errors
    /// When one of the names is no host name.
    pub(super) fn server_config(
        &self,
        listen: &SocketAddr,
        names: &[String],
    ) -> Result<Arc<ServerConfig>, Error> {
        let mut subjects: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        if !listen.ip().is_unspecified() && !listen.ip().is_loopback() {
            subjects.push(listen.ip().to_string());
        }
        subjects.extend_from_slice(names);
        let mut params = CertificateParams::new(subjects).map_err(failed)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "workspace-simulator");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Python verifies strictly and wants the two certificates tied together.
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(failed)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Certificate(error.to_string())
}
