//! How the API server is found: never by the kubeconfig's current context.

use std::{path::PathBuf, time::Duration};

use hyper_timeout::TimeoutConnector;
use hyper_util::{client::legacy, rt::TokioExecutor};
use kube::{
    Client, Config,
    client::ConfigExt,
    config::{KubeConfigOptions, Kubeconfig},
};
use thiserror::Error;
use tower::{BoxError, ServiceBuilder};

use crate::{
    cluster::{busy, fenced::Fenced},
    config::problems::nearest,
};

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the API server's address and our credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The service account of our pod.
    InCluster,
    /// A context of a kubeconfig, both named.
    Context {
        /// The kubeconfig; by default the one of `KUBECONFIG` or the home directory.
        kubeconfig: Option<PathBuf>,
        /// The context.
        context: String,
    },
}

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No cluster was named.
    #[error(
        "which cluster? Outside a cluster name it with --context NAME (and --kubeconfig FILE); inside one set kubernetes.loadConfigFromCluster (K8S_LOAD_CONFIG_FROM_CLUSTER=true). The current context is never used by itself"
    )]
    NotNamed,
    /// There is no service account.
    #[error(
        "the service account of the pod can't be read: kubernetes.loadConfigFromCluster is for pods of the cluster"
    )]
    InCluster(#[source] kube::config::InClusterError),
    /// The kubeconfig has no such context.
    #[error("there is no context \"{context}\" in the kubeconfig{hint}; `kubectl config get-contexts` lists them")]
    NoContext {
        /// The context that was named.
        context: String,
        /// The nearest one, if one is near.
        hint: String,
    },
    /// The kubeconfig or the context in it can't be used.
    #[error("the context \"{context}\" can't be used")]
    Kubeconfig {
        /// The context that was named.
        context: String,
        /// Why.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// The credentials or the address make no client.
    #[error("no client can be made for this cluster")]
    Client(#[source] kube::Error),
}

impl Access {
    /// What settings and flags say.
    ///
    /// # Errors
    /// [`ConnectError::NotNamed`] where neither is given.
    pub fn of(in_cluster: bool, kubeconfig: Option<PathBuf>, context: Option<String>) -> Result<Self, ConnectError> {
        match context {
            Some(context) => Ok(Self::Context { kubeconfig, context }),
            None if in_cluster => Ok(Self::InCluster),
            None => Err(ConnectError::NotNamed),
        }
    }

    /// A client; it connects when it is first used.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn client(&self) -> Result<Client, ConnectError> {
        let mut config = match self {
            Self::InCluster => Config::incluster().map_err(ConnectError::InCluster)?,
            Self::Context { kubeconfig, context } => named(kubeconfig.as_ref(), context).await?,
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        client(config).map_err(ConnectError::Client)
    }
}

/// Kube's own stack, but for four things: the last layer looks at the lease, what a refusal says in its headers becomes
/// readable, nothing is repeated behind our back, and nothing is logged per attempt.
fn client(config: Config) -> kube::Result<Client> {
    let namespace = config.default_namespace.clone();
    let mut connector = TimeoutConnector::new(config.rustls_https_connector()?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let wire: legacy::Client<_, Fenced> = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .map_response(busy::readable)
        .map_request(Fenced::request)
        .service(wire);
    Ok(Client::new(service, namespace))
}

async fn named(kubeconfig: Option<&PathBuf>, context: &str) -> Result<Config, ConnectError> {
    let failed = |source| ConnectError::Kubeconfig { context: context.to_owned(), source };
    let file = kubeconfig.map_or_else(Kubeconfig::read, Kubeconfig::read_from).map_err(failed)?;
    let names = || file.contexts.iter().map(|known| known.name.as_str());
    if !names().any(|name| name == context) {
        return Err(ConnectError::NoContext { context: context.to_owned(), hint: nearest(context, names()) });
    }
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(file, &options).await.map_err(failed)
}
