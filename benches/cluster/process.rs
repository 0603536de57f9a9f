//! What the kernel tells of a process.

use crate::stage::Stage;

/// Resident memory in kB.
pub(crate) fn resident_kb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// User and system time so far, in seconds; 0 for a process that is gone.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, after_name)) = stat.rsplit_once(") ") else { return 0.0 };
    let fields: Vec<f64> = after_name.split(' ').map(|field| field.parse().unwrap_or(0.0)).collect();
    // Linux counts in hundredths here, whatever its own tick is.
    (fields[11] + fields[12]) / 100.0
}

/// The same of a process of the test cluster and of those that it started, by its name in the cluster's state.
pub(crate) fn cpu_seconds_of(stage: &Stage, name: &str) -> f64 {
    let processes = stage.site.state["processes"].as_array().unwrap();
    let process = processes.iter().rev().find(|process| process["name"] == name).unwrap();
    let pid = u32::try_from(process["pid"].as_u64().unwrap()).unwrap();
    children_of(pid).into_iter().map(cpu_seconds).sum()
}

/// A process and those that it started.
fn children_of(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().map(|child| child.parse().unwrap()).chain([pid]).collect()
}
