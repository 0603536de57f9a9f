//! The nodes: a real one with a containerd of its own, and the scale node that only plays.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::{
    build,
    folders::{folder, root, subfolder},
    image,
    net::free_port,
    plane::{NODE, kubectl, part},
    processes::{succeed, until},
    programs::{find, need},
    state::State,
};

/// How long the node may take to be ready.
const READY_MAX: Duration = Duration::from_secs(60);

/// How long containerd may take to answer.
const CONTAINERD_MAX: Duration = Duration::from_secs(30);

/// Starts containerd and the kubelet, loads the images, and waits until the node is ready.
pub(crate) fn start_real(state: &mut State) -> anyhow::Result<()> {
    fs::create_dir_all(&state.sockets)?;
    let folder = subfolder("node")?;
    fs::write(folder.join("containerd.toml"), containerd_config(state)?)?;
    fs::create_dir_all(folder.join("cni"))?;
    fs::write(folder.join("cni/10-ptp.conflist"), network(state).to_string())?;
    let mut containerd = Command::new(need("containerd")?);
    containerd.arg("--config").arg(folder.join("containerd.toml"));
    state.launch("containerd", &mut containerd)?;
    let up = until(CONTAINERD_MAX, || ctr(state, &["version"]).is_ok());
    ensure!(up, "containerd does not answer; see target/cluster/logs/containerd.log");
    load_small_ones(state)?;
    make_cgroup(state)?;
    fs::write(folder.join("kubelet.json"), kubelet_config(state)?.to_string())?;
    let mut kubelet = part("kubelet");
    kubelet.args([
        format!("--config={}", folder.join("kubelet.json").display()),
        format!("--kubeconfig={}", crate::folders::folder().join("pki/node.kubeconfig").display()),
        format!("--root-dir={}", folder.join("kubelet").display()),
        format!("--cert-dir={}", folder.join("kubelet-pki").display()),
        format!("--hostname-override={NODE}"),
        "--node-labels=job-chief.test/node=real".into(),
    ]);
    state.launch("kubelet", &mut kubelet)?;
    wait_ready(state, NODE)
}

fn wait_ready(state: &State, node: &str) -> anyhow::Result<()> {
    let condition = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
    let ready = || kubectl(state, &["get", "node", node, "-o", condition]).is_ok_and(|status| status == "True");
    let dead = || state.processes.iter().find(|process| !process.is_alive());
    until(READY_MAX, || dead().is_some() || ready());
    if let Some(process) = dead() {
        anyhow::bail!("{0} has ended; see target/cluster/logs/{0}.log", process.name);
    }
    ensure!(ready(), "the node {node} is not ready; see target/cluster/logs/");
    Ok(())
}

/// containerd's own client.
pub(crate) fn ctr(state: &State, args: &[&str]) -> anyhow::Result<String> {
    let socket = state.sockets.join("containerd.sock");
    succeed(Command::new(need("ctr")?).arg("--address").arg(socket).args(["--namespace", "k8s.io"]).args(args))
}

/// Loads an image archive into the node.
pub(crate) fn load(state: &State, archive: &std::path::Path) -> anyhow::Result<()> {
    let archive = archive.to_str().context("a path that is text")?;
    ctr(state, &["images", "import", archive]).map(|_| ())
}

/// Loads all images but job-chief's own.
pub(crate) fn load_small_ones(state: &State) -> anyhow::Result<()> {
    image::small_ones()?.iter().try_for_each(|archive| load(state, archive))
}

fn containerd_config(state: &State) -> anyhow::Result<String> {
    let folder = folder().join("node");
    let cni = need("ptp")?;
    let plugins = cni.parent().context("has a parent")?;
    Ok(format!(
        r#"version = 2
root = "{root}/containerd"
state = "{sockets}/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{sockets}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{root}/cni"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
"#,
        root = folder.display(),
        sockets = state.sockets.display(),
        pause = image::PAUSE,
        plugins = plugins.display(),
    ))
}

/// Pods get addresses of a network of their own, and reach this machine's addresses over it.
fn network(state: &State) -> serde_json::Value {
    let pods = state.pod_network.split_once('/').map_or("10.97", |(_, pods)| pods);
    json!({
        "cniVersion": "0.4.0",
        "name": "job-chief-test",
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": format!("{pods}.0.0/22")}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": folder().join("node/ipam"),
            },
        }],
    })
}

