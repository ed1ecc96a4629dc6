//! Behaviour of the configuration reader.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{
    AccessLog, Admin, AdminTls, Check, Config, Datapath, Events, MAX_ADMIN_NAMES, MAX_ALL_ORIGINS, MAX_ORIGINS,
    OnRevoke, PassthroughSettings,
};
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
    assert_eq!(host.termination.as_ref().unwrap().upstream.address, "127.0.0.1:8080".parse().unwrap());
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
        "4:1: [edge] has no key `worker`; it has `listen`, `interface`, `datapath`, `syn_cookies`, `pin`, `workers`, `penalty`",
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
fn a_host_does_on_a_revocation_what_it_says_or_what_its_zone_says() {
    let on_revoke = |zone: &str, host: &str| {
        let zone_and_host = API.replacen("name = \"example.com\"", &format!("name = \"example.com\"{zone}"), 1);
        let config =
            load(&format!("[edge]\nlisten = [\"127.0.0.1:443\"]\ndatapath = \"socket\"\n{zone_and_host}{host}\n"));
        config.map(|config| config.hosts().next().unwrap().1.termination.as_ref().unwrap().on_revoke)
    };
    let (block, close) = ("\non_revoke = \"block\"", "\non_revoke = \"close\"");
    for (zone, host, expected) in [
        ("", "", OnRevoke::Block),
        ("", close, OnRevoke::Close),
        (close, "", OnRevoke::Close),
        (close, block, OnRevoke::Block),
    ] {
        assert_eq!(on_revoke(zone, host).unwrap(), expected, "{zone}{host}");
    }
    let problems = on_revoke("\non_revoke = \"reset\"", "").unwrap_err();
    assert!(problems[0].contains("`reset` is nothing that a revocation does"), "{problems:?}");
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

/// A file with these hosts in `example.com`; the first host begins in line 6.
fn hosts(hosts: &str) -> String {
    format!("[edge]\nlisten = [\"[::1]:443\"]\ndatapath = \"socket\"\n[[zone]]\nname = \"example.com\"\n{hosts}")
}

const PASSED: &str =
    "[[zone.host]]\nname = \"www.example.com\"\npassthrough = [\"192.0.2.1:443\", \"[2001:db8::1]:443\"]\n";
const TERMINATED: &str = "[[zone.host]]\nname = \"api.example.com\"\ncertificate = \"api.crt\"\nprivate_key = \"api.key\"\nupstream = \"http://192.0.2.1:80\"\n";

#[test]
fn a_host_is_terminated_or_passed_through_or_both() {
    let www = "certificate = \"www.crt\"\nprivate_key = \"www.key\"\nupstream = \"http://192.0.2.9:80\"\nmtls = true\n";
    for (source, terminated, passed) in [
        (hosts(PASSED), false, true),
        (hosts(TERMINATED), true, false),
        (hosts(&format!("{PASSED}{www}proxy_protocol = true\n")), true, true),
    ] {
        let config = load(&source).unwrap();
        let (_, host) = config.hosts().next().unwrap();
        assert_eq!((host.termination.is_some(), host.passthrough.is_some()), (terminated, passed), "{source}");
        if let Some(passthrough) = &host.passthrough {
            assert_eq!(passthrough.origins[..], ["192.0.2.1:443", "[2001:db8::1]:443"].map(|at| at.parse().unwrap()));
            assert_eq!(passthrough.proxy_protocol, terminated);
        }
    }
}

#[test]
fn what_cannot_be_of_a_host_that_is_passed_through_is_refused() {
    let host = |rest: &str| hosts(&format!("[[zone.host]]\nname = \"www.example.com\"\n{rest}"));
    let many: Vec<_> = (1..=17).map(|n| format!("\"192.0.2.{n}:443\"")).collect();
    for (rest, expected) in [
        ("passthrough = []", "8:15: `passthrough` must have 1 to 16 addresses"),
        (&format!("passthrough = [{}]", many.join(", ")), "8:15: `passthrough` must have 1 to 16 addresses"),
        ("passthrough = [\"www.example.com:443\"]", "8:16: `www.example.com:443` is no address with a port"),
        ("passthrough = [\"192.0.2.1:0\"]", "8:16: `192.0.2.1:0`: port 0"),
        ("passthrough = [\"0.0.0.0:443\"]", "8:16: `0.0.0.0:443` is no address of a server"),
        ("passthrough = [\"[ff02::1]:443\"]", "8:16: `[ff02::1]:443` is no address of a server"),
        ("passthrough = [\"[::ffff:192.0.2.1]:443\"]", "8:16: `[::ffff:192.0.2.1]:443` is an IPv4 address"),
        ("passthrough = [\"192.0.2.1:1\", \"192.0.2.1:1\"]", "8:31: `192.0.2.1:1` stands twice"),
        ("passthrough = [\"[::1]:443\"]", "8:16: [::1]:443 is an address that this filter listens on itself"),
        ("passthrough = [\"192.0.2.1:1\"]\nmtls = true", "9:1: `mtls` cannot stand in this [[zone.host]]"),
        (
            "passthrough = [\"192.0.2.1:1\"]\nforward_client_cert = true",
            "9:1: `forward_client_cert` cannot stand in this [[zone.host]]",
        ),
    ] {
        let problems = load(&host(rest)).unwrap_err();
        assert_eq!(problems.len(), 1, "{rest}: {problems:#?}");
        assert!(problems[0].starts_with(expected), "{problems:?}\n  should start with\n{expected}");
    }
    let listed: Vec<_> = many.iter().take(16).cloned().collect();
    assert!(load(&host(&format!("passthrough = [{}]", listed.join(", ")))).is_ok(), "as many as there may be");
    let terminated =
        load(&hosts(&format!("{TERMINATED}proxy_protocol = true\nallow_shared_origin = true"))).unwrap_err();
    assert!(terminated[0].starts_with("11:1: `proxy_protocol` cannot stand in this [[zone.host]]"), "{terminated:?}");
    assert!(terminated[1].starts_with("12:1: `allow_shared_origin` cannot"), "{terminated:?}");
    let half = load(&host("passthrough = [\"192.0.2.1:1\"]\nupstream = \"http://192.0.2.9:80\"")).unwrap_err();
    assert!(half.iter().any(|problem| problem.contains("has no `certificate`")), "{half:?}");
}

#[test]
fn an_origin_that_also_serves_a_protected_host_is_refused_unless_it_is_allowed() {
    let refused = "8:16: 192.0.2.1 also serves api.example.com: a client could ask for it inside a connection for www.example.com";
    let (other_upstream, other_port) =
        (TERMINATED.replace("192.0.2.1", "192.0.2.8"), PASSED.replace("1:443\", ", "1:8443\", "));
    let both = format!("{other_upstream}passthrough = [\"192.0.2.1:443\"]\nallow_shared_origin = true\n");
    let passed_only = PASSED.replace("www.", "img.");
    for (source, expected) in [
        (hosts(&format!("{PASSED}{TERMINATED}")), Some(refused)),
        (hosts(&format!("{other_port}{TERMINATED}")), Some(refused)),
        (hosts(&format!("{PASSED}{both}")), Some(refused)),
        (hosts(&format!("{PASSED}{}", TERMINATED.replace("192.0.2.1", "[::ffff:192.0.2.1]"))), Some(refused)),
        (hosts(&format!("{PASSED}{other_upstream}")), None),
        (hosts(&format!("{PASSED}{passed_only}")), None),
    ] {
        match (load(&source), expected) {
            (Err(problems), Some(expected)) => {
                assert_eq!(problems.len(), 1, "{problems:#?}");
                assert!(problems[0].starts_with(expected), "{problems:?}\n  should start with\n{expected}");
            }
            (found, expected) => assert!(found.is_ok() && expected.is_none(), "{source}\n{found:?}"),
        }
    }
    let config = load(&hosts(&format!("{PASSED}allow_shared_origin = true\n{TERMINATED}"))).unwrap();
    let (_, www) = config.hosts().next().unwrap();
    let shared = www.passthrough.as_ref().unwrap().shared.as_ref().unwrap();
    assert_eq!(shared.to_string(), "api.example.com");
}

#[test]
fn there_are_as_many_origins_as_the_limit_and_not_one_more() {
    let source = |origins: usize| {
        let listed: Vec<_> = (0..origins).map(|n| format!("\"10.0.{}.{}:443\"", n / 256, n % 256)).collect();
        let host = |(n, some): (usize, &[String])| {
            let some = some.join(", ");
            format!("[[zone.host]]\nname = \"h{n}.example.com\"\npassthrough = [{some}]\n")
        };
        hosts(&listed.chunks(MAX_ORIGINS).enumerate().map(host).collect::<String>())
    };
    assert_eq!(load(&source(MAX_ALL_ORIGINS)).unwrap().hosts().count(), MAX_ALL_ORIGINS / MAX_ORIGINS);
    let problems = load(&source(MAX_ALL_ORIGINS + 1)).unwrap_err();
    assert!(problems.len() == 1 && problems[0].ends_with("more than 4096 different origins"), "{problems:#?}");
}

#[test]
fn the_settings_of_passing_through_have_defaults_and_bounds() {
    let source = |settings: &str| hosts(&format!("{PASSED}[passthrough]\n{settings}"));
    let read = |settings: &str| load(&source(settings)).map(|config| config.passthrough);
    assert_eq!(read("").unwrap(), PassthroughSettings::default());
    assert_eq!(read("check = false").unwrap().check, None);
    let read_all = read(
        "idle_timeout = \"100ms\"\ncheck_interval = \"1day\"\ncheck_timeout = \"1s 500ms\"\ncheck_fall = 1\ncheck_rise = 100",
    );
    let check =
        Check { interval: Duration::from_secs(86_400), timeout: Duration::from_millis(1500), fall: 1, rise: 100 };
    assert_eq!(read_all.unwrap(), PassthroughSettings { idle_timeout: Duration::from_millis(100), check: Some(check) });
    for (settings, expected) in [
        ("idle_timeout = \"99ms\"", "10:16: `idle_timeout` must be from 100ms to 1day"),
        ("idle_timeout = \"25h\"", "10:16: `idle_timeout` must be from 100ms to 1day"),
        ("idle_timeout = \"soon\"", "10:16: `soon` is no duration like \"500ms\""),
        ("idle_timeout = 3", "10:16: `idle_timeout` must be a string"),
        ("check_fall = 0", "10:14: `check_fall` must be a whole number from 1 to 100"),
        ("check_rise = 101", "10:14: `check_rise` must be a whole number from 1 to 100"),
        ("check = false\ncheck_rise = 1", "11:1: `check_rise` cannot stand in this [passthrough]"),
    ] {
        let problems = read(settings).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(expected), "{problems:?}\n  should start with\n{expected}");
    }
}

