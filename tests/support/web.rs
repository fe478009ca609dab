//! A real git host on the web for one world: `git http-backend` behind nginx, with basic authentication and
//! a certificate of its own authority.
//!
//! nginx listens on a socket of the file system; each device has a [`Relay`] on a port of its own before it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{self, Server};
use crate::relay::{Relay, Target};
use crate::{Home, files};

/// The host's name in addresses. It resolves nowhere: each device's `url.*.insteadOf` leads to its relay.
pub const HOST: &str = "https://git.test/";

/// How many requests are served at once.
const CHILDREN: &str = "4";

/// What the host shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// What it should.
    Good,
    /// One that was good some years ago; `faketime` makes it.
    Expired,
    /// That of another host.
    OfAnotherHost,
    /// One by an authority that nobody knows.
    OfAnotherAuthority,
}

/// The host. It ends with this value.
#[derive(Debug)]
pub struct Web {
    dir: PathBuf,
    /// The servers: nginx, and what starts `git http-backend` for it.
    servers: Vec<Server>,
}

impl Web {
    /// Names what is missing for a host on this machine, if anything is.
    pub fn missing() -> Option<&'static str> {
        let programs = ["nginx", "fcgiwrap", "openssl"];
        let missing = programs.into_iter().find(|name| program::server(name).is_none());
        missing.or_else(|| (!backend().is_file()).then_some("git-http-backend"))
    }

    /// Starts a host for the repositories in `repositories`, with its own files in `dir`.
    ///
    /// # Panics
    /// When a program is not installed: ask [`Web::missing`] first.
    pub fn start(dir: &Path, repositories: &Path) -> Self {
        files::make_dir(&dir.join("home"));
        files::write(&dir.join("logins"), "");
        make_certificates(dir);
        let web = Self { dir: dir.to_owned(), servers: Vec::new() };
        files::write(&dir.join("nginx.conf"), web.settings(repositories, ""));
        let servers = vec![web.start_gateway(), web.start_nginx()];
        Self { servers, ..web }
    }

    /// Starts nginx anew; `parameters` are further lines about what `git http-backend` is told.
    pub fn restart(&mut self, repositories: &Path, parameters: &str) {
        self.servers.pop();
        files::remove_file(&self.socket());
        files::write(&self.dir.join("nginx.conf"), self.settings(repositories, parameters));
        let nginx = self.start_nginx();
        self.servers.push(nginx);
    }

    /// Shows another certificate from now on.
    pub fn show(&mut self, repositories: &Path, certificate: Certificate) {
        make_certificate(&self.dir, certificate);
        self.restart(repositories, "");
    }

    /// Gives the user of `home` a login, known to a credential helper, the host's authority, and the way
    /// to it. Returns the way, which counts.
    #[track_caller]
    pub fn admit(&self, home: &Home) -> Relay {
        let relay = Relay::start(Target::Socket(self.socket()));
        let port = relay.port();
        let (user, password) = (home.user(), self.password(home));
        files::append(&self.dir.join("logins"), format!("{user}:{{PLAIN}}{password}\n").as_bytes());
        let store = home.dir().join(".git-credentials");
        files::append(&store, format!("https://{user}:{password}@127.0.0.1:{port}\n").as_bytes());
        let set = |key: &str, value: &str| {
            home.git(&["config", "--global", key, value]).ok();
        };
        set("credential.helper", &format!("store --file '{}'", store.display()));
        set("http.sslCAInfo", &self.authority().display().to_string());
        set(&format!("url.https://127.0.0.1:{port}/.insteadOf"), HOST);
        relay
    }

    /// Returns the password of the user of `home`.
    pub fn password(&self, home: &Home) -> String {
        format!("password-of-{}", home.user())
    }

    /// Returns the certificate of the host's authority.
    pub fn authority(&self) -> PathBuf {
        self.dir.join("authority.pem")
    }

    /// Returns the address of a repository below the host's folder.
    pub fn url(&self, name: &str) -> String {
        format!("{HOST}{name}")
    }

    /// Returns the file of logins, one `user:{PLAIN}password` a line; a change holds from the next request on.
    pub fn logins(&self) -> PathBuf {
        self.dir.join("logins")
    }

    /// Returns what the host noted about each request: method, path, status, bytes.
    pub fn requests(&self) -> String {
        std::fs::read_to_string(self.dir.join("requests.log")).unwrap_or_default()
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("web.sock")
    }

    fn start_gateway(&self) -> Server {
        let socket = self.dir.join("cgi.sock");
        let program = program::server("fcgiwrap").expect("`fcgiwrap` is installed");
        let address = format!("unix:{}", socket.display());
        let arguments = ["-f", "-c", CHILDREN, "-s", &address].map(OsStr::new);
        let mut server = Server::start(&program, &arguments, &self.dir.join("gateway.log"));
        server.wait_until(|| socket.exists());
        server
    }

    fn start_nginx(&self) -> Server {
        let (config, log) = (self.dir.join("nginx.conf"), self.dir.join("nginx.log"));
        let program = program::server("nginx").expect("`nginx` is installed");
        let arguments = ["-e".as_ref(), log.as_os_str(), "-c".as_ref(), config.as_os_str()];
        let mut server = Server::start(&program, &arguments, &log);
        let socket = self.socket();
        server.wait_until(|| socket.exists());
        server
    }

    fn settings(&self, repositories: &Path, parameters: &str) -> String {
        let dir = self.dir.display();
        // nginx's own unprivileged user could not enter our folders.
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        format!(
            "daemon off;
{user}
worker_processes 1;
pid {dir}/nginx.pid;
events {{ worker_connections 256; }}
http {{
  log_format plain '$request_method $request_uri $status $request_length $bytes_sent';
  access_log {dir}/requests.log plain;
  client_body_temp_path {dir}/tmp-body;
  fastcgi_temp_path {dir}/tmp-fastcgi;
  proxy_temp_path {dir}/tmp-proxy;
  scgi_temp_path {dir}/tmp-scgi;
  uwsgi_temp_path {dir}/tmp-uwsgi;
  server {{
    listen unix:{dir}/web.sock ssl;
    ssl_certificate {dir}/server.pem;
    ssl_certificate_key {dir}/server.key;
    client_max_body_size 0;
    location / {{
      auth_basic git;
      auth_basic_user_file {dir}/logins;
      fastcgi_pass unix:{dir}/cgi.sock;
      fastcgi_param SCRIPT_FILENAME {backend};
      fastcgi_param GIT_PROJECT_ROOT {repositories};
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_CONFIG_NOSYSTEM 1;
      fastcgi_param HOME {dir}/home;
      fastcgi_param PATH_INFO $uri;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param REMOTE_USER $remote_user;
      fastcgi_param REMOTE_ADDR 127.0.0.1;
      {parameters}
    }}
  }}
}}
",
            backend = backend().display(),
            repositories = repositories.display(),
        )
    }
}

