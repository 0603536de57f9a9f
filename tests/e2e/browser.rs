//! A real Chromium, driven through WebDriver.

use std::{path::Path, process::Stdio, sync::Mutex, time::Duration};

use axum::http::Method;
use fantoccini::{Client, ClientBuilder, Locator, error::CmdError, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::stage::{PATIENCE, Site, eventually};

/// A browser with one page. It ends with the case.
pub(crate) struct Browser {
    pub(crate) page: Client,
    axe: String,
    /// What was written to the console and not asked for yet.
    written: Mutex<Vec<Value>>,
    _driver: Driver,
    _folder: tempfile::TempDir,
}

/// A driver and the browser that it has started: one group of processes, which ends with this.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(id) = self.0.id() {
            let kill = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{id}")]).status();
            assert!(kill.is_ok(), "{kill:?}");
        }
    }
}

/// Times that a driver is started: it takes a port of IPv4 and wants the same of IPv6, which somebody else may have. And
/// times that it is asked for a browser, which it gives up after a minute where the machine is busy.
const STARTS: usize = 5;

/// What Chromium says of connections that it gives up because an interface of the machine came or went.
const NETWORK_CHANGED: &str = "ERR_NETWORK_CHANGED";

/// A driver at a port of its own, which keeps what it keeps in this folder.
async fn start(folder: &Path) -> (Driver, u16) {
    for _ in 0..STARTS {
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").process_group(0).stdout(Stdio::piped()).stderr(Stdio::null());
        driver.envs(["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR"].map(|name| (name, folder)));
        let mut driver = driver.spawn().expect("chromedriver (Debian's chromium-driver) starts");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                // What it says is read on, so that it never waits for that.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return (Driver(driver), port.trim_end_matches('.').parse().unwrap());
            }
        }
        driver.wait().await.unwrap();
    }
    panic!("chromedriver has found no port {STARTS} times");
}

/// A command of Chromium's driver that WebDriver does not have.
#[derive(Debug)]
struct OfChromium(&'static str, Value);

impl WebDriverCompatibleCommand for OfChromium {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}

impl Browser {
    pub(crate) async fn open(site: &Site) -> Self {
        let axe = std::fs::read_to_string(site.folder.join("npm/node_modules/axe-core/axe.min.js")).unwrap();
        // Shared memory may be small, and all cases' browsers would share it.
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1000"];
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        let Value::Object(capabilities) = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": patience, "pageLoad": patience},
        }) else {
            unreachable!("an object");
        };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let mut failures = vec![];
        while failures.len() < STARTS {
            let folder = tempfile::tempdir().unwrap();
            let (driver, port) = start(folder.path()).await;
            match builder.connect(&format!("http://127.0.0.1:{port}")).await {
                Ok(page) => return Self { page, axe, written: Mutex::default(), _driver: driver, _folder: folder },
                Err(error) => failures.push(error),
            }
        }
        panic!("Chromium does not start: {failures:?}");
    }

    /// What a script returns.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        self.page.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The text of an element; empty where it is not there, and while another page comes.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(selector));
        let text = self.page.execute(&script, vec![]).await.unwrap_or_default();
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a script returns this.
    pub(crate) async fn returns(&self, script: &str, wanted: &Value) {
        let looking = async {
            while self.page.execute(script, vec![]).await.ok().as_ref() != Some(wanted) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, looking).await.is_err() {
            panic!("{script} does not return {wanted} but {}", self.ask(script).await);
        }
    }

    /// Waits, without touching the page, until an element says something.
    pub(crate) async fn until(&self, selector: &str, says: &str) {
        let seen = async {
            while !self.text(selector).await.contains(says) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, seen).await.is_err() {
            let page = self.page.source().await.unwrap_or_default();
            panic!("{selector} does not say {says:?} but {:?}\n{page}", self.text(selector).await);
        }
    }

    pub(crate) async fn click(&self, selector: &str) {
        eventually(&format!("a click on {selector}"), || async {
            done(async { self.page.find(Locator::Css(selector)).await?.click().await }.await)
        })
        .await;
    }

    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        eventually(&format!("{selector} to take {text:?}"), || async {
            done(async { self.page.find(Locator::Css(selector)).await?.send_keys(text).await }.await)
        })
        .await;
    }

    /// As somebody sees it who prefers this: `light` or `dark`.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let params = json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}});
        self.page.issue_cmd(OfChromium("goog/cdp/execute", params)).await.unwrap();
    }

    /// What axe has to say against the page: nothing, one hopes.
    pub(crate) async fn complaints(&self) -> Vec<Value> {
        self.ask(&self.axe).await;
        let run =
            "const done = arguments[0]; axe.run().then((it) => done(it.violations), (error) => done([String(error)]))";
        let complaints = tokio::time::timeout(PATIENCE, self.page.execute_async(run, vec![])).await.unwrap().unwrap();
        complaints.as_array().unwrap().clone()
    }

    /// What has been written to the console since the last time.
    pub(crate) async fn console(&self) -> Vec<Value> {
        self.read_console().await;
        std::mem::take(&mut *self.written.lock().unwrap())
    }

    /// Reads the console. True if a request was lost because an interface of the machine came or went, which is said of
    /// each pod, and is not the page's fault.
    async fn read_console(&self) -> bool {
        let log = self.page.issue_cmd(OfChromium("se/log", json!({"type": "browser"}))).await.unwrap();
        let is_lost = |line: &Value| line["message"].as_str().is_some_and(|text| text.contains(NETWORK_CHANGED));
        let (lost, written): (Vec<Value>, Vec<Value>) = log.as_array().unwrap().iter().cloned().partition(is_lost);
        self.written.lock().unwrap().extend(written);
        !lost.is_empty()
    }

    /// Opens a page with all that belongs to it.
    pub(crate) async fn goto(&self, url: &str) {
        eventually(&format!("{url} to open"), || async {
            match self.page.goto(url).await {
                Err(error) if error.to_string().contains(NETWORK_CHANGED) => None,
                opened => {
                    opened.unwrap();
                    (!self.read_console().await).then_some(())
                }
            }
        })
        .await;
    }

    /// Keeps a picture of the page in `docs/`, where that is asked for.
    pub(crate) async fn picture(&self, name: &str) {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
            std::fs::write(to, self.page.screenshot().await.unwrap()).unwrap();
        }
    }
}

/// `None` where the element is not there, or was replaced by a newer one before anything was done to it.
fn done(result: Result<(), CmdError>) -> Option<()> {
    match result {
        Err(error) if error.is_no_such_element() || error.is_stale_element_reference() => None,
        done => Some(done.unwrap()),
    }
}
