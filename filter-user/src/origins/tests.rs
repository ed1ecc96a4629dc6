//! Behaviour of the checks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::check::History;
use super::{Origins, check};
use crate::config::Check;
use crate::fixtures::{config, passed};

const CHECK: Check = Check { interval: Duration::from_millis(10), timeout: Duration::from_secs(1), fall: 3, rise: 2 };

#[test]
fn an_origin_changes_after_as_many_checks_in_a_row_as_the_file_says() {
    let mut history = History { up: true, streak: 0 };
    for (succeeded, expected) in [
        (false, None),
        (false, None),
        (true, None),
        (false, None),
        (false, None),
        (false, Some(false)),
        (false, None),
        (true, None),
        (false, None),
        (true, None),
        (true, Some(true)),
        (true, None),
    ] {
        assert_eq!(history.note(succeeded, CHECK), expected, "{history:?}");
    }
}

#[tokio::test]
async fn an_origin_that_stops_listening_is_taken_out_and_brought_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let other: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let origins = Origins::of(&config(vec![passed("a.example.com", &[address])]));
    assert!(origins.is_up(address) && origins.is_up(other), "until a check says otherwise");
    let changed = Arc::new(Notify::new());
    let checks = tokio::spawn(check(origins.clone(), CHECK, changed.clone()));
    let patience = Duration::from_secs(20);
    drop(listener);
    timeout(patience, changed.notified()).await.expect("the change is told");
    assert!(!origins.is_up(address));
    let (_, origin) = origins.iter().next().unwrap();
    assert!(origin.failures() >= 3 && origin.last_failure().unwrap().contains("refused"), "{origin:?}");
    let _listener = TcpListener::bind(address).await.unwrap();
    timeout(patience, changed.notified()).await.expect("the change is told");
    assert!(origins.is_up(address));
    checks.abort();
}
