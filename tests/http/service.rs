//! A job-chief process that reaches neither Postgres nor Kubernetes, and a client that says exactly what it is told.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take: far beyond what it takes, so that only a fault reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// A token of the file.
pub(crate) const TOKEN: &str = "Authorization: Bearer canary-token-1\r\n";

/// Queues and a service, one with a name that is out to do harm.
pub(crate) const JOBS: &str = r#"[
    {"queueName": "mail", "podConfig": {"image": "mail:1"}},
    {"name": "hostile", "queueName": "<script>alert(1)</script>\u001b[31m\u202e&\"'", "podConfig": {"image": "mail:1"}},
    {"type": "service", "name": "redis", "podConfig": {"image": "redis:8"}, "actions": {"backup": {"podConfig": {"image": "backup:1"}}}}
]"#;

/// Modules: one that is well, one that is not.
const MODULES: [(&str, &str); 2] = [
    (
        "redis/latest/redis.yaml",
        "# @name The name of the service.\napiVersion: job-chief/v1\nkind: JobConfig\nmetadata:\n  name: $g{name:\"cache\"}\nspec:\n  \
            type: service\n  podConfig:\n    image: $g{image:\"redis:8\"}\n",
    ),
    (
        "wrong/latest/wrong.yaml",
        "apiVersion: job-chief/v1\nkind: JobConfig\nmetadata:\n  name: wrong\nspec:\n  queueNam: x\n  podConfig:\n    imag: x\n",
    ),
];

const NOBODY: &str = r#"{"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "c", "user": {"token": "canary-kubernetes"}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}"#;

pub(crate) struct Service {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
}

/// An answer.
pub(crate) struct Told {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.head, self.body))
    }

    /// A field of the head.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

impl Service {
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("jobs.json"), JOBS).unwrap();
        fs::write(folder.path().join("kubeconfig"), NOBODY).unwrap();
        fs::write(folder.path().join("tokens"), "canary-token-1\ncanary-token-2\n").unwrap();
        for (file, text) in MODULES {
            let path = folder.path().join("modules").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_job-chief"));
        command.args(["run", "--context", "c", "--kubeconfig", "kubeconfig"]).current_dir(folder.path()).env_clear();
        command.envs([("DB_HOST", "127.0.0.1"), ("DB_PORT", "1"), ("DB_PASSWORD", "canary-password")]);
        command.envs([("SERVER_HOST", "127.0.0.1"), ("SERVER_PORT", "0"), ("SERVER_TOKEN_FILE", "tokens")]);
        command.env("MODULES_PATH", "modules");
        let mut child = command.envs(environment.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let serving = lines.find(|line| line.contains("serving")).expect("it serves");
        // The log is read on, so that it never blocks.
        std::thread::spawn(move || lines.for_each(drop));
        let address = serde_json::from_str::<Value>(&serving).unwrap()["address"].as_str().unwrap().parse().unwrap();
        let service = Self { child, address, folder };
        // Its actors are begun beside the server. The token is for cases in which pages need one.
        let token = "Authorization: Bearer canary-token-1\r\n";
        while service.get("/jobs", token).json().as_array().is_none_or(Vec::is_empty) {
            std::thread::yield_now();
        }
        service
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str, headers: &str) -> Told {
        self.ask("GET", path, headers, "")
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Told {
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.send(text.as_bytes())
    }

    /// Sends bytes as they are, and reads until the end.
    pub(crate) fn send(&self, bytes: &[u8]) -> Told {
        let mut stream = self.connect();
        // Whoever is refused is not listened to, to the end.
        drop(stream.write_all(bytes));
        read_answer(&mut stream)
    }
}

/// Reads an answer whose end is that of the connection.
pub(crate) fn read_answer(stream: &mut TcpStream) -> Told {
    let mut answer = vec![];
    // A reset may follow the answer where not everything that was sent was read.
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Told { code, head: head.to_owned(), body: body.to_owned() }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