/// Returns where `git http-backend` lies.
fn backend() -> PathBuf {
    let mut git = program::command("git");
    let folder = program::run(git.arg("--exec-path"), b"", program::DEADLINE).ok().text();
    Path::new(&folder).join("git-http-backend")
}

/// Makes two authorities, one that devices are told of, and a certificate for this machine.
fn make_certificates(dir: &Path) {
    for name in ["authority", "stranger"] {
        let at = |end: &str| dir.join(format!("{name}.{end}")).display().to_string();
        let made = ["-keyout", &at("key"), "-out", &at("pem"), "-subj", "/CN=ConvoSync tests"];
        program::run(openssl(&mut program::command("openssl"), &made), b"", program::DEADLINE).ok();
    }
    make_certificate(dir, Certificate::Good);
}

fn make_certificate(dir: &Path, certificate: Certificate) {
    let at = |name: &str| dir.join(name).display().to_string();
    let authority =
        if certificate == Certificate::OfAnotherAuthority { "stranger" } else { "authority" };
    let names = match certificate {
        Certificate::OfAnotherHost => "subjectAltName=DNS:elsewhere.test",
        _ => "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:git.test",
    };
    let (pem, key) = (at(&format!("{authority}.pem")), at(&format!("{authority}.key")));
    let signed = ["-CA", &pem, "-CAkey", &key, "-subj", "/CN=git.test", "-addext", names];
    let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let (own, made) = (at("server.key"), at("server.pem"));
    let arguments = [&signed[..], &leaf, &["-keyout", &own, "-out", &made]].concat();
    let mut command = match certificate {
        Certificate::Expired => {
            let mut then = program::command("faketime");
            then.args(["2020-01-01", "openssl"]);
            then
        }
        _ => program::command("openssl"),
    };
    program::run(openssl(&mut command, &arguments), b"", program::DEADLINE).ok();
}

/// Adds to an `openssl` what makes a certificate that is good for two days, and `more`.
fn openssl<'a>(openssl: &'a mut Command, more: &[&str]) -> &'a mut Command {
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-days", "2"]).args(more)
}
