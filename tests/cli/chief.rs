//! Something that listens where job-chief would, and gives the answers it was given.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Answers by `METHOD /path`: the code and the page.
pub(crate) type Answers = Arc<Mutex<BTreeMap<String, (u16, Value)>>>;

/// Far beyond what anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Chief {
    pub(crate) address: SocketAddr,
    pub(crate) answers: Answers,
    /// The bodies that were POSTed, and the token of each.
    pub(crate) told: Arc<Mutex<Vec<(String, Value)>>>,
    /// The token of each question, where it had one.
    pub(crate) tokens: Arc<Mutex<Vec<Option<String>>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Chief {
    /// Listens on a free port of the loopback address.
    pub(crate) fn new(answers: &[(&str, u16, Value)]) -> Self {
        let answers = answers.iter().map(|(what, code, page)| ((*what).to_owned(), (*code, page.clone()))).collect();
        Self::at("127.0.0.1:0".parse().unwrap(), Arc::new(Mutex::new(answers)))
    }

    /// Listens where another has listened before, as soon as nobody else does: for a moment, anybody may be given its port.
    pub(crate) fn at(address: SocketAddr, answers: Answers) -> Self {
        let end = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < end, "{address}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let (ended, told, tokens) = (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::default());
        let mut chief = Self { address: listener.local_addr().unwrap(), answers, told, tokens, ended, thread: None };
        let (answers, told, ended) = (chief.answers.clone(), chief.told.clone(), chief.ended.clone());
        let tokens = chief.tokens.clone();
        chief.thread = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let mut reader = BufReader::new(stream.unwrap());
                let mut head = vec![];
                for line in reader.by_ref().lines() {
                    match line {
                        Ok(line) if !line.is_empty() => head.push(line),
                        _ => break,
                    }
                }
                let header = |name: &str| {
                    let line = head.iter().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
                    line.map(|line| line.split_once(": ").unwrap().1.to_owned())
                };
                let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
                reader.read_exact(&mut body).unwrap();
                tokens.lock().unwrap().extend((!head.is_empty()).then(|| header("authorization")));
                if !body.is_empty() {
                    let token = header("authorization").unwrap_or_default();
                    told.lock().unwrap().push((token, serde_json::from_slice(&body).unwrap()));
                }
                let asked = head.first().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).unwrap_or_default();
                let (code, page) = answers.lock().unwrap().get(&asked).cloned().unwrap_or((404, Value::Null));
                let page = page.to_string();
                let answer =
                    format!("HTTP/1.1 {code} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{page}", page.len());
                // Whoever asked may have gone.
                drop(reader.get_mut().write_all(answer.as_bytes()));
            }
        }));
        chief
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn answer(&self, what: &str, page: Value) {
        self.answers.lock().unwrap().insert(what.to_owned(), (200, page));
    }

    /// Stops listening.
    pub(crate) fn end(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread, which then closes the listener.
        drop(std::net::TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Chief {
    fn drop(&mut self) {
        self.end();
    }
}
