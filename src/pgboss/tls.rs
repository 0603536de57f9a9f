//! Whether whoever listens speaks TLS, and until when its certificate is valid.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        client::{
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            verify_server_cert_signed_by_trust_anchor,
        },
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, ServerName, UnixTime},
        server::ParsedCertificate,
    },
};

use crate::pgboss::way::{CONNECT_TIMEOUT, Unreached};

/// What asks whether a server speaks TLS: the length of the message, and the number that stands for the question.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The year 10000, in which no certificate is valid: the refusal tells until when it is.
const FAR: Duration = Duration::from_secs(253_402_300_800);

/// What whoever listens does with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// It does not speak it.
    None,
    /// It speaks it.
    Spoken {
        /// The end of its certificate, since 1970; `None` where it can't be read.
        until: Option<Duration>,
    },
}

/// Whether whoever listens there speaks TLS. Where it does, a connection of ours is encrypted.
///
/// # Errors
/// See [`Unreached`].
pub async fn spoken(host: &str, port: u16) -> Result<Tls, Unreached> {
    match tokio::time::timeout(CONNECT_TIMEOUT, ask(host, port)).await {
        Ok(answer) => answer.map_err(|error| Unreached::Network(error.to_string())),
        Err(_) => Err(Unreached::Timeout),
    }
}

async fn ask(host: &str, port: u16) -> std::io::Result<Tls> {
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.write_all(&SSL_REQUEST).await?;
    if stream.read_u8().await? != b'S' {
        return Ok(Tls::None);
    }
    Ok(Tls::Spoken { until: end_of_certificate(host, stream).await })
}

/// Begins to speak TLS, and stops when the certificate was seen.
async fn end_of_certificate(host: &str, stream: TcpStream) -> Option<Duration> {
    let reader = Arc::new(Reader { provider: ring::default_provider(), until: OnceLock::new() });
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().ok()?.dangerous();
    let config = config.with_custom_certificate_verifier(reader.clone()).with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    // The reader has seen the certificate, and has refused it.
    drop(TlsConnector::from(Arc::new(config)).connect(name, stream).await);
    reader.until.get().copied()
}

/// Reads the certificate and refuses it: whom to trust is not decided here.
#[derive(Debug)]
struct Reader {
    provider: CryptoProvider,
    until: OnceLock<Duration>,
}

fn refused<T>() -> Result<T, Error> {
    Err(Error::General("the certificate was only read".to_owned()))
}

impl ServerCertVerifier for Reader {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (far, algorithms) = (UnixTime::since_unix_epoch(FAR), self.provider.signature_verification_algorithms.all);
        let certificate = ParsedCertificate::try_from(certificate)?;
        let nobody = RootCertStore::empty();
        let verified = verify_server_cert_signed_by_trust_anchor(&certificate, &nobody, &[], far, algorithms);
        if let Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) = verified {
            self.until.get_or_init(|| Duration::from_secs(not_after.as_secs()));
        }
        refused()
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        refused()
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        refused()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
