//! A real nginx that gives out a file, and that can be told to do it badly.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::super::namespace::Namespace;
use super::nginx::Nginx;

/// What the server does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It gives out the file, and says 304 to whoever has it.
    Good,
    /// It answers 500.
    Broken,
    /// It takes the request and says nothing.
    Silent,
}

/// A server of one file.
#[derive(Debug)]
pub struct ListServer {
    address: SocketAddr,
    directory: PathBuf,
    nginx: Nginx,
    /// Where requests go that are not answered: nobody accepts from it.
    _silence: TcpListener,
}

impl ListServer {
    /// Serves `address` inside `namespace`.
    ///
    /// # Errors
    /// If nginx is not installed or does not start.
    pub fn start(namespace: &Namespace, address: SocketAddr, directory: &Path) -> Result<Self> {
        let directory = directory.join("list-server");
        fs::create_dir_all(&directory)?;
        let silence =
            namespace.enter(|| TcpListener::bind("127.0.0.1:0").context("a listener that nobody answers on"))?;
        let server = server(address, &directory, silence.local_addr()?);
        let nginx = Nginx::start_with(namespace, address, &directory, &server)?;
        Ok(Self { address, directory, nginx, _silence: silence })
    }

    /// Where the file is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/list.crl", self.address)
    }

    /// Puts a file there, in one step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, content: &[u8]) -> Result<()> {
        replace(&self.directory.join("list.crl"), content)
    }

    /// Has the server answer like this from now on.
    ///
    /// # Errors
    /// If it cannot be told.
    pub fn behave(&self, manner: Manner) -> Result<()> {
        for (file, wanted) in [("broken", Manner::Broken), ("silent", Manner::Silent)] {
            let path = self.directory.join(file);
            if manner == wanted {
                fs::write(path, "")?;
            } else if path.exists() {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The statuses it answered with so far.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub fn statuses(&self) -> Result<Vec<String>> {
        let lines = self.nginx.requests()?;
        Ok(lines.iter().filter_map(|line| line.rsplit(' ').next().map(str::to_owned)).collect())
    }
}

/// Replaces a file in one step, as whoever cares for his readers does.
///
/// # Errors
/// If it cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    fs::rename(&new, path).with_context(|| format!("cannot replace {}", path.display()))
}

fn server(address: SocketAddr, directory: &Path, silence: SocketAddr) -> String {
    let directory = directory.display();
    format!(
        r"
    server {{
        listen {address};
        location = /list.crl {{
            root {directory};
            if (-f {directory}/broken) {{ return 500; }}
            if (-f {directory}/silent) {{ rewrite ^ /silence last; }}
        }}
        location = /silence {{
            proxy_pass http://{silence};
            proxy_read_timeout 600s;
        }}
    }}
"
    )
}
