//! Asks pods whether they work, at their own addresses.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{body::Body, http::Request};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpStream, sync::Semaphore};

use crate::decide::service::{
    policy::{HealthCheck, PodPage},
    target::Target,
};

/// How long a pod may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Questions that are under way at once, for the whole process.
const PROBES_MAX: usize = 128;

/// Asks pods. Clones share the bound on questions.
#[derive(Clone, Debug)]
pub struct Prober {
    permits: Arc<Semaphore>,
    client: Client<HttpConnector, Body>,
}

impl Default for Prober {
    fn default() -> Self {
        // A pod is another one the next time, and a connection that is kept proves nothing.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { permits: Arc::new(Semaphore::new(PROBES_MAX)), client }
    }
}

impl Prober {
    /// Asks the pod at an address.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub async fn ask(&self, address: &str, probe: &HealthCheck) -> Result<(), Box<str>> {
        let _turn = self.permits.acquire().await.expect("never closed");
        let address: IpAddr = address.parse().map_err(|_| "the pod has no address")?;
        match probe {
            HealthCheck::Tcp(ports) => {
                for port in ports.iter() {
                    let asked = format!("port {port}");
                    in_time(&asked, TcpStream::connect(SocketAddr::new(address, *port))).await?;
                }
                Ok(())
            }
            HealthCheck::Http(check) => self.get_page(address, check).await,
            HealthCheck::Job => Ok(()),
        }
    }

    /// Asks all of these, and tells of the first that does not answer.
    ///
    /// # Errors
    /// Which one, and what is wrong, for people.
    pub async fn reach_all(&self, targets: &[Target]) -> Result<(), Box<str>> {
        let asking = targets.iter().map(|target| self.reach(target));
        futures::future::join_all(asking).await.into_iter().collect()
    }

    async fn reach(&self, target: &Target) -> Result<(), Box<str>> {
        let _turn = self.permits.acquire().await.expect("never closed");
        let asked = target.to_string();
        match target {
            Target::Tcp { host, port } => in_time(&asked, TcpStream::connect((&**host, *port))).await.map(drop),
            Target::Http { url, expect } => self.get(url, &asked, *expect).await,
        }
    }

    async fn get_page(&self, address: IpAddr, page: &PodPage) -> Result<(), Box<str>> {
        let PodPage { port, path, expect } = page;
        let url = format!("http://{}{path}", SocketAddr::new(address, *port));
        self.get(&url, &format!("port {port}"), *expect).await
    }

    async fn get(&self, url: &str, asked: &str, expect: Option<u16>) -> Result<(), Box<str>> {
        let request = Request::get(url).body(Body::empty()).map_err(|error| error.to_string())?;
        let path = request.uri().path().to_owned();
        let response = in_time(asked, self.client.request(request)).await?;
        let code = response.status().as_u16();
        let is_well = expect.map_or((200..400).contains(&code), |expected| code == expected);
        let expected = expect.map_or("200 to 399".to_owned(), |code| code.to_string());
        is_well.then_some(()).ok_or_else(|| format!("GET {path} answers {code}, expected is {expected}").into())
    }
}

/// What is asked answers within its time.
async fn in_time<T, E: std::error::Error>(
    asked: &str,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Box<str>> {
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| format!("{asked}: {}", crate::telemetry::with_causes(&error)).into()),
        Err(_) => Err(format!("{asked} gives no answer within {TIMEOUT:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_port_is_open_or_it_is_told_which_is_not() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let prober = Prober::default();
        assert_eq!(prober.ask("127.0.0.1", &HealthCheck::Tcp([port].into())).await, Ok(()));
        drop(listener);
        let error = prober.ask("127.0.0.1", &HealthCheck::Tcp([port].into())).await.expect_err("nobody listens");
        assert!(error.contains(&format!("port {port}")) && error.contains("refused"), "{error}");
        assert!(prober.ask("", &HealthCheck::Tcp([port].into())).await.is_err());
    }

    #[tokio::test]
    async fn a_page_answers_with_the_code_that_is_expected() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let serving = async {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                assert!(stream.read(&mut [0; 1024]).await.expect("a request") > 0);
                stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.expect("written");
            }
        };
        let check = |expect| HealthCheck::Http(Arc::new(PodPage { port, path: "/health".into(), expect }));
        let (asks, teapot) = (check(None), check(Some(404)));
        let prober = Prober::default();
        let asking = async {
            let error = prober.ask("127.0.0.1", &asks).await.expect_err("404");
            assert_eq!(&*error, "GET /health answers 404, expected is 200 to 399");
            assert_eq!(prober.ask("127.0.0.1", &teapot).await, Ok(()));
        };
        tokio::select! { () = serving => {}, () = asking => {} }
    }
}
