"""Cloudflare's own SDK for Python, unmodified, with another base URL.

    python sdk.py SCENARIO

The environment says where the API is (BASE_URL, TOKEN), and which files there are (CSR, CA). A scenario ends with exit code 0, or with
the assertion that failed. sdk.mjs plays the same scenarios.
"""

import os
import sys

import cloudflare
from cloudflare import Cloudflare

PHASE = "http_request_firewall_custom"
HOST = "api.example.com"
MTLS_RULE = (
    f'(http.host in {{"{HOST}"}} and (not cf.tls_client_auth.cert_verified or cf.tls_client_auth.cert_revoked))'
)
NO_CERTIFICATE = "023e105f-4ece-48ad-9ca3-1a8372d0c353"

BASE_URL = os.environ["BASE_URL"]
client = Cloudflare(api_token=os.environ["TOKEN"], base_url=BASE_URL)


def zone():
    return next(iter(client.zones.list(name="example.com"))).id


def account():
    return next(iter(client.accounts.list())).id


def file(variable):
    with open(os.environ[variable], encoding="utf-8") as content:
        return content.read()


def refused(error, call):
    """The message of a call that the SDK must raise this error for."""
    try:
        call()
    except error as raised:
        assert type(raised) is error, raised
        return str(raised)
    raise AssertionError(f"{error.__name__} was not raised")


def a_client_certificate_lives_its_whole_life():
    z, csr = zone(), file("CSR")
    made = [client.client_certificates.create(zone_id=z, csr=csr, validity_days=days) for days in (30, 365, 3650)]
    assert [certificate.status for certificate in made] == ["active"] * 3
    assert [certificate.validity_days for certificate in made] == [30, 365, 3650]
    assert made[0].common_name == "sdk" and made[0].certificate.startswith("-----BEGIN CERTIFICATE-----")
    # Page after page, each with one certificate, until an empty one.
    listed = [certificate.id for certificate in client.client_certificates.list(zone_id=z, per_page=1)]
    assert sorted(listed) == sorted(certificate.id for certificate in made), listed
    one = client.client_certificates.get(made[0].id, zone_id=z)
    assert (one.csr, one.serial_number) == (csr, made[0].serial_number)
    assert client.client_certificates.delete(one.id, zone_id=z).status in ("pending_revocation", "revoked")
    of_status = lambda status: {found.id for found in client.client_certificates.list(zone_id=z, status=status)}
    assert of_status("revoked") == {one.id} and one.id not in of_status("active")
    assert client.client_certificates.edit(one.id, zone_id=z, reactivate=True).status == "active"
    assert of_status("revoked") == set()
    # What the rest of the test looks at: one that is active, one that is revoked.
    client.client_certificates.delete(made[1].id, zone_id=z)
    for name, certificate in (("ACTIVE", made[0]), ("REVOKED", made[1])):
        with open(os.environ[name], "w", encoding="utf-8") as output:
            output.write(certificate.certificate)


def hosts_are_associated_with_authorities():
    z, a = zone(), account()
    associations = client.certificate_authorities.hostname_associations
    # Those of the configuration file are always there.
    configured = associations.get(zone_id=z).hostnames
    assert HOST in configured and "www.example.com" not in configured
    wanted = sorted([*configured, "www.example.com"])
    assert sorted(associations.update(zone_id=z, hostnames=wanted).hostnames) == wanted
    assert sorted(associations.get(zone_id=z).hostnames) == wanted
    assert associations.update(zone_id=z, hostnames=configured).hostnames == configured
    uploaded = client.mtls_certificates.create(account_id=a, ca=True, certificates=file("CA"), name="corporate")
    assert uploaded.ca and uploaded.name == "corporate"
    assert [found.id for found in client.mtls_certificates.list(account_id=a)] == [uploaded.id]
    associations.update(zone_id=z, hostnames=[HOST], mtls_certificate_id=uploaded.id)
    assert associations.get(zone_id=z, mtls_certificate_id=uploaded.id).hostnames == [HOST]
    assert len(list(client.mtls_certificates.associations.get(uploaded.id, account_id=a))) == 1
    access = client.zero_trust.access.certificates
    assert [found.associated_hostnames for found in access.list(account_id=a)] == [[HOST]]
    refused(cloudflare.ConflictError, lambda: client.mtls_certificates.delete(uploaded.id, account_id=a))
    access.update(uploaded.id, account_id=a, associated_hostnames=[])
    assert client.mtls_certificates.delete(uploaded.id, account_id=a).id == uploaded.id
    assert list(client.mtls_certificates.list(account_id=a)) == []


