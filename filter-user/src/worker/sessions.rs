//! The connections of one worker that are closed when their certificate is revoked.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::oneshot;

use super::context::Context;
use super::session::Session;

/// Connections of hosts that want it, whose clients have shown a certificate.
#[derive(Default)]
pub(super) struct Sessions {
    open: RefCell<HashMap<u64, Entry>>,
    next: Cell<u64>,
}

struct Entry {
    session: Rc<Session>,
    /// Tells the connection to close. What is sent it drops when it has.
    close: oneshot::Sender<Closed>,
}

/// Dropped when a connection is closed.
#[derive(Debug)]
pub(super) struct Closed(#[expect(dead_code, reason = "its end is the message")] oneshot::Sender<()>);

/// A connection as its own task has it: it can be closed until this is dropped.
pub(super) struct Closable {
    closing: oneshot::Receiver<Closed>,
    sessions: Rc<Sessions>,
    id: u64,
}

impl Sessions {
    /// Notes a connection.
    pub(super) fn enter(self: &Rc<Self>, session: Rc<Session>) -> Closable {
        let (close, closing) = oneshot::channel();
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        self.open.borrow_mut().insert(id, Entry { session, close });
        Closable { closing, sessions: self.clone(), id }
    }

    /// Closes all whose certificate is revoked now; each of the receivers is done when one is closed. It asks the revocation set, not for
    /// certain certificates, so it is right whoever revoked how many.
    pub(super) fn close_revoked(&self, context: &Context) -> Vec<oneshot::Receiver<()>> {
        let in_force = context.in_force.borrow();
        let is_revoked = |_: &u64, entry: &mut Entry| {
            let identity = entry.session.bind(context, &in_force.snapshot).identity;
            identity.revoked(|key| context.revocations.contains(key))
        };
        let revoked: Vec<_> = self.open.borrow_mut().extract_if(is_revoked).collect();
        let close = |(_, entry): (u64, Entry)| {
            let (closed, done) = oneshot::channel();
            // One that ends by itself at this moment drops it too.
            let _ = entry.close.send(Closed(closed));
            done
        };
        revoked.into_iter().map(close).collect()
    }
}

impl Closable {
    /// Ready when the connection must be closed.
    pub(super) async fn closing(&mut self) -> Closed {
        match (&mut self.closing).await {
            Ok(closed) => closed,
            // The entry leaves the map with a message, or after this is dropped.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Closable {
    fn drop(&mut self) {
        self.sessions.open.borrow_mut().remove(&self.id);
    }
}
