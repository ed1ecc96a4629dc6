//! Behaviour of the configuration reader.

use std::fs;
use std::path::Path;

use super::{AccessLog, Admin, AdminTls, Config, Datapath, Events, MAX_ADMIN_NAMES};
use crate::telemetry::Rotation;

/// Writes a certificate and key for `names` as `NAME.crt` and `NAME.key`.
fn write_identity(directory: &Path, name: &str, names: &[&str]) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(directory.join(format!("{name}.crt")), made.cert.pem()).unwrap();
    fs::write(directory.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
}

/// Loads `source` beside certificates `api`, `www` and `wild`; the problems come without the name of the file.
fn load(source: &str) -> Result<Config, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    write_identity(directory.path(), "api", &["api.example.com"]);
    write_identity(directory.path(), "www", &["www.example.com"]);
    write_identity(directory.path(), "wild", &["*.example.com"]);
    let path = directory.path().join("mtls-filter.toml");
    fs::write(&path, source).unwrap();
    Config::load(&path).map_err(|problems| {
        let prefix = format!("{}:", path.display());
        problems.to_string().lines().map(|line| line.strip_prefix(&prefix).unwrap_or(line).to_owned()).collect()
    })
}

const API: &str = r#"
[[zone]]
name = "example.com"
[[zone.host]]
name = "api.example.com"
certificate = "api.crt"
private_key = "api.key"
upstream = "http://127.0.0.1:8080"
mtls = true
"#;

#[test]
fn a_small_file_gets_the_defaults() {
    let config = load(&format!("[edge]\nlisten = [\"127.0.0.1:443\"]\ninterface = \"eth0\"\n{API}")).unwrap();
    assert_eq!(config.edge.datapath, Datapath::Auto);
    assert_eq!(config.edge.workers, None);
    assert_eq!(config.log.access, AccessLog::Stdout);
    assert_eq!(config.control.socket, Path::new("/run/mtls-filter/control.sock"));
    assert_eq!(config.store.master_key, Path::new("/var/lib/mtls-filter/master.key"));
    let (zone, host) = config.hosts().next().unwrap();
    assert_eq!((zone.name.as_str(), host.name.as_str(), host.mtls), ("example.com", "api.example.com", true));
    assert_eq!(host.upstream.address, "127.0.0.1:8080".parse().unwrap());
}