def a_rule_is_deployed_through_rulesets():
    z = zone()
    refused(cloudflare.NotFoundError, lambda: client.rulesets.phases.get(PHASE, zone_id=z))
    rules = [{"action": "block", "expression": MTLS_RULE, "description": "clients of the API"}]
    # The SDK leaves the answer to a write a dictionary: its type has an alternative of any form.
    client.rulesets.phases.update(PHASE, zone_id=z, rules=rules)
    ruleset = client.rulesets.phases.get(PHASE, zone_id=z)
    assert [found.id for found in client.rulesets.list(zone_id=z)] == [ruleset.id]
    current = lambda: client.rulesets.get(ruleset.id, zone_id=z)
    assert [(rule.action, rule.expression) for rule in current().rules] == [("block", MTLS_RULE)]
    client.rulesets.rules.create(
        ruleset.id, zone_id=z, action="log", expression="ssl", description="all", position={"index": 1}
    )
    first, second = current().rules
    assert (first.expression, second.expression) == ("ssl", MTLS_RULE)
    client.rulesets.rules.edit(
        first.id, ruleset_id=ruleset.id, zone_id=z, action="log", expression="not ssl", enabled=False
    )
    assert (current().rules[0].expression, current().rules[0].enabled) == ("not ssl", False)
    client.rulesets.rules.delete(first.id, ruleset_id=ruleset.id, zone_id=z)
    versions = [version.version for version in client.rulesets.versions.list(ruleset.id, zone_id=z)]
    assert versions[0] == current().version == "4" and len(versions) == 4, versions
    assert len(client.rulesets.versions.get("2", ruleset_id=ruleset.id, zone_id=z).rules) == 2
    assert [rule.description for rule in current().rules] == ["clients of the API"]


def a_rule_is_deployed_through_firewall_rules():
    z = zone()
    rules = client.firewall.rules
    made = list(rules.create(zone_id=z, action={"mode": "block"}, filter={"expression": MTLS_RULE}))
    assert [rule.filter.expression for rule in made] == [MTLS_RULE]
    assert rules.get(made[0].id, zone_id=z).action == "block"
    # The filter is a thing of its own, and another rule may use one that is there already.
    own = list(client.filters.create(zone_id=z, body=[{"expression": "ip.src == 192.0.2.1"}, {"expression": "ssl"}]))
    assert len(own) == 2 and len(list(client.filters.list(zone_id=z, per_page=1))) == 3
    other = list(rules.create(zone_id=z, action={"mode": "log"}, filter={"id": own[0].id}))[0]
    # Without priorities, what logs comes before what blocks.
    assert [rule.id for rule in rules.list(zone_id=z, per_page=1)] == [other.id, made[0].id]
    rules.update(other.id, zone_id=z, action={"mode": "block"}, filter={"expression": "ip.src == 192.0.2.2"})
    assert rules.get(other.id, zone_id=z).filter.expression == "ip.src == 192.0.2.2"
    rules.delete(other.id, zone_id=z)
    client.filters.delete(own[1].id, zone_id=z)
    assert [rule.id for rule in rules.list(zone_id=z)] == [made[0].id]


