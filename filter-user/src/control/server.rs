//! Serves the API on the control socket.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio::net::UnixListener;

use super::{Control, api};

/// The control socket. Whoever may connect to it may do everything, so its mode is 0600.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

/// Why the control socket cannot be opened.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Another daemon answers on it.
    #[error("another daemon listens on {0}: stop it, or give this one another `control.socket`")]
    InUse(PathBuf),
    /// Something else than a socket is there.
    #[error("{0} is there and is no socket: remove it, or give the daemon another `control.socket`")]
    NotASocket(PathBuf),
    /// The kernel refused.
    #[error("cannot open the control socket {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
}

impl Server {
    /// Opens the socket. One that a killed daemon left behind is replaced; one that is in use is not touched.
    ///
    /// # Errors
    /// When the socket cannot be opened.
    pub fn bind(path: &Path) -> Result<Self, ServerError> {
        let failed = |error| ServerError::Io(path.to_owned(), error);
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => return Err(ServerError::NotASocket(path.to_owned())),
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                return Err(ServerError::InUse(path.to_owned()));
            }
            Ok(_) => fs::remove_file(path).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Answers until `stop` is ready.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(self, control: Arc<Control>, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let served =
            axum::serve(self.listener, api::router(control, api::Door::Socket)).with_graceful_shutdown(stop).await;
        // Another daemon may have opened its own here meanwhile only if this one was gone already.
        let _ = fs::remove_file(&self.path);
        served
    }
}