#[test]
fn every_problem_is_reported_with_its_place() {
    let problems = load(
        r#"[edge]
listen = ["127.0.0.1", "127.0.0.1:443", "127.0.0.1:443"]
datapath = "fast"
worker = 2
[store]
directory = 7
[[zone]]
name = "example.com"
[[zone.host]]
name = "api.example.org"
certificate = "api.crt"
private_key = "missing.key"
upstream = "https://127.0.0.1:8080"
mtls = "yes"
[[zone.host]]
name = "www.example.com"
certificate = "www.crt"
private_key = "api.key"
upstream = "http://127.0.0.1:1"
"#,
    )
    .unwrap_err();
    let expected = [
        "2:11: `127.0.0.1` is no address with a port",
        "2:41: `127.0.0.1:443` stands twice",
        "3:12: `fast` is no datapath",
        "4:1: [edge] has no key `worker`; it has `listen`, `interface`, `datapath`, `syn_cookies`, `workers`",
        "6:13: `directory` must be a string, not an integer",
        "10:8: api.example.org is not in the zone example.com",
        "12:15: cannot read ",
        "13:12: `https://127.0.0.1:8080`: an upstream is written \"http://ADDRESS:PORT\"",
        "14:8: `mtls` must be true or false, not a string",
        "17:15: the certificate and the private key of www.example.com do not fit",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}\n  should start with\n{expected}");
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    for (source, expected) in [
        ("", &["1:1: [edge] has no `listen`", "1:1: [edge] has no `interface`", "1:1: the file has no `zone`"][..]),
        (
            "[edge]\nlisten = []\ndatapath = \"socket\"\n[[zone]]\n",
            &["2:10: `listen` must have 1 to 64", "4:1: [[zone]] has no `host`", "4:1: [[zone]] has no `name`"],
        ),
        (
            "[edge]\nlisten = [\"[::1]:0\"]\ninterface = \"a-name-of-16-byt\"\nzone = 1\n",
            &[
                "2:11: `[::1]:0`: port 0",
                "3:13: an interface name has 1 to 15",
                "4:1: [edge] has no key `zone`",
                "1:1: the file has no `zone`",
            ],
        ),
    ] {
        let problems = load(source).unwrap_err();
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for expected in expected {
            assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{expected} in {problems:#?}");
        }
    }
}

#[test]
fn events_are_kept_within_the_limits_that_are_set() {
    let events = |table: &str| {
        load(&format!("[edge]\nlisten = [\"127.0.0.1:443\"]\ndatapath = \"socket\"\n[events]\n{table}\n{API}"))
            .map(|config| config.events)
    };
    const MIB: u64 = 1024 * 1024;
    let kept = |memory: u64, path: &str, size: u64, files| Events {
        memory: usize::try_from(memory * MIB).unwrap(),
        file: Some(Rotation { path: path.into(), size: size * MIB, files }),
    };
    assert_eq!(events("").unwrap(), kept(32, "/var/lib/mtls-filter/events.jsonl", 16, 5));
    let all = "file = \"/x/e\"\nfile_size = 1024\nfiles = 100\nmemory = 1024";
    assert_eq!(events(all).unwrap(), kept(1024, "/x/e", 1024, 100));
    assert_eq!(events("file = \"off\"\nmemory = 1").unwrap(), Events { memory: 1 << 20, file: None });
    for (table, expected) in [
        ("memory = 0", "5:10: `memory` must be a whole number from 1 to 1024"),
        ("memory = 1025", "5:10: `memory` must be a whole number from 1 to 1024"),
        ("file_size = 0", "5:13: `file_size` must be a whole number from 1 to 1024"),
        ("file_size = 1025", "5:13: `file_size` must be a whole number from 1 to 1024"),
        ("files = 0", "5:9: `files` must be a whole number from 1 to 100"),
        ("files = 101", "5:9: `files` must be a whole number from 1 to 100"),
        ("file = \"\"", "5:8: `file` cannot be empty"),
        ("size = 1", "5:1: [events] has no key `size`; it has `file`, `file_size`, `files`, `memory`"),
    ] {
        let problems = events(table).unwrap_err();
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "{table}: {problems:#?}");
    }
}

#[test]
fn a_syntax_error_hides_guesses_about_the_rest() {
    let problems = load("[edge\nlisten = 3\n[[zone]]\nname = \n").unwrap_err();
    assert!(problems.iter().all(|problem| !problem.contains("has no")), "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.starts_with("1:")), "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.starts_with("4:")), "{problems:#?}");
}

#[test]
fn a_certificate_must_cover_its_host() {
    let host = |name: &str, identity: &str| {
        format!(
            "[edge]\nlisten = [\"[::1]:443\"]\ndatapath = \"socket\"\n[[zone]]\nname = \"example.com\"\n[[zone.host]]\nname = \"{name}\"\n\
             certificate = \"{identity}.crt\"\nprivate_key = \"{identity}.key\"\nupstream = \"http://[::1]:80\"\n"
        )
    };
    for (name, identity, covered) in [
        ("*.example.com", "wild", true),
        ("any.example.com", "wild", true),
        ("example.com", "wild", false),
        ("a.b.example.com", "wild", false),
        ("www.example.com", "api", false),
    ] {
        let found = load(&host(name, identity));
        assert_eq!(found.is_ok(), covered, "{name} by {identity}: {found:?}");
        if let Err(problems) = found {
            assert_eq!(problems.len(), 1);
            assert!(problems[0].starts_with("8:15: the certificate is not valid for"), "{problems:?}");
        }
    }
}

