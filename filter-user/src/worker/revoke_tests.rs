//! What a revocation does to open connections.

use super::*;
use crate::config::OnRevoke;

/// A worker whose host closes connections of revoked certificates, or does not.
async fn fixture(on_revoke: OnRevoke) -> Fixture {
    Fixture::with(&[MTLS_RULE], |host| host.termination.as_mut().unwrap().on_revoke = on_revoke).await
}

impl Fixture {
    /// As the control plane does it.
    async fn revoke(&self, identity: &Identity) {
        self.revocations.insert(identity.record.revocation_key);
        self.worker.close_revoked().await.unwrap();
    }
}

/// A download that is under way, and does not end by itself.
struct Download {
    body: Incoming,
    _client: Client,
}

impl Download {
    async fn start(fixture: &Fixture, identity: &Identity) -> Self {
        let mut client = fixture.connect(HOST, Some(identity)).await.unwrap();
        let request = Request::get(ENDLESS).header("host", HOST).body(Empty::new()).unwrap();
        let response = client.0.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut download = Self { body: response.into_body(), _client: client };
        assert!(download.next().await.unwrap().is_ok());
        download
    }

    async fn next(&mut self) -> Option<hyper::Result<Frame<Bytes>>> {
        self.body.frame().await
    }

    /// Reads what has come, and says how it ends.
    async fn end(mut self) -> Option<hyper::Error> {
        loop {
            match self.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Some(error),
                None => return None,
            }
        }
    }
}

#[tokio::test]
async fn it_closes_idle_and_streaming_connections_of_the_certificate_and_no_others() {
    let fixture = fixture(OnRevoke::Close).await;
    let (alice, bob) = (fixture.identity(), fixture.identity());
    let mut idle = fixture.connect(HOST, Some(&alice)).await.unwrap();
    assert_eq!(idle.get(HOST).await.0, StatusCode::OK);
    let unused = fixture.connect(HOST, Some(&alice)).await.unwrap();
    let download = Download::start(&fixture, &alice).await;
    let mut others_idle = fixture.connect(HOST, Some(&bob)).await.unwrap();
    assert_eq!(others_idle.get(HOST).await.0, StatusCode::OK);
    let mut others_download = Download::start(&fixture, &bob).await;
    let mut nobodys = fixture.connect(HOST, None).await.unwrap();
    assert_eq!(nobodys.get(HOST).await.0, StatusCode::FORBIDDEN);
    assert_eq!(fixture.worker.counters().open(), 6);

    fixture.revoke(&alice).await;
    assert_eq!(fixture.worker.counters().open(), 3, "they are closed when it returns");
    assert_eq!(fixture.worker.counters().of(Reason::CertificateRevoked), 3);
    assert!(download.end().await.is_some(), "half a download is not taken for a whole one");
    for mut closed in [idle, unused] {
        let ready = closed.0.ready().await;
        let request = Request::get("/").header("host", HOST).body(Empty::new()).unwrap();
        assert!(ready.is_err() || closed.0.send_request(request).await.is_err());
    }
    for _ in 0..100 {
        assert!(others_download.next().await.unwrap().is_ok());
    }
    assert_eq!(others_idle.get(HOST).await.0, StatusCode::OK);
    assert_eq!(nobodys.get(HOST).await.0, StatusCode::FORBIDDEN);
    let status = fixture.connect(HOST, Some(&alice)).await.unwrap().get(HOST).await.0;
    assert_eq!(status, StatusCode::FORBIDDEN, "a new connection is let in, and its requests are judged");
}

#[tokio::test]
async fn a_certificate_that_is_good_again_keeps_its_connections() {
    let fixture = fixture(OnRevoke::Close).await;
    let (alice, bob) = (fixture.identity(), fixture.identity());
    fixture.revoke(&alice).await;
    fixture.revocations.remove(&alice.record.revocation_key);
    let mut client = fixture.connect(HOST, Some(&alice)).await.unwrap();
    assert_eq!(client.get(HOST).await.0, StatusCode::OK);
    fixture.revoke(&bob).await;
    assert_eq!(client.get(HOST).await.0, StatusCode::OK);
    assert_eq!(fixture.worker.counters().of(Reason::CertificateRevoked), 0);
}

#[tokio::test]
async fn elsewhere_a_download_goes_on_and_the_next_request_is_blocked() {
    let fixture = fixture(OnRevoke::Block).await;
    let alice = fixture.identity();
    let mut client = fixture.connect(HOST, Some(&alice)).await.unwrap();
    assert_eq!(client.get(HOST).await.0, StatusCode::OK);
    let mut download = Download::start(&fixture, &alice).await;
    fixture.revoke(&alice).await;
    for _ in 0..100 {
        assert!(download.next().await.unwrap().is_ok());
    }
    assert_eq!(client.get(HOST).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_connection_that_ends_by_itself_is_forgotten() {
    let fixture = fixture(OnRevoke::Close).await;
    let alice = fixture.identity();
    drop(fixture.connect(HOST, Some(&alice)).await.unwrap());
    while fixture.worker.counters().open() > 0 {
        fixture.worker.fence().await.unwrap();
    }
    fixture.revoke(&alice).await;
    assert_eq!(fixture.worker.counters().of(Reason::CertificateRevoked), 0);
}
