//! Ctrl-C ends the demo in order.

use std::sync::{
    Once,
    atomic::{AtomicBool, Ordering},
};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static LISTENING: Once = Once::new();

/// From here on Ctrl-C is noted instead of ending us; what we start still gets it.
pub(super) fn listen() -> anyhow::Result<()> {
    let mut mask = nix::sys::signal::SigSet::empty();
    mask.add(nix::sys::signal::Signal::SIGINT);
    mask.thread_block()?;
    LISTENING.call_once(|| {
        std::thread::spawn(move || {
            if mask.wait().is_ok() {
                INTERRUPTED.store(true, Ordering::Relaxed);
            }
        });
    });
    Ok(())
}

/// Whether Ctrl-C was pressed.
pub(super) fn is_asked() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
