//! The control plane: etcd, API server, controllers, scheduler.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::ensure;
use serde_json::json;

use crate::{
    folders::{folder, subfolder},
    net::free_port,
    pki,
    processes::{succeed, until},
    state::{CONTEXT, State},
};

/// The token of whoever runs the tests; it opens a cluster that only this machine reaches.
const ADMIN_TOKEN: &str = "job-chief-test-admin";

/// The token of the node.
const NODE_TOKEN: &str = "job-chief-test-node";

/// The name of the node, which must be a name that the API server can resolve to reach its logs.
pub(crate) const NODE: &str = "localhost";

/// How long the API server may take.
const READY_MAX: Duration = Duration::from_secs(60);

/// The parts' program.
pub(crate) fn part(name: &str) -> Command {
    let mut command = Command::new(folder().join("bin/testenv"));
    command.arg(name).current_dir(folder());
    command
}

/// kubectl as the administrator of the cluster.
pub(crate) fn kubectl(state: &State, args: &[&str]) -> anyhow::Result<String> {
    succeed(part("kubectl").arg("--kubeconfig").arg(&state.kubeconfig).args(args))
}

/// Starts etcd and the API server, and waits until it answers.
pub(crate) fn start_api(state: &mut State) -> anyhow::Result<()> {
    let pki = subfolder("pki")?;
    if !pki.join("accounts.pub").exists() {
        pki::write(&pki)?;
    }
    fs::write(
        pki.join("tokens.csv"),
        format!("{ADMIN_TOKEN},admin,admin,system:masters\n{NODE_TOKEN},system:node:{NODE},node,system:nodes\n"),
    )?;
    let (client, peer) = (free_port()?, free_port()?);
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let mut etcd = part("etcd");
    etcd.args(["--name=test", "--unsafe-no-fsync", "--log-level=warn", "--data-dir"]).arg(folder().join("etcd"));
    etcd.args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")]);
    etcd.args([
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=test={peer}"),
    ]);
    state.launch("etcd", &mut etcd)?;
    let mut server = api_server(state, &client, &pki);
    state.launch("apiserver", &mut server)?;
    write_kubeconfigs(state, &pki)?;
    let ready = until(READY_MAX, || kubectl(state, &["get", "--raw", "/readyz"]).is_ok());
    ensure!(ready, "the API server does not answer; see target/cluster/logs/apiserver.log");
    Ok(())
}

fn api_server(state: &State, etcd: &str, pki: &Path) -> Command {
    let (address, port) = state.api.split_once(':').unwrap_or((&state.api, "443"));
    let file = |name: &str| pki.join(name).display().to_string();
    let range = state.pod_network.split_once('/').map_or("10.96.0.0/24", |(services, _)| services);
    let mut command = part("apiserver");
    command.args([
        format!("--etcd-servers={etcd}"),
        format!("--bind-address={address}"),
        format!("--advertise-address={address}"),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", file("serving")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=Node,RBAC".into(),
        "--anonymous-auth=false".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", file("accounts.pub")),
        format!("--service-account-signing-key-file={}", file("accounts.key")),
        format!("--service-cluster-ip-range={range}.0.0/24"),
        format!("--kubelet-client-certificate={}", file("kubelet-client.crt")),
        format!("--kubelet-client-key={}", file("kubelet-client.key")),
        "--kubelet-preferred-address-types=Hostname".into(),
        "--max-requests-inflight=2000".into(),
        "--max-mutating-requests-inflight=1000".into(),
        "--profiling=false".into(),
    ]);
    command
}

/// The authority of the API server's certificate: the certificate itself.
fn authority() -> PathBuf {
    folder().join("pki/serving/apiserver.crt")
}

fn write_kubeconfigs(state: &State, pki: &Path) -> anyhow::Result<()> {
    ensure!(
        until(READY_MAX, || authority().exists()),
        "the API server made no certificate; see target/cluster/logs/apiserver.log"
    );
    for (path, token) in [(state.kubeconfig.clone(), ADMIN_TOKEN), (pki.join("node.kubeconfig"), NODE_TOKEN)] {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": CONTEXT,
            "clusters": [{"name": CONTEXT, "cluster": {"server": format!("https://{}", state.api), "certificate-authority": authority()}}],
            "users": [{"name": CONTEXT, "user": {"token": token}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        });
        fs::write(path, serde_json::to_vec_pretty(&config)?)?;
    }
    Ok(())
}

/// Starts controllers and scheduler.
pub(crate) fn start_controllers(state: &mut State) -> anyhow::Result<()> {
    let kubeconfig = format!("--kubeconfig={}", state.kubeconfig.display());
    let mut controllers = part("controllers");
    controllers.args([
        kubeconfig.clone(),
        "--leader-elect=false".into(),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={}", free_port()?),
        format!("--cert-dir={}", folder().join("pki/controllers").display()),
        "--use-service-account-credentials".into(),
        format!("--service-account-private-key-file={}", folder().join("pki/accounts.key").display()),
        format!("--root-ca-file={}", authority().display()),
        // The default of 20 requests a second would start some six Jobs a second.
        "--kube-api-qps=2000".into(),
        "--kube-api-burst=4000".into(),
        "--concurrent-job-syncs=20".into(),
        "--node-monitor-period=2s".into(),
    ]);
    state.launch("controllers", &mut controllers)?;
    let mut scheduler = part("scheduler");
    scheduler.args([
        kubeconfig,
        "--leader-elect=false".into(),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={}", free_port()?),
        format!("--cert-dir={}", folder().join("pki/scheduler").display()),
        "--kube-api-qps=2000".into(),
        "--kube-api-burst=4000".into(),
    ]);
    state.launch("scheduler", &mut scheduler)?;
    let account = || kubectl(state, &["get", "serviceaccount", "default"]).is_ok();
    ensure!(until(READY_MAX, account), "the controllers do not work; see target/cluster/logs/controllers.log");
    Ok(())
}
