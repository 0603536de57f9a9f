//! How the API server is found: never by the current context of whoever started us.

use std::{path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use thiserror::Error;

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
    /// Nobody said which cluster is meant.
    #[error(
        "which cluster? Outside a cluster name it with --context NAME (and --kubeconfig FILE); inside one set kubernetes.loadConfigFromCluster (K8S_LOAD_CONFIG_FROM_CLUSTER=true). The current context is never used by itself"
    )]
    NotNamed,
    /// There is no service account.
    #[error(
        "the service account of the pod can't be read: kubernetes.loadConfigFromCluster is for pods of the cluster"
    )]
    InCluster(#[source] kube::config::InClusterError),
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
    /// [`ConnectError::NotNamed`] where neither says anything.
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
        Client::try_from(config).map_err(ConnectError::Client)
    }
}

async fn named(kubeconfig: Option<&PathBuf>, context: &str) -> Result<Config, ConnectError> {
    let failed = |source| ConnectError::Kubeconfig { context: context.to_owned(), source };
    let file = kubeconfig.map_or_else(Kubeconfig::read, Kubeconfig::read_from).map_err(failed)?;
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(file, &options).await.map_err(failed)
}