def lists_are_made_filled_and_forgotten():
    a = account()
    made = client.rules.lists.create(account_id=a, kind="ip", name="office", description="where we work")
    items = client.rules.lists.items
    finished = lambda operation: client.rules.lists.bulk_operations.get(operation.operation_id, account_id=a).status
    networks = [{"ip": "192.0.2.0/24"}, {"ip": "198.51.100.1", "comment": "door"}, {"ip": "2001:db8::/32"}]
    assert finished(items.create(made.id, account_id=a, body=networks)) == "completed"
    # A cursor leads from part to part.
    found = {item.ip: item.id for item in items.list(made.id, account_id=a, per_page=1)}
    assert set(found) == {"192.0.2.0/24", "198.51.100.1", "2001:db8::/32"}, found
    assert items.get(found["198.51.100.1"], account_id=a, list_id=made.id).comment == "door"
    finished(items.delete(made.id, account_id=a, items=[{"id": found["192.0.2.0/24"]}]))
    assert client.rules.lists.get(made.id, account_id=a).num_items == 2
    finished(items.update(made.id, account_id=a, body=[{"ip": "203.0.113.7"}]))
    assert [item.ip for item in items.list(made.id, account_id=a)] == ["203.0.113.7"]
    z = zone()
    rules = [{"action": "block", "expression": "ip.src in $office"}]
    client.rulesets.phases.update(PHASE, zone_id=z, rules=rules)
    refused(cloudflare.ConflictError, lambda: client.rules.lists.delete(made.id, account_id=a))
    client.rulesets.delete(client.rulesets.phases.get(PHASE, zone_id=z).id, zone_id=z)
    client.rules.lists.delete(made.id, account_id=a)
    assert list(client.rules.lists.list(account_id=a)) == []


def zones_accounts_and_tokens_are_shown():
    z, a = zone(), account()
    shown = client.zones.get(zone_id=z)
    assert (shown.name, shown.status, shown.account.id) == ("example.com", "active", a)
    assert client.zones.settings.get("min_tls_version", zone_id=z).value == "1.2"
    assert client.user.tokens.verify().status == "active"
    assert client.accounts.tokens.verify(account_id=a).status == "active"
    assert client.user.get().id == client.user.tokens.verify().id
    headers = client.managed_transforms.list(zone_id=z).managed_request_headers
    assert [header.id for header in headers] == ["add_client_certificate_headers"]


def errors_are_of_the_class_that_says_what_to_do():
    z, a = zone(), account()
    once = client.with_options(max_retries=0)
    broken = [{"action": "block", "expression": "http.host == foo"}]
    message = refused(
        cloudflare.BadRequestError, lambda: client.rulesets.phases.update(PHASE, zone_id=z, rules=broken)
    )
    # The text with carets, as the filter's own commands show it.
    assert "http.host == foo" in message and "^^" in message and "invalid digit" in message, message
    refused(cloudflare.BadRequestError, lambda: client.client_certificates.create(zone_id=z, csr="x", validity_days=1))
    refused(cloudflare.NotFoundError, lambda: client.client_certificates.get(NO_CERTIFICATE, zone_id=z))
    refused(cloudflare.NotFoundError, lambda: client.zones.get(zone_id="0" * 32))
    client.rules.lists.create(account_id=a, kind="ip", name="twice")
    again = lambda: client.rules.lists.create(account_id=a, kind="ip", name="twice")
    assert "twice" in refused(cloudflare.ConflictError, again)
    reader = Cloudflare(api_token=os.environ["READER"], base_url=BASE_URL)
    assert next(iter(reader.zones.list())).id == z
    write = lambda: reader.rulesets.phases.update(PHASE, zone_id=z, rules=[])
    assert "scope" in refused(cloudflare.PermissionDeniedError, write)
    stranger = Cloudflare(api_token="mtf_wrong", base_url=BASE_URL)
    refused(cloudflare.AuthenticationError, stranger.user.tokens.verify)
    # With an e-mail address beside the token, the SDK sends the address alone.
    confused = Cloudflare(api_token=os.environ["TOKEN"], api_email="a@example.com", base_url=BASE_URL)
    assert "X-Auth-Key" in refused(cloudflare.AuthenticationError, confused.user.tokens.verify)
    for _ in range(20):
        try:
            stranger.with_options(max_retries=0).user.tokens.verify()
        except cloudflare.RateLimitError:
            break
        except cloudflare.AuthenticationError:
            continue
    else:
        raise AssertionError("RateLimitError was not raised")
    assert once.user.tokens.verify().status == "active"


globals()[sys.argv[1]]()
