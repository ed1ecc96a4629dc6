//! What a server may do to whoever fetches a list from it.

use std::sync::Mutex;

use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a server does with a connection: sends this, and then closes or stays silent.
#[derive(Clone, Copy)]
enum Act {
    Answer(&'static str),
    Hang(&'static str),
}

use Act::{Answer, Hang};

/// A server that plays its acts one connection after the other, and what it was asked.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(acts: &[Act]) -> Self {
        Self::serve(acts, None).await
    }

    async fn serve(acts: &[Act], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (acts, heard) = (acts.to_vec(), asked.clone());
        tokio::spawn(async move {
            let mut open = Vec::new();
            for act in acts {
                let (stream, _) = listener.accept().await.unwrap();
                match &tls {
                    None => open.extend(play(stream, act, &heard).await),
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            play(stream, act, &heard).await;
                        }
                    }
                }
            }
            std::future::pending::<()>().await;
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Plays an act; a stream that stays open is given back.
async fn play<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, act: Act, heard: &Mutex<Vec<String>>) -> Option<S> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    heard.lock().unwrap().push(String::from_utf8(head).unwrap());
    match act {
        Answer(text) => {
            stream.write_all(text.as_bytes()).await.ok()?;
            stream.shutdown().await.ok()?;
            None
        }
        Hang(text) => {
            stream.write_all(text.as_bytes()).await.ok()?;
            Some(stream)
        }
    }
}

/// A client without much patience and with a small limit.
fn hasty() -> Http {
    let moment = Duration::from_millis(200);
    let patience = Patience { connect: moment, idle: moment, total: Duration::from_secs(10) };
    Http { patience, limit: 10, ..Http::without_roots() }
}

fn patient() -> Http {
    Http { limit: 10, ..Http::without_roots() }
}

async fn got(http: &Http, server: &Server) -> Result<Option<(Vec<u8>, Validators)>, HttpError> {
    http.get(&server.url("/a.crl"), &Validators::default()).await
}

