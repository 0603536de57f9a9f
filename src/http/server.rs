//! Connections: how many there may be, and how long each may take. Whoever is slow or silent keeps nobody else out.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{Request, Response},
};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::clock::sleep;

/// Bytes of a head that are read at all; the routes refuse most of these in words.
const BUFFER_MAX: usize = 64 << 10;

/// Fields of a head that are read at all.
const FIELDS_MAX: usize = 256;

/// Before the next try to accept a connection, when there is no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// What is sent to whoever finds no place.
const FULL: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 5\r\n",
    "connection: close\r\n\r\n",
    r#"{"type":"urn:job-chief:problem:too-many-connections","title":"There are enough connections already","status":503,"#,
    r#""detail":"every connection that is allowed is at work; try again later","instance":"/"}"#,
);

/// What is allowed to connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many there may be: some kilobytes and a descriptor each.
    pub connections: usize,
    /// How long a head may take to arrive, counted from the end of the last answer: also how long a connection idles.
    pub head_wait: Duration,
    /// How long the other side may take nothing of an answer.
    pub write_wait: Duration,
    /// How long answers may take after the end was asked for.
    pub drain_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head_wait: Duration::from_secs(20),
            write_wait: Duration::from_secs(20),
            drain_wait: Duration::from_secs(5),
        }
    }
}

/// Serves routes.
pub struct Server {
    router: Router,
    limits: Limits,
    connections: JoinSet<()>,
    /// The oldest first.
    open: VecDeque<Arc<Connection>>,
}

/// A connection, as the one who accepts sees it.
#[derive(Debug, Default)]
struct Connection {
    /// Requests that are not answered to the end.
    busy: AtomicUsize,
    /// Its place is wanted, or it has ended.
    over: CancellationToken,
}

impl Server {
    /// A server without connections.
    pub fn new(router: Router, limits: Limits) -> Self {
        Self { router, limits, connections: JoinSet::new(), open: VecDeque::new() }
    }

    /// Serves until the end is asked for and every answer is given.
    pub async fn run(mut self, listener: TcpListener, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(_) = self.connections.join_next() => self.open.retain(|it| !it.over.is_cancelled()),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.take(stream, &shutdown),
                    Err(error) => wait_after(&error).await,
                },
            }
        }
        drop(listener);
        while self.connections.join_next().await.is_some() {}
    }

    /// Gives a connection a place, that of the one that has been idle the longest if there is no other.
    fn take(&mut self, stream: TcpStream, shutdown: &CancellationToken) {
        self.open.retain(|it| !it.over.is_cancelled());
        if self.open.len() >= self.limits.connections {
            let Some(idle) = self.open.iter().position(|it| it.busy.load(Ordering::Acquire) == 0) else {
                tracing::warn!(connections = self.open.len(), "every connection is at work; one more was refused");
                // An error says that the other side has gone.
                drop(stream.try_write(FULL.as_bytes()));
                return;
            };
            self.open.remove(idle).into_iter().for_each(|it| it.over.cancel());
        }
        let connection = Arc::new(Connection::default());
        self.open.push_back(connection.clone());
        let talk = talk(stream, self.router.clone(), self.limits, connection, shutdown.clone());
        self.connections.spawn(talk);
    }
}

/// A connection that was lost before it was accepted is nothing; without descriptors some have to end first.
async fn wait_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "no connection can be accepted; trying again");
        sleep(ACCEPT_RETRY).await;
    }
}

