//! The way to the collector: OpenTelemetry's exporter over the HTTP client that Kubernetes is asked with.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    body::Bytes,
    http::{Request, Response},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use thiserror::Error;
use tokio::sync::watch;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject},
    },
};

use crate::{config::traces::TraceSettings, telemetry::with_causes};

/// Bytes of an answer: it says how many spans were not taken, and why.
const ANSWER_MAX: usize = 64 << 10;

/// How often a request is tried again at the most; the timeout mostly ends that before.
const RETRIES_MAX: usize = 8;

/// The longest wait before the next try, unless the collector asks for a longer one.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Why traces can't be sent from the start.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The file of authorities can't be read.
    #[error("no certificate in {0} (OTEL_EXPORTER_OTLP_CERTIFICATE)")]
    Certificate(PathBuf, #[source] pem::Error),
    /// A certificate of the file is none.
    #[error("a certificate in {0} (OTEL_EXPORTER_OTLP_CERTIFICATE) is wrong")]
    Authority(PathBuf, #[source] rustls::Error),
    /// No TLS.
    #[error("TLS for traces can't be set up")]
    Tls(#[source] rustls::Error),
    /// OpenTelemetry's own refusal.
    #[error("traces can't be exported")]
    Exporter(#[source] ExporterBuildError),
}

/// Why the last request had no answer; `None` if it had one.
pub(super) type Trouble = watch::Receiver<Option<String>>;

/// The exporter to the collector of the settings, and what ails the way there.
///
/// # Errors
/// See [`TraceError`].
pub(super) fn exporter(settings: &TraceSettings) -> Result<(SpanExporter, Trouble), TraceError> {
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls(settings)?).https_or_http().enable_http1().build();
    let (trouble, ailing) = watch::channel(None);
    let collector = Collector { client: Client::builder(TokioExecutor::new()).build(connector), trouble };
    let builder = SpanExporter::builder().with_http().with_http_client(collector).with_protocol(Protocol::HttpBinary);
    let again = RetryPolicy::recommended().with_max_retries(RETRIES_MAX).with_max_delay(RETRY_MAX);
    let builder = builder.with_retry_policy(again).with_timeout(settings.timeout).with_endpoint(&settings.endpoint);
    Ok((builder.build().map_err(TraceError::Exporter)?, ailing))
}

/// Trusts the system's authorities, where there are any, and those of the settings.
fn tls(settings: &TraceSettings) -> Result<ClientConfig, TraceError> {
    let mut trusted = RootCertStore::empty();
    if settings.endpoint.starts_with("https:") {
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(path) = &settings.certificate {
        let unread = |error| TraceError::Certificate(path.clone(), error);
        for certificate in CertificateDer::pem_file_iter(path).map_err(unread)? {
            trusted.add(certificate.map_err(unread)?).map_err(|error| TraceError::Authority(path.clone(), error))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(TraceError::Tls)?;
    Ok(config.with_root_certificates(trusted).with_no_client_auth())
}

/// Who is sent requests.
#[derive(Debug)]
struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    trouble: watch::Sender<Option<String>>,
}

impl Collector {
    async fn ask(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = self.client.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}

#[async_trait]
impl HttpClient for Collector {
    /// The exporter says nothing of why there was no answer, so that is kept here.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.ask(request).await;
        self.trouble.send_replace(answer.as_ref().err().map(|error| with_causes(&**error)));
        answer
    }
}