#[tokio::test]
async fn a_list_is_asked_for_again_with_what_the_server_said_of_it() {
    let server = Server::start(&[
        Answer("HTTP/1.1 200 OK\r\nETag: \"7\"\r\nLast-Modified: Tue, 24 Nov 2026 00:00:00 GMT\r\nContent-Length: 4\r\n\r\nlist"),
        Answer("HTTP/1.1 304 Not Modified\r\n\r\n"),
    ])
    .await;
    let (bytes, validators) = got(&patient(), &server).await.unwrap().unwrap();
    assert_eq!(bytes, b"list");
    assert!(patient().get(&server.url("/a.crl?x=1"), &validators).await.unwrap().is_none());
    let asked = server.asked();
    assert!(asked[0].starts_with("GET /a.crl HTTP/1.1\r\n") && !asked[0].contains("if-"), "{}", asked[0]);
    assert!(asked[0].contains(&format!("host: {}\r\n", server.address)), "{}", asked[0]);
    assert!(asked[1].starts_with("GET /a.crl?x=1 ") && asked[1].contains("if-none-match: \"7\"\r\n"), "{}", asked[1]);
    assert!(asked[1].contains("if-modified-since: Tue, 24 Nov 2026 00:00:00 GMT\r\n"), "{}", asked[1]);
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_an_error_that_says_why() {
    for (act, reason) in [
        (Answer("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nsec"), "answered 500"),
        (Answer("HTTP/1.1 404 Not Found\r\n\r\n"), "answered 404"),
        (Answer("HTTP/1.1 204 No Content\r\n\r\n"), "answered 204"),
        (Answer("HTTP/1.1 304 Not Modified\r\n\r\n"), "answered 304"),
        (Answer("220 mail.example.com ESMTP\r\n"), "does not speak HTTP"),
        (Answer(""), "broke off"),
        (Answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "broke off"),
        (Hang(""), "no answer within 200 ms"),
        (Hang("HTTP/1.1 200 OK\r\n"), "no answer within 200 ms"),
        (Hang("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "no further bytes within 200 ms"),
    ] {
        let server = Server::start(&[act]).await;
        let error = got(&hasty(), &server).await.expect_err(reason).to_string();
        assert!(error.contains(reason) && !error.contains("sec"), "{error:?} instead of {reason:?}");
    }
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{refused}/").parse().unwrap();
    assert!(matches!(hasty().get(&url, &Validators::default()).await, Err(HttpError::Connect(..))));
}

#[tokio::test]
async fn an_answer_has_a_greatest_size_however_it_is_sent() {
    for (act, fits) in [
        (Answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"), true),
        (Answer("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789a"), false),
        (Answer("HTTP/1.1 200 OK\r\n\r\n0123456789"), true),
        (Answer("HTTP/1.1 200 OK\r\n\r\n0123456789a"), false),
        (Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"), true),
        (Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n"), false),
        // What is announced is not waited for.
        (Hang("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), false),
    ] {
        let server = Server::start(&[act]).await;
        let found = got(&patient(), &server).await;
        assert_eq!(found.is_ok(), fits, "{found:?}");
        assert!(fits || matches!(found, Err(HttpError::TooLarge(_))), "{found:?}");
    }
}

#[tokio::test]
async fn a_server_may_send_the_client_on_a_few_times() {
    const ON: Act = Answer("HTTP/1.1 302 Found\r\nLocation: /next.crl\r\n\r\n");
    const LIST: Act = Answer("HTTP/1.1 200 OK\r\n\r\nlist");
    let server = Server::start(&[ON, ON, ON, LIST]).await;
    assert_eq!(got(&patient(), &server).await.unwrap().unwrap().0, b"list");
    assert_eq!(server.asked().len(), REDIRECTS + 1);
    assert!(server.asked()[REDIRECTS].starts_with("GET /next.crl "));
    let server = Server::start(&[ON, ON, ON, ON, LIST]).await;
    let error = got(&patient(), &server).await.unwrap_err().to_string();
    assert!(error.contains("sent on too often"), "{error}");
}

#[test]
fn a_redirect_leaves_neither_tls_nor_http() {
    for (from, location, expected) in [
        ("http://a.example/x", "/y?z", Ok("http://a.example/y?z")),
        ("http://a.example/x", "http://b.example/y", Ok("http://b.example/y")),
        ("http://a.example/x", "https://b.example/y", Ok("https://b.example/y")),
        ("https://a.example:8443/x", "/y", Ok("https://a.example:8443/y")),
        ("https://a.example/x", "https://b.example/", Ok("https://b.example/")),
        ("https://a.example/x", "http://a.example/x", Err("it leaves TLS")),
        ("http://a.example/x", "file:///etc/passwd", Err("no URL")),
        ("http://a.example/x", "ftp://b.example/y", Err("it leaves HTTP")),
        ("http://a.example/x", "//b.example/y", Err("no URL")),
        ("http://a.example/x", "y", Err("it leaves HTTP")),
        ("http://a.example/x", "http://u:p@b.example/y", Err("no URL of a server")),
        ("http://a.example/x", "", Err("no URL")),
    ] {
        let headers = HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_static(location))]);
        let found = redirect(&from.parse().unwrap(), &headers).map(|to| to.to_string());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{location:?}: {error}"),
            (found, _) => panic!("{from} to {location:?}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn nothing_is_fetched_from_addresses_that_name_no_server() {
    for (address, allowed) in [
        ("10.0.0.1", true),
        ("127.0.0.1", true),
        ("203.0.113.7", true),
        ("fd00::1", true),
        ("2001:db8::1", true),
        ("169.254.169.254", false),
        ("::ffff:169.254.169.254", false),
        ("fe80::1", false),
        ("0.0.0.0", false),
        ("::", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("ff02::1", false),
    ] {
        assert_eq!(is_allowed(address.parse().unwrap()), allowed, "{address}");
    }
    for url in ["http://169.254.169.254/latest/meta-data/", "http://[::ffff:a9fe:a9fe]/", "http://0.0.0.0/"] {
        let found = hasty().get(&url.parse().unwrap(), &Validators::default()).await;
        assert!(matches!(found, Err(HttpError::Address(..))), "{url}: {found:?}");
    }
}

#[tokio::test]
async fn a_server_with_tls_must_have_a_certificate_that_the_client_believes() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let acts = [Answer("HTTP/1.1 200 OK\r\n\r\nlist"); 2];
    let server = Server::serve(&acts, Some(Arc::new(config).into())).await;
    let url = format!("https://{}/a.crl", server.address).parse().unwrap();
    let refused = patient().get(&url, &Validators::default()).await;
    assert!(matches!(refused, Err(HttpError::Tls(..))), "{refused:?}");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let believing = Http { limit: 10, ..Http::with_roots(roots) };
    assert_eq!(believing.get(&url, &Validators::default()).await.unwrap().unwrap().0, b"list");
}
