//! Addresses: free ports, and addresses of our own on `lo`.

use std::{net::TcpListener, process::Command};

use anyhow::{Context, bail};

use crate::processes::succeed;

/// A port that nobody listens on now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// A number that no other cluster on this machine uses for its networks, `10.N.0.0/24` and `10.N+1.0.0/24`.
pub(crate) fn free_network() -> anyhow::Result<u8> {
    let addresses = succeed(Command::new("ip").args(["-o", "addr"]))?;
    let routes = succeed(Command::new("ip").arg("route"))?;
    let taken = |n: u8| {
        [addresses.as_str(), routes.as_str()].iter().any(|text| {
            text.contains(&format!(" 10.{n}."))
                || text.starts_with(&format!("10.{n}."))
                || text.contains(&format!("\n10.{n}."))
        })
    };
    (200..250).step_by(2).find(|n| !taken(*n) && !taken(n + 1)).context("all networks from 10.200 to 10.250 are taken")
}

/// Puts an address on `lo`.
pub(crate) fn add_address(address: &str) -> anyhow::Result<()> {
    succeed(Command::new("ip").args(["addr", "add", &format!("{address}/32"), "dev", "lo"])).map(|_| ())
}

/// Takes an address off `lo`; one that is not there is no error.
pub(crate) fn remove_address(address: &str) -> anyhow::Result<()> {
    let there = succeed(Command::new("ip").args(["-o", "addr", "show", "dev", "lo"]))?;
    if !there.contains(&format!(" {address}/32 ")) {
        return Ok(());
    }
    if succeed(Command::new("ip").args(["addr", "del", &format!("{address}/32"), "dev", "lo"])).is_err() {
        bail!("the address {address} stays on lo: ip addr del {address}/32 dev lo");
    }
    Ok(())
}
