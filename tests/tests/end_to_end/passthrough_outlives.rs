//! What XDP splices goes on without the filter, and with the next one.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use filter_tests::lab::{API, Connection, Datapath, EDGE_IPV6, Host, Lab, Outcome, Setup, TLS_ORIGINS, WWW, run};

use crate::waiting::{wait_for, wait_until_spliced};

/// A lab whose hosts are passed through, the first of them until a rule protects it, and third one that never is.
fn lab(setup: Setup) -> Result<Lab> {
    let hosts = [Host::mtls(API).also_passed(&TLS_ORIGINS), Host::passed(WWW, &TLS_ORIGINS), Host::plain(TERMINATED)];
    let lab = setup.hosts(hosts).start()?;
    wait_until_spliced(&lab)?;
    Ok(lab)
}

const TERMINATED: &str = "old.example.com";
/// Size of the body of a download that takes a while.
const LARGE: usize = 40 * 1024 * 1024;

/// The open connections of a host, in XDP.
fn spliced(lab: &Lab, host: &str) -> Result<usize> {
    let flows = lab.filter.flows()?;
    Ok(flows.iter().filter(|flow| flow["host"] == host && flow["via"] == "xdp").count())
}

/// An open connection that has been answered on. openssl's ClientHello fits into one segment, so that its connections are spliced for sure.
fn open(lab: &Lab, host: &str) -> Result<Connection> {
    let mut connection = lab.openssl(host).open()?;
    assert_eq!(connection.get("/")?.status, 200);
    Ok(connection)
}

/// Begins a download, ends the filter in the middle of it by `end`, and plays what happens without one and with the next.
fn outlives(setup: Setup, end: fn(&mut Lab) -> Result<()>) -> Result<()> {
    let mut lab = lab(setup)?;
    let content: Vec<u8> = (0..LARGE).map(|offset| (offset % 251) as u8).collect();
    fs::write(lab.nginx()?.files().join("large"), &content)?;
    let mut kept = open(&lab, API)?;
    let mut other = open(&lab, WWW)?;
    assert_eq!((spliced(&lab, API)?, spliced(&lab, WWW)?), (1, 1), "{:?}", lab.filter.status()?.xdp_counters());
    let download = lab.curl(WWW).path("/files/large").option("--limit-rate").option("8M").begin()?;
    wait_for("the download is on its way", || Ok(download.received()? > 1_000_000))?;

    end(&mut lab)?;
    let at_the_end = download.received()?;
    assert!(at_the_end < LARGE as u64, "the filter was ended too late to tell");
    wait_for("it goes on without a filter", || Ok(download.received()? > at_the_end + 2_000_000))?;
    // However long the next filter takes to start: the download is not over before.
    download.pause()?;
    for host in [API, WWW] {
        assert_eq!(lab.curl(host).run()?.status()?, 200, "a new connection for {host}");
        assert_eq!(lab.curl(host).address(EDGE_IPV6).run()?.status()?, 200, "and by IPv6");
    }
    assert!(lab.curl(TERMINATED).run()?.response.is_none(), "what needs a worker is refused");

    lab.filter.start_again(&lab.network.edge)?;
    assert!(lab.filter.log().contains("went on with what an earlier process spliced"), "{}", lab.filter.log());
    assert!(spliced(&lab, WWW)? >= 2, "{:#?}", lab.filter.flows()?);
    assert_eq!(lab.curl(TERMINATED).run()?.status()?, 200);
    assert_eq!(other.get("/")?.status, 200);
    assert_eq!(kept.get("/")?.status, 200);
    lab.filter.protect(API)?;
    assert!(kept.get("/").is_err(), "a rule reaches connections that are older than the filter");
    assert_eq!(lab.curl(API).run()?.outcome, Outcome::Status(403));
    download.resume()?;
    let answer = download.finish()?;
    assert_eq!(answer.status()?, 200);
    assert!(fs::read(&answer.body_file)? == content, "what came is the origin's");
    Ok(())
}

