//! The peers that benches compare with: HAProxy, and nginx's module for streams.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{apt, lab};
use crate::run::cache_dir;

/// Where the system's packages put nginx's modules.
const MODULES: &str = "usr/lib/nginx/modules/ngx_stream_module.so";

/// Where the peers are; nginx itself is a program of the lab.
#[derive(Debug)]
pub(crate) struct Peers {
    /// nginx's module for streams.
    pub(crate) stream_module: PathBuf,
    /// HAProxy.
    pub(crate) haproxy: PathBuf,
    /// Shared libraries that came with HAProxy when it was unpacked.
    pub(crate) libraries: Option<PathBuf>,
}

/// Finds the peers, unpacking those that are missing: installing them would start servers on the developer's host.
pub(crate) fn ensure() -> Result<Peers> {
    let (haproxy, libraries) = lab::unpacked("haproxy")?;
    let system = Path::new("/").join(MODULES);
    if system.is_file() {
        return Ok(Peers { stream_module: system, haproxy, libraries });
    }
    let root = cache_dir()?.join("programs/nginx-stream");
    let stream_module = root.join(MODULES);
    if !stream_module.is_file() {
        apt::unpack(&["libnginx-mod-stream"], &root)?;
    }
    Ok(Peers { stream_module, haproxy, libraries })
}