/// The cgroup under which everything of this node runs, in each hierarchy of version 1 or in version 2.
fn make_cgroup(state: &State) -> anyhow::Result<()> {
    for hierarchy in hierarchies()? {
        let path = hierarchy.join(state.cgroup.trim_start_matches('/'));
        fs::create_dir_all(&path).with_context(|| format!("can't make {}", path.display()))?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            // A group of version 1 without processors takes no processes.
            if let (Ok(all), true) = (fs::read_to_string(hierarchy.join(file)), path.join(file).exists()) {
                fs::write(path.join(file), all.trim())?;
            }
        }
    }
    Ok(())
}

/// Where cgroups are mounted.
pub(crate) fn hierarchies() -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.nth(1)?, fields.next()?))
    });
    Ok(fields.filter(|(_, kind)| matches!(*kind, "cgroup" | "cgroup2")).map(|(path, _)| path.into()).collect())
}

fn kubelet_config(state: &State) -> anyhow::Result<serde_json::Value> {
    let folder = folder().join("node");
    Ok(json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": free_port()?,
        "readOnlyPort": 0,
        "healthzPort": free_port()?,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": crate::folders::folder().join("pki/kubelet-ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": state.cgroup,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": format!("unix://{}/containerd.sock", state.sockets.display()),
        "podLogsDir": folder.join("logs"),
        "volumePluginDir": folder.join("volume-plugins"),
        "staticPodPath": "",
        "resolvConf": "",
        "clusterDNS": [],
        "maxPods": 250,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": FREE, "imagefs.available": "1%"},
        // Where the disk counts as full, images stay: there is no registry to have them from again.
        "imageMinimumGCAge": "24h",
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "nodeStatusUpdateFrequency": "4s",
        "syncFrequency": "10s",
    }))
}

/// How much of the disk has to be left for pods to stay.
const FREE: &str = "1%";

/// More than ever is left of a disk.
const NEVER_LEFT: &str = "99%";

/// Writes down what the kubelet, once it is started anew, takes for a full disk; `false` where it says so already.
pub(crate) fn set_disk(is_full: bool) -> anyhow::Result<bool> {
    let file = folder().join("node/kubelet.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&file)?)?;
    let least = json!(if is_full { NEVER_LEFT } else { FREE });
    let before = config["evictionHard"]["nodefs.available"].take();
    if before == least {
        return Ok(false);
    }
    config["evictionHard"]["nodefs.available"] = least;
    fs::write(&file, config.to_string()).context("the kubelet's configuration can't be written")?;
    Ok(true)
}

/// Starts the scale node: pods that ask for it run and complete without containers.
pub(crate) fn start_scale(state: &mut State) -> anyhow::Result<()> {
    let program = build::scale_node()?;
    let mut kwok = Command::new(program);
    kwok.args([
        format!("--kubeconfig={}", state.kubeconfig.display()),
        "--manage-all-nodes=false".into(),
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".into(),
        format!("--server-address=127.0.0.1:{}", free_port()?),
        "--node-lease-duration-seconds=40".into(),
        format!("--config={}", root().join("testenv/stages.yaml").display()),
    ]);
    state.launch("kwok", &mut kwok)?;
    let resources = json!({"cpu": "10000", "memory": "10000Gi", "pods": "100000"});
    let taint = json!([{"key": "job-chief.test/scale", "effect": "NoSchedule"}]);
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": "scale",
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"job-chief.test/node": "scale", "type": "kwok"},
        },
        // With a real node beside it only those come here that tolerate it.
        "spec": {"taints": if state.real_node { taint } else { json!([]) }},
        "status": {"allocatable": resources, "capacity": resources, "phase": "Running"},
    });
    let file = subfolder("node")?.join("scale.json");
    fs::write(&file, node.to_string())?;
    kubectl(state, &["apply", "-f", file.to_str().context("a path that is text")?])?;
    wait_ready(state, "scale")
}

/// Whether this machine can run containers for us.
pub(crate) fn can_run_containers() -> bool {
    crate::programs::is_root()
        && cfg!(target_os = "linux")
        && (find("apt-get").is_some() || find("containerd").is_some())
}
