//! A wire between job-chief and a server that a case can cut and mend.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A port on loopback that leads to a server while the wire is whole.
pub(crate) struct Wire {
    pub(crate) port: u16,
    whole: Arc<watch::Sender<bool>>,
    counts: Arc<Counts>,
}

/// Connections, also those that were turned away.
#[derive(Default)]
struct Counts {
    tried: AtomicUsize,
    alive: AtomicUsize,
}

impl Wire {
    /// A whole wire to `server`.
    pub(crate) async fn to(server: String) -> Self {
        Self::between("127.0.0.1", watch::Sender::new(server).subscribe()).await
    }

    /// A whole wire from an address of this machine to the server that is told last.
    pub(crate) async fn between(host: &str, server: watch::Receiver<String>) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let whole = Arc::new(watch::Sender::new(true));
        let counts = Arc::new(Counts::default());
        let (state, counted) = (whole.subscribe(), counts.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                counted.tried.fetch_add(1, Ordering::SeqCst);
                let (server, state, counted) = (server.clone(), state.clone(), counted.clone());
                tokio::spawn(async move {
                    counted.alive.fetch_add(1, Ordering::SeqCst);
                    carry(near, server, state).await;
                    counted.alive.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, whole, counts }
    }

    /// Connections that were tried so far.
    pub(crate) fn tried(&self) -> usize {
        self.counts.tried.load(Ordering::SeqCst)
    }

    /// Connections that there are.
    pub(crate) fn alive(&self) -> usize {
        self.counts.alive.load(Ordering::SeqCst)
    }

    /// Ends every connection and accepts no other.
    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn carry(mut near: TcpStream, mut server: watch::Receiver<String>, mut whole: watch::Receiver<bool>) {
    if !*whole.borrow_and_update() {
        return;
    }
    let address = server.borrow_and_update().clone();
    let Ok(mut far) = TcpStream::connect(address).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = whole.wait_for(|whole| !whole) => {}
        Ok(()) = server.changed() => {}
    }
}
