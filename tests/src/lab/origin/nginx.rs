//! A real nginx as origin.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::super::config::{PROXY_ORIGINS, TLS_ORIGINS};
use super::super::namespace::Namespace;
use super::super::process::Process;
use super::super::programs;

/// Where an nginx that is not installed finds the libraries it was unpacked with.
const LIBRARIES_VARIABLE: &str = "MTLS_FILTER_LAB_LIBRARIES";

/// A running nginx; it ends when dropped.
#[derive(Debug)]
pub struct Nginx {
    directory: PathBuf,
    process: Process,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked, not killed: only then does it take its workers along.
        if let Err(error) = self.process.terminate() {
            eprintln!("clean-up: {error:#}");
        }
    }
}

impl Nginx {
    /// Serves `address` inside `namespace`, and the TLS origins with the certificate and key of `tls`, with its files below `directory`.
    ///
    /// # Errors
    /// If nginx is not installed or does not start.
    pub fn start(
        namespace: &Namespace,
        address: SocketAddr,
        directory: &Path,
        tls: Option<&(PathBuf, PathBuf)>,
    ) -> Result<Self> {
        let files = directory.join("nginx");
        let tls = tls.map(|(certificate, key)| tls_server(certificate, key, &files)).unwrap_or_default();
        Self::start_with(namespace, address, directory, &(origin(address, &files) + &tls))
    }

    /// The same with any `server` blocks; one of them must listen on `address`.
    ///
    /// # Errors
    /// If nginx is not installed or does not start.
    pub fn start_with(namespace: &Namespace, address: SocketAddr, directory: &Path, servers: &str) -> Result<Self> {
        let nginx = programs::find_nginx()?;
        let directory = directory.join("nginx");
        for folder in ["files", "temporary"] {
            fs::create_dir_all(directory.join(folder))?;
        }
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration(&directory, servers))?;
        let mut command = namespace.command(nginx)?;
        command.arg("-p").arg(&directory).arg("-c").arg(&file).arg("-e").arg(directory.join("error.log"));
        if let Some(libraries) = std::env::var_os(LIBRARIES_VARIABLE) {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        let mut process = Process::start("nginx", &mut command, &directory.join("error.log"))?;
        process.wait_until("listening", || {
            namespace.enter(|| Ok(TcpStream::connect_timeout(&address, Duration::from_secs(1))?)).is_ok()
        })?;
        Ok(Self { directory, process })
    }

    /// Has it read its files again.
    ///
    /// # Errors
    /// If it cannot be told.
    pub fn reload(&self) -> Result<()> {
        self.process.hang_up()
    }

    /// Bytes of memory that it and its workers have.
    ///
    /// # Errors
    /// If the system cannot say.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.process.resident_bytes()
    }

    /// One line for each request that nginx has taken for one: `METHOD target status`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn requests(&self) -> Result<Vec<String>> {
        let log = self.directory.join("access.log");
        let text = fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Where `/files/` is served from, and `PUT` there writes to.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.directory.join("files")
    }
}

fn configuration(directory: &Path, servers: &str) -> String {
    let directory = directory.display();
    format!(
        r"
daemon off;
worker_processes 1;
user root;
pid {directory}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
    log_format short '$request_method $request_uri $status';
    access_log {directory}/access.log short;
    client_body_temp_path {directory}/temporary/body;
    proxy_temp_path {directory}/temporary/proxy;
    fastcgi_temp_path {directory}/temporary/fastcgi;
    uwsgi_temp_path {directory}/temporary/uwsgi;
    scgi_temp_path {directory}/temporary/scgi;
    client_max_body_size 0;
    underscores_in_headers on;
    keepalive_requests 100000;
    {servers}
}}
"
    )
}

/// `$http_x` of nginx holds what came as `X`, and with `underscores_in_headers` as `x_`, so it shows a forged header in every
/// spelling that a CGI behind nginx would be taken in by.
fn origin(address: SocketAddr, directory: &Path) -> String {
    let directory = directory.display();
    format!(
        r#"
    server {{
        listen {address};
        location / {{
            default_type text/plain;
            return 200 "origin nginx/$nginx_version\nhost $host\nuri $request_uri\nclient_cert $http_client_cert\nray $http_x_ray_id\n";
        }}
        location /files/ {{
            root {directory};
            dav_methods PUT;
        }}
    }}
"#
    )
}

/// The server that terminates TLS itself. Whom it takes the client for is in `peer`, and what a PROXY protocol header said in `proxied`.
fn tls_server(certificate: &Path, key: &Path, directory: &Path) -> String {
    let listen = |addresses: &[SocketAddr], what: &str| {
        addresses.iter().map(|address| format!("        listen {address} {what};\n")).collect::<String>()
    };
    let (plain, proxied) = (listen(&TLS_ORIGINS, "ssl backlog=4096"), listen(&PROXY_ORIGINS, "ssl proxy_protocol"));
    let [certificate, key, directory] = [certificate, key, directory].map(Path::display);
    format!(
        r#"
    server {{
{plain}{proxied}
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        lingering_close off;
        location / {{
            default_type text/plain;
            return 200 "tls origin\nhost $host\nuri $request_uri\npeer $remote_addr\nproxied $proxy_protocol_addr:$proxy_protocol_port\n";
        }}
        location /files/ {{
            root {directory};
            dav_methods PUT;
        }}
    }}"#
    )
}
