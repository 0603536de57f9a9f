//! A real Chromium, driven through WebDriver.

use std::{path::Path, process::Stdio, time::Duration};

use axum::http::Method;
use fantoccini::{Client, ClientBuilder, Locator, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::stage::{PATIENCE, Site};

/// A browser with one page. It ends with the case.
pub(crate) struct Browser {
    pub(crate) page: Client,
    axe: String,
    driver: Child,
    _folder: tempfile::TempDir,
}

/// Times that a driver is started: it takes a port of IPv4 and wants the same of IPv6, which somebody else may have.
const STARTS: usize = 5;

/// A driver at a port of its own, which keeps what it keeps in this folder.
async fn start(folder: &Path) -> (Child, u16) {
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
                return (driver, port.trim_end_matches('.').parse().unwrap());
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
        let folder = tempfile::tempdir().unwrap();
        let (driver, port) = start(folder.path()).await;
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000"];
        let Value::Object(capabilities) = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }) else {
            unreachable!("an object");
        };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let page = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        let axe = std::fs::read_to_string(site.folder.join("npm/node_modules/axe-core/axe.min.js")).unwrap();
        Self { page, axe, driver, _folder: folder }
    }

    /// What a script returns.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        self.page.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The text of an element; empty where it is not there.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(selector));
        self.ask(&script).await.as_str().unwrap_or_default().to_owned()
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
        self.page.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
    }

    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        self.page.find(Locator::Css(selector)).await.unwrap().send_keys(text).await.unwrap();
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
        let log = self.page.issue_cmd(OfChromium("se/log", json!({"type": "browser"}))).await.unwrap();
        log.as_array().unwrap().clone()
    }

    /// Keeps a picture of the page in `docs/`, where that is asked for.
    pub(crate) async fn picture(&self, name: &str) {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
            std::fs::write(to, self.page.screenshot().await.unwrap()).unwrap();
        }
    }
}

impl Drop for Browser {
    /// The driver's group is the driver and the browser that it has started.
    fn drop(&mut self) {
        if let Some(id) = self.driver.id() {
            let kill = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{id}")]).status();
            assert!(kill.is_ok(), "{kill:?}");
        }
    }
}