#[test]
fn a_download_goes_on_when_the_filter_is_killed_and_started_again() -> Result<()> {
    run(Datapath::Native, |setup| outlives(setup, |lab| lab.filter.kill()))
}

#[test]
fn a_download_goes_on_in_generic_mode_too() -> Result<()> {
    run(Datapath::Generic, |setup| outlives(setup, |lab| lab.filter.kill()))
}

#[test]
fn a_download_goes_on_when_the_filter_is_asked_to_end() -> Result<()> {
    run(Datapath::Native, |setup| outlives(setup, |lab| lab.filter.terminate().map(drop)))
}

/// A kernel setting of the edge.
fn syncookies(lab: &Lab) -> Result<String> {
    let read = || Ok(fs::read_to_string("/proc/sys/net/ipv4/tcp_syncookies")?);
    Ok(lab.network.edge.enter(read)?.trim().to_owned())
}

#[test]
fn detach_ends_what_is_spliced_and_leaves_nothing_behind() -> Result<()> {
    run(Datapath::Native, |setup| {
        let mut lab = lab(setup)?;
        let mut connection = open(&lab, WWW)?;
        let refused = lab.detach()?;
        assert_ne!(refused.code, Some(0), "{refused:?}");
        assert!(refused.errors.contains("another process") && refused.errors.contains("edge.pin"), "{refused:?}");
        assert_eq!(connection.get("/")?.status, 200, "a refused command changes nothing");

        lab.filter.terminate()?;
        assert_eq!(connection.get("/")?.status, 200);
        assert_eq!(syncookies(&lab)?, "2");
        let detached = lab.detach()?;
        assert_eq!(detached.code, Some(0), "{detached:?}");
        assert!(detached.output.starts_with("detached"), "{detached:?}");
        // The kernel takes programs off when it has the time.
        wait_for("detached", || Ok(!lab.network.edge.ip(&["link", "show"])?.contains("xdp")))?;
        assert!(connection.get("/").is_err(), "the program that spliced it is gone");
        assert_eq!(syncookies(&lab)?, "1");
        assert!(!lab.pins().exists());
        let again = lab.detach()?;
        assert!(again.code == Some(0) && again.output.starts_with("nothing is pinned"), "{again:?}");

        lab.filter.start_again(&lab.network.edge)?;
        open(&lab, WWW).context("and a new filter begins anew").map(drop)
    })
}

#[test]
fn a_filter_without_xdp_takes_away_what_one_with_xdp_has_left() -> Result<()> {
    run(Datapath::Native, |setup| {
        let mut lab = lab(setup)?;
        let mut connection = open(&lab, API)?;
        lab.filter.kill()?;
        lab.filter.reconfigure(|text| text.replace("datapath = \"native\"", "datapath = \"socket\""))?;
        lab.filter.start_again(&lab.network.edge)?;
        assert_eq!(lab.filter.status()?.datapath()?, "socket");
        assert!(connection.get("/").is_err(), "nobody watches over it any more");
        lab.filter.protect(API)?;
        assert_eq!(lab.curl(API).run()?.outcome, Outcome::Status(403), "no program passes it by the workers");
        Ok(())
    })
}

#[test]
fn two_filters_do_not_share_a_directory_of_pins() -> Result<()> {
    run(Datapath::Native, |setup| {
        let lab = lab(setup)?;
        let text = fs::read_to_string(lab.filter.config_file())?;
        let text = text.replace("control.sock", "second.sock").replace("/store\"", "/second\"");
        let text = text.replace("[control]", "[control]\nlisten = \"off\"");
        let file = lab.directory().join("second.toml");
        fs::write(&file, text)?;
        let second = lab.network.edge.enter(|| lab.filter.attempt(&["run", "--config", &file.to_string_lossy()]))?;
        assert_ne!(second.code, Some(0), "{second:?}");
        assert!(second.errors.contains("edge.pin"), "it says what to do: {}", second.errors);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(lab.curl(WWW).run()?.status()?, 200, "the first is not disturbed");
        assert_eq!(lab.filter.status()?.passed(WWW)?, "spliced");
        Ok(())
    })
}
