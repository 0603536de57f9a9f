//! A PgBouncer in transaction mode, in front of the tests' Postgres.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// A PgBouncer of its own in front of the tests' Postgres.
pub(crate) struct Bouncer {
    child: Child,
    folder: TempDir,
    pub(crate) port: u16,
    /// Bound to the port and not listening: nobody else is given it before it is listened to.
    _kept: TcpSocket,
}

impl Bouncer {
    /// It listens soon after.
    pub(crate) fn start(url: &str, more: &str) -> Self {
        let url = url::Url::parse(url).unwrap();
        let kept = TcpSocket::new_v4().unwrap();
        kept.set_reuseaddr(true).unwrap();
        kept.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = kept.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let (host, server_port) = (url.host_str().unwrap(), url.port().unwrap());
        let (user, password) = (url.username(), url.password().unwrap());
        let more = more.replace("FOLDER", &place.to_string());
        let config = format!(
            "[databases]\n* = host={host} port={server_port} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 2\nlogfile =\npidfile =\n{more}\n"
        );
        std::fs::write(folder.path().join("pgbouncer.ini"), config).unwrap();
        certificates(folder.path());
        // It refuses to be root, and then has to be able to read what is here.
        assert!(Command::new("chmod").args(["-R", "a+rX"]).arg(folder.path()).status().unwrap().success());
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|it| Path::new(it).exists());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        }
        command.arg(program.expect("cargo xtask test installs pgbouncer")).arg(folder.path().join("pgbouncer.ini"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, folder, port, _kept: kept }
    }

    /// The path of a file of its folder.
    pub(crate) fn path(&self, file: &str) -> String {
        self.folder.path().join(file).display().to_string()
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// `ca.pem` with the server's `server.pem` and `server.key`, and `other.pem` that has signed nothing.
fn certificates(folder: &Path) {
    let authority = || {
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap()
    };
    let (ca, other, key) = (authority(), authority(), KeyPair::generate().unwrap());
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let files = [
        ("ca.pem", ca.pem()),
        ("other.pem", other.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}