#[test]
fn a_penalty_box_is_there_if_the_file_has_one() {
    let source = |penalty: &str| {
        format!(
            "[edge]\nlisten = [\"[::1]:443\"]\ndatapath = \"socket\"\n{penalty}\n[[zone]]\nname = \"example.com\"\n{PASSED}"
        )
    };
    let read = |penalty: &str| load(&source(penalty)).map(|config| config.edge.penalty);
    assert_eq!(read("").unwrap(), None);
    let small = read("[edge.penalty]\nblocked = 10").unwrap().unwrap();
    assert_eq!((small.blocked, small.within.as_secs(), small.drop_for.as_secs()), (10, 60, 600));
    let written =
        "[edge.penalty]\nblocked = 100\nwithin = \"1s\"\ndrop_for = \"1day\"\nallow = [\"192.0.2.0/24\", \"::1\"]";
    let full = read(written).unwrap().unwrap();
    assert_eq!((full.blocked, full.within.as_secs(), full.drop_for.as_secs()), (100, 1, 86_400));
    assert_eq!(full.allow.len(), 2);
    for (penalty, expected) in [
        ("[edge.penalty]", "4:1: [penalty] has no `blocked`"),
        ("[edge.penalty]\nblocked = 0", "5:11: `blocked` must be a whole number from 1 to 100"),
        ("[edge.penalty]\nblocked = 101", "5:11: `blocked` must be a whole number from 1 to 100"),
        ("[edge.penalty]\nblocked = 1\nwithin = \"999ms\"", "6:10: `within` must be from 1s to 1day"),
        ("[edge.penalty]\nblocked = 1\ndrop_for = \"2days\"", "6:12: `drop_for` must be from 1s to 1day"),
        ("[edge.penalty]\nblocked = 1\nallow = [\"192.0.2.1/24\"]", "6:10: `192.0.2.1/24` is no network"),
        ("[edge.penalty]\nblocked = 1\nfor = 1", "6:1: [penalty] has no key `for`"),
    ] {
        let problems = read(penalty).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(expected), "{problems:?}\n  should start with\n{expected}");
    }
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