#[test]
fn a_database_of_places_is_read_and_checked() {
    let testdata = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let source = |location: &str| {
        format!(
            "[edge]\nlisten = [\"[::1]:443\"]\ninterface = \"eth0\"\n[geo]\nlocation = \"{testdata}/{location}\"\n{API}"
        )
    };
    assert!(load(&source("city.mmdb")).is_ok());
    for (file, expected) in [("asn.mmdb", "it must be City or Country"), ("none.mmdb", "cannot read the database")] {
        let problems = load(&source(file)).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("5:12: ") && problems[0].contains(expected), "{problems:?}");
    }
}

#[test]
fn a_missing_file_is_a_problem_of_its_own() {
    let problems = Config::load(Path::new("/nowhere/mtls-filter.toml")).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "/nowhere/mtls-filter.toml:1:1: cannot read the file: No such file or directory (os error 2)"
    );
}

/// What `[control]` with these lines is.
fn admin(lines: &str) -> Result<Option<Admin>, Vec<String>> {
    let edge = "[edge]\nlisten = [\"127.0.0.1:443\"]\ndatapath = \"socket\"\n";
    load(&format!("{edge}[control]\n{lines}\n{API}")).map(|config| config.control.admin)
}

#[test]
fn tokens_travel_in_plain_text_on_loopback_addresses_only() {
    let given = "certificate = \"api.crt\"\nprivate_key = \"api.key\"";
    for (lines, expected) in [
        (String::new(), Some(("127.0.0.1:8080", "plain"))),
        ("listen = \"off\"".to_owned(), None),
        ("listen = \"[::1]:9000\"".to_owned(), Some(("[::1]:9000", "plain"))),
        ("listen = \"192.0.2.1:9000\"\nself_signed = true".to_owned(), Some(("192.0.2.1:9000", "self-signed"))),
        (format!("listen = \"0.0.0.0:9000\"\n{given}"), Some(("0.0.0.0:9000", "given"))),
    ] {
        let admin = admin(&lines).unwrap();
        let seen = admin.as_ref().map(|admin| {
            let tls = match admin.tls {
                AdminTls::Plain => "plain",
                AdminTls::Given(_) => "given",
                AdminTls::SelfSigned => "self-signed",
            };
            (admin.listen.to_string(), tls)
        });
        assert_eq!(seen, expected.map(|(listen, tls)| (listen.to_owned(), tls)), "{lines}");
    }
    for (lines, message) in [
        ("listen = \"192.0.2.1:8080\"", "can be reached from elsewhere"),
        ("listen = \"0.0.0.0:8080\"", "can be reached from elsewhere"),
        ("listen = \"[::]:8080\"\nself_signed = false", "can be reached from elsewhere"),
        ("listen = \"somewhere\"", "is no address with a port"),
        ("certificate = \"api.crt\"", "go together"),
        ("certificate = \"api.crt\"\nprivate_key = \"www.key\"", "do not fit"),
        ("self_signed = true\ncertificate = \"api.crt\"\nprivate_key = \"api.key\"", "leave one of them out"),
        ("names = [\"not a name\"]", "not a name"),
        ("listener = \"off\"", "listener"),
    ] {
        let problems = admin(lines).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(message)), "{lines}: {problems:?}");
    }
}

#[test]
fn the_admin_listener_has_as_many_names_as_the_limit_and_not_one_more() {
    let names = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("\"n{n}.example.com\"")).collect();
        admin(&format!("names = [{}]", names.join(", ")))
    };
    assert_eq!(names(MAX_ADMIN_NAMES).unwrap().unwrap().names.len(), MAX_ADMIN_NAMES);
    assert!(names(MAX_ADMIN_NAMES + 1).unwrap_err().iter().any(|problem| problem.contains("no more than 32 names")));
}
