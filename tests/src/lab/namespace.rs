//! A network namespace, removed with everything in it when it is dropped.

use std::ffi::OsStr;
use std::fs::File;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};

use super::programs::{self, ip};
use super::registry::{self, Resource};

/// A network namespace of the lab.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    role: &'static str,
}

impl Namespace {
    /// Makes the namespace `<lab>-<role>` with its loopback up.
    ///
    /// # Errors
    /// Without root, or if the kernel refuses.
    pub fn create(lab: &str, role: &'static str) -> Result<Self> {
        let name = format!("{lab}-{role}");
        registry::register(Resource::Namespace(name.clone()), || ip(&["netns", "add", &name]).map(drop))?;
        let namespace = Self { name, role };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its part in the lab: `client`, `edge` or `origin`.
    #[must_use]
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// Runs `ip` inside.
    ///
    /// # Errors
    /// If `ip` fails.
    pub fn ip(&self, arguments: &[&str]) -> Result<String> {
        ip(&[&["-n", &self.name], arguments].concat())
    }

    /// A command that will run inside. `ip netns exec` becomes the program, so the process id is the program's own.
    ///
    /// # Errors
    /// If `ip` is not installed.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new(programs::find("ip")?);
        command.args(["netns", "exec", &self.name]).arg(program);
        Ok(command)
    }

    /// Calls `body` on a thread inside the namespace. Sockets that it opens, and threads that it starts, stay inside.
    ///
    /// # Errors
    /// If the namespace cannot be entered, and whatever `body` returns.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = self.path();
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                enter(&path)?;
                body()
            });
            inside.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
        })
    }

    /// Starts a thread of its own inside the namespace.
    pub fn spawn<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> thread::JoinHandle<Result<T>> {
        let path = self.path();
        thread::spawn(move || {
            enter(&path)?;
            body()
        })
    }

    fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = registry::remove(&Resource::Namespace(self.name.clone())) {
            eprintln!("clean-up: {error:#}");
        }
    }
}

fn enter(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter {}", path.display()))
}
