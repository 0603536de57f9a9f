//! The node's disk, which is full for a while: the kubelet evicts pods and takes none.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, api::ListParams};
use tokio::time::Instant;

use crate::{RETRY, acts::cluster};

/// How long it may take until the kubelet says how its disk is: it looks every ten seconds, and may be killed meanwhile.
const SAID_WITHIN: Duration = Duration::from_secs(90);

/// Fills it, and frees it after a while; `false` where the kubelet never said so.
pub(crate) async fn fill(client: &Client, lasts: Duration) -> bool {
    cluster(&["disk", "full"]).await;
    let was_full = says(client, true).await;
    tokio::time::sleep(lasts).await;
    cluster(&["disk", "free"]).await;
    says(client, false).await && was_full
}

/// Waits until the node is said to be full, or not.
async fn says(client: &Client, is_full: bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < SAID_WITHIN {
        if pressed(client).await.is_ok_and(|pressed| pressed == is_full) {
            return true;
        }
        tokio::time::sleep(RETRY).await;
    }
    false
}

/// The condition, and the taint that keeps pods away.
async fn pressed(client: &Client) -> kube::Result<bool> {
    let nodes: Api<Node> = Api::all(client.clone());
    let real = nodes.list(&ListParams::default().labels("job-chief.test/node=real")).await?;
    let conditions = real.items.iter().filter_map(|node| node.status.as_ref()?.conditions.as_ref()).flatten();
    let says_so = conditions.into_iter().any(|it| it.type_ == "DiskPressure" && it.status == "True");
    let mut taints = real.items.iter().filter_map(|node| node.spec.as_ref()?.taints.as_ref()).flatten();
    Ok(says_so || taints.any(|taint| taint.key == "node.kubernetes.io/disk-pressure"))
}
