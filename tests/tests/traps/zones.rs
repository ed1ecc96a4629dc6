//! Zones share nothing.

use anyhow::Result;
use filter_tests::lab::{Host, Setup, Zone};
use filter_tests::on_every_datapath;

on_every_datapath!(a_certificate_of_one_zone_is_worth_nothing_in_another, a_rule_of_one_zone_does_not_touch_another);

/// A host of one zone.
const COM: &str = "api.example.com";
/// And of another.
const NET: &str = "api.example.net";

fn two_zones(setup: Setup) -> Setup {
    setup.zones([Zone::new("example.com", [Host::mtls(COM)]), Zone::new("example.net", [Host::mtls(NET)])])
}

fn a_certificate_of_one_zone_is_worth_nothing_in_another(setup: Setup) -> Result<()> {
    let lab = two_zones(setup).start()?;
    lab.filter.protect(COM)?;
    lab.filter.protect(NET)?;
    // The same name, so that nothing but the authority tells them apart.
    let com = lab.filter.client_certificate_of("example.com", "alice")?;
    let net = lab.filter.client_certificate_of("example.net", "alice")?;
    let table = [(COM, &com, 200), (COM, &net, 403), (NET, &com, 403), (NET, &net, 200)];
    for (host, certificate, expected) in table {
        assert_eq!(lab.curl(host).certificate(certificate).run()?.status()?, expected, "{host}");
    }
    assert_ne!(lab.filter.authority("example.com")?, lab.filter.authority("example.net")?);
    lab.filter.revoke(&com)?;
    assert_eq!(lab.curl(NET).certificate(&net).run()?.status()?, 200, "a revocation stays in its zone");
    Ok(())
}

fn a_rule_of_one_zone_does_not_touch_another(setup: Setup) -> Result<()> {
    let lab = two_zones(setup).start()?;
    lab.filter.block(COM, "http.request.method == \"GET\"")?;
    assert_eq!(lab.curl(COM).run()?.status()?, 403);
    assert_eq!(lab.curl(NET).run()?.status()?, 200);
    Ok(())
}