/// Serves one connection to its end.
async fn talk(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    connection: Arc<Connection>,
    shutdown: CancellationToken,
) {
    let over = connection.over.clone();
    let _ended = over.clone().drop_guard();
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_wait));
    let service = service_fn(move |request| answer(router.clone(), connection.clone(), request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_wait);
    builder.max_buf_size(BUFFER_MAX).max_headers(FIELDS_MAX);
    let mut talk = pin!(builder.serve_connection(TokioIo::new(Box::pin(stream)), service));
    let done = tokio::select! {
        done = talk.as_mut() => done,
        () = over.cancelled() => return,
        () = shutdown.cancelled() => {
            talk.as_mut().graceful_shutdown();
            tokio::time::timeout(limits.drain_wait, talk).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = done {
        tracing::debug!(%error, "a connection has ended");
    }
}

async fn answer(
    router: Router,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Counted>, Infallible> {
    let busy = Busy::of(connection);
    let response = router.oneshot(request.map(Body::new)).await?;
    Ok(response.map(|body| Counted { body, _busy: busy }))
}

/// A request that is not answered to the end.
struct Busy(Arc<Connection>);

impl Busy {
    fn of(connection: Arc<Connection>) -> Self {
        connection.busy.fetch_add(1, Ordering::AcqRel);
        Self(connection)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A body whose connection is at work until it is written.
struct Counted {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, net::SocketAddr};

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Semaphore,
    };

    use super::*;

    const SHORT: Duration = Duration::from_secs(1);

    /// A server that runs on beside the test, whose routes answer, hang, or say more than a connection holds.
    async fn begin(limits: Limits) -> (SocketAddr, CancellationToken, JoinSet<()>) {
        let (address, shutdown, tasks, _) = begin_seen(limits).await;
        (address, shutdown, tasks)
    }

    /// With a permit for each request that hangs by now.
    async fn begin_seen(limits: Limits) -> (SocketAddr, CancellationToken, JoinSet<()>, Arc<Semaphore>) {
        let hanging = Arc::new(Semaphore::new(0));
        let hangs = {
            let hanging = hanging.clone();
            async move || {
                hanging.add_permits(1);
                pending::<()>().await;
            }
        };
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/hangs", get(hangs))
            .route("/long", get(async || "x".repeat(64 << 20)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let (address, shutdown) = (listener.local_addr().expect("bound"), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(Server::new(router, limits).run(listener, shutdown.clone()));
        (address, shutdown, tasks, hanging)
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(text.as_bytes()).await.expect("written");
        stream
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut answer = vec![];
        // A reset is an end, too.
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8(answer).expect("text")
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        rest(send(address, &format!("GET {path} HTTP/1.0\r\n\r\n")).await).await
    }

    #[tokio::test]
    async fn a_head_that_comes_slowly_and_an_idle_connection_are_not_waited_for() {
        let (address, _, _tasks) = begin(Limits { head_wait: SHORT, ..Limits::default() }).await;
        let slow = send(address, "GET / HT").await;
        let idle = send(address, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(rest(slow).await, "");
        assert!(rest(idle).await.ends_with("\r\n\r\nhello"), "answered, then closed");
        assert!(ask(address, "/").await.ends_with("hello"));
    }

    #[tokio::test]
    async fn the_longest_idle_gives_its_place_and_work_does_not() {
        let (address, _, _tasks, at_work) = begin_seen(Limits { connections: 2, ..Limits::default() }).await;
        let first = send(address, "GET /").await;
        let hanging = send(address, "GET /hangs HTTP/1.0\r\n\r\n").await;
        at_work.acquire().await.expect("open").forget();
        let second = send(address, "GET /").await;
        assert_eq!(rest(first).await, "", "its place was wanted");
        assert!(ask(address, "/").await.ends_with("hello"));
        assert_eq!(rest(second).await, "");
        let other = send(address, "GET /hangs HTTP/1.0\r\n\r\n").await;
        at_work.acquire().await.expect("open").forget();
        // The refusal is lost where the system resets the connection, as what was sent to it is not read.
        let refused = loop {
            let answer = ask(address, "/").await;
            if !answer.is_empty() {
                break answer;
            }
        };
        let body = refused.split_once("\r\n\r\n").expect("a body").1;
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(problem["type"], "urn:job-chief:problem:too-many-connections");
        drop((hanging, other));
    }

    #[tokio::test]
    async fn whoever_takes_nothing_of_an_answer_is_cut_off() {
        let (address, _, _tasks) = begin(Limits { connections: 1, write_wait: SHORT, ..Limits::default() }).await;
        let stalled = send(address, "GET /long HTTP/1.0\r\n\r\n").await;
        while !ask(address, "/").await.ends_with("hello") {}
        assert!(rest(stalled).await.len() < 64 << 20, "it was cut off");
    }

    #[tokio::test]
    async fn at_the_end_answers_are_given_and_nobody_is_waited_for_without_end() {
        let (address, shutdown, mut tasks) = begin(Limits { drain_wait: SHORT, ..Limits::default() }).await;
        let idle = send(address, "GET / HTTP/1.1\r\nHost: h\r\n").await;
        let hanging = send(address, "GET /hangs HTTP/1.0\r\n\r\n").await;
        shutdown.cancel();
        tasks.join_next().await.expect("one").expect("no panic");
        assert_eq!(rest(idle).await + &rest(hanging).await, "");
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    }
}
