// Cloudflare's own SDK for TypeScript, unmodified, with another base URL.
//
//     node sdk.mjs SCENARIO
//
// The environment says where the API is (BASE_URL, TOKEN), where the SDK is (NODE_MODULES), and which files there are (CSR, CA). A
// scenario ends with exit code 0, or with the assertion that failed. sdk.py plays the same scenarios.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { env } = process;
const require = createRequire(`${env.NODE_MODULES}/`);
const Cloudflare = require('cloudflare').default;

const PHASE = 'http_request_firewall_custom';
const HOST = 'api.example.com';
const MTLS_RULE =
  `(http.host in {"${HOST}"} and (not cf.tls_client_auth.cert_verified or cf.tls_client_auth.cert_revoked))`;
const NO_CERTIFICATE = '023e105f-4ece-48ad-9ca3-1a8372d0c353';

const open = (options) => new Cloudflare({ baseURL: env.BASE_URL, ...options });
const client = open({ apiToken: env.TOKEN });

/** Everything of a list, page after page. */
async function all(pages) {
  const found = [];
  for await (const item of pages) found.push(item);
  return found;
}

const zone = async () => (await all(client.zones.list({ name: 'example.com' })))[0].id;
const account = async () => (await all(client.accounts.list()))[0].id;
const file = (variable) => readFileSync(env[variable], 'utf8');

/** The message of a call that the SDK must throw this error for. */
async function refused(error, call) {
  try {
    await call();
  } catch (thrown) {
    assert.equal(thrown.constructor, error, String(thrown));
    return thrown.message;
  }
  assert.fail(`${error.name} was not thrown`);
}

const scenarios = {
  async a_client_certificate_lives_its_whole_life() {
    const zone_id = await zone();
    const csr = file('CSR');
    const made = [];
    for (const validity_days of [30, 365, 3650]) {
      made.push(await client.clientCertificates.create({ zone_id, csr, validity_days }));
    }
    assert.deepEqual(made.map((certificate) => certificate.status), ['active', 'active', 'active']);
    assert.deepEqual(made.map((certificate) => certificate.validity_days), [30, 365, 3650]);
    assert.equal(made[0].common_name, 'sdk');
    const ids = (certificates) => certificates.map((certificate) => certificate.id).sort();
    assert.deepEqual(ids(await all(client.clientCertificates.list({ zone_id, per_page: 1 }))), ids(made));
    const one = await client.clientCertificates.get(made[0].id, { zone_id });
    assert.deepEqual([one.csr, one.serial_number], [csr, made[0].serial_number]);
    assert.match((await client.clientCertificates.delete(one.id, { zone_id })).status, /^(pending_revocation|revoked)$/);
    const ofStatus = async (status) => ids(await all(client.clientCertificates.list({ zone_id, status })));
    assert.deepEqual(await ofStatus('revoked'), [one.id]);
    assert.equal((await client.clientCertificates.edit(one.id, { zone_id, reactivate: true })).status, 'active');
    assert.deepEqual(await ofStatus('revoked'), []);
    await client.clientCertificates.delete(made[1].id, { zone_id });
    writeFileSync(env.ACTIVE, made[0].certificate);
    writeFileSync(env.REVOKED, made[1].certificate);
  },

  async hosts_are_associated_with_authorities() {
    const [zone_id, account_id] = [await zone(), await account()];
    const associations = client.certificateAuthorities.hostnameAssociations;
    // Those of the configuration file are always there.
    const configured = (await associations.get({ zone_id })).hostnames;
    assert.ok(configured.includes(HOST) && !configured.includes('www.example.com'));
    const wanted = [...configured, 'www.example.com'].sort();
    assert.deepEqual((await associations.update({ zone_id, hostnames: wanted })).hostnames.sort(), wanted);
    assert.deepEqual((await associations.get({ zone_id })).hostnames.sort(), wanted);
    assert.deepEqual((await associations.update({ zone_id, hostnames: configured })).hostnames, configured);
    const upload = { account_id, ca: true, certificates: file('CA'), name: 'corporate' };
    const { id } = await client.mtlsCertificates.create(upload);
    const uploaded = async () => (await all(client.mtlsCertificates.list({ account_id }))).map((found) => found.id);
    assert.deepEqual(await uploaded(), [id]);
    await associations.update({ zone_id, hostnames: [HOST], mtls_certificate_id: id });
    assert.deepEqual((await associations.get({ zone_id, mtls_certificate_id: id })).hostnames, [HOST]);
    assert.equal((await all(client.mtlsCertificates.associations.get(id, { account_id }))).length, 1);
    const access = client.zeroTrust.access.certificates;
    assert.deepEqual((await all(access.list({ account_id })))[0].associated_hostnames, [HOST]);
    await refused(Cloudflare.ConflictError, () => client.mtlsCertificates.delete(id, { account_id }));
    await access.update(id, { account_id, associated_hostnames: [] });
    assert.equal((await client.mtlsCertificates.delete(id, { account_id })).id, id);
    assert.deepEqual(await uploaded(), []);
  },

  async a_rule_is_deployed_through_rulesets() {
    const zone_id = await zone();
    await refused(Cloudflare.NotFoundError, () => client.rulesets.phases.get(PHASE, { zone_id }));
    const rules = [{ action: 'block', expression: MTLS_RULE, description: 'clients of the API' }];
    const { id } = await client.rulesets.phases.update(PHASE, { zone_id, rules });
    assert.deepEqual((await all(client.rulesets.list({ zone_id }))).map((found) => found.id), [id]);
    const current = async () => client.rulesets.get(id, { zone_id });
    const expressions = async () => (await current()).rules.map((rule) => rule.expression);
    assert.deepEqual(await expressions(), [MTLS_RULE]);
    await client.rulesets.rules.create(id, { zone_id, action: 'log', expression: 'ssl', position: { index: 1 } });
    assert.deepEqual(await expressions(), ['ssl', MTLS_RULE]);
    const first = (await current()).rules[0].id;
    const edit = { zone_id, ruleset_id: id, action: 'log', expression: 'not ssl', enabled: false };
    await client.rulesets.rules.edit(first, edit);
    assert.deepEqual(await expressions(), ['not ssl', MTLS_RULE]);
    await client.rulesets.rules.delete(first, { zone_id, ruleset_id: id });
    const versions = await all(client.rulesets.versions.list(id, { zone_id }));
    assert.equal(versions[0].version, '4');
    assert.equal((await client.rulesets.versions.get('2', { zone_id, ruleset_id: id })).rules.length, 2);
    assert.deepEqual(await expressions(), [MTLS_RULE]);
  },

  async a_rule_is_deployed_through_firewall_rules() {
    const zone_id = await zone();
    const { rules } = client.firewall;
    const create = async (mode, filter) => (await all(rules.create({ zone_id, action: { mode }, filter })))[0];
    const made = await create('block', { expression: MTLS_RULE });
    assert.equal(made.filter.expression, MTLS_RULE);
    assert.equal((await rules.get(made.id, { zone_id })).action, 'block');
    const body = [{ expression: 'ip.src == 192.0.2.1' }, { expression: 'ssl' }];
    const own = await all(client.filters.create({ zone_id, body }));
    assert.equal((await all(client.filters.list({ zone_id, per_page: 1 }))).length, 3);
    const other = await create('log', { id: own[0].id });
    const ids = async (options) => (await all(rules.list({ zone_id, ...options }))).map((rule) => rule.id);
    // Without priorities, what logs comes before what blocks.
    assert.deepEqual(await ids({ per_page: 1 }), [other.id, made.id]);
    const changed = { zone_id, action: { mode: 'block' }, filter: { expression: 'ip.src == 192.0.2.2' } };
    await rules.update(other.id, changed);
    assert.equal((await rules.get(other.id, { zone_id })).filter.expression, 'ip.src == 192.0.2.2');
    await rules.delete(other.id, { zone_id });
    await client.filters.delete(own[1].id, { zone_id });
    assert.deepEqual(await ids({}), [made.id]);
  },

  async lists_are_made_filled_and_forgotten() {
    const [zone_id, account_id] = [await zone(), await account()];
    const list = await client.rules.lists.create({ account_id, kind: 'ip', name: 'office' });
    const { items } = client.rules.lists;
    const finished = async (operation) =>
      (await client.rules.lists.bulkOperations.get(operation.operation_id, { account_id })).status;
    const body = [{ ip: '192.0.2.0/24' }, { ip: '198.51.100.1', comment: 'door' }, { ip: '2001:db8::/32' }];
    assert.equal(await finished(await items.create(list.id, { account_id, body })), 'completed');
    const values = async (options) => (await all(items.list(list.id, { account_id, ...options }))).map((item) => item.ip);
    assert.deepEqual((await values({ per_page: 1 })).sort(), body.map((item) => item.ip).sort());
    const door = (await all(items.list(list.id, { account_id }))).find((item) => item.comment === 'door');
    assert.equal((await items.get(door.id, { account_id, list_id: list.id })).ip, '198.51.100.1');
    await items.delete(list.id, { account_id, items: [{ id: door.id }] });
    assert.equal((await client.rules.lists.get(list.id, { account_id })).num_items, 2);
    await items.update(list.id, { account_id, body: [{ ip: '203.0.113.7' }] });
    assert.deepEqual(await values({}), ['203.0.113.7']);
    const rules = [{ action: 'block', expression: 'ip.src in $office' }];
    const used = await client.rulesets.phases.update(PHASE, { zone_id, rules });
    await refused(Cloudflare.ConflictError, () => client.rules.lists.delete(list.id, { account_id }));
    await client.rulesets.delete(used.id, { zone_id });
    await client.rules.lists.delete(list.id, { account_id });
    assert.deepEqual(await all(client.rules.lists.list({ account_id })), []);
  },

  async zones_accounts_and_tokens_are_shown() {
    const [zone_id, account_id] = [await zone(), await account()];
    const shown = await client.zones.get({ zone_id });
    assert.deepEqual([shown.name, shown.status, shown.account.id], ['example.com', 'active', account_id]);
    assert.equal((await client.zones.settings.get('min_tls_version', { zone_id })).value, '1.2');
    const verified = await client.user.tokens.verify();
    assert.equal(verified.status, 'active');
    assert.equal((await client.accounts.tokens.verify({ account_id })).status, 'active');
    assert.equal((await client.user.get()).id, verified.id);
    const headers = (await client.managedTransforms.list({ zone_id })).managed_request_headers;
    assert.deepEqual(headers.map((header) => header.id), ['add_client_certificate_headers']);
  },

  async errors_are_of_the_class_that_says_what_to_do() {
    const [zone_id, account_id] = [await zone(), await account()];
    const rules = [{ action: 'block', expression: 'http.host == foo' }];
    const message = await refused(Cloudflare.BadRequestError, () =>
      client.rulesets.phases.update(PHASE, { zone_id, rules }));
    assert.match(message, /http\.host == foo[^]*\^\^[^]*invalid digit/);
    await refused(Cloudflare.BadRequestError, () =>
      client.clientCertificates.create({ zone_id, csr: 'x', validity_days: 1 }));
    await refused(Cloudflare.NotFoundError, () => client.clientCertificates.get(NO_CERTIFICATE, { zone_id }));
    await refused(Cloudflare.NotFoundError, () => client.zones.get({ zone_id: '0'.repeat(32) }));
    const twice = { account_id, kind: 'ip', name: 'twice' };
    await client.rules.lists.create(twice);
    assert.match(await refused(Cloudflare.ConflictError, () => client.rules.lists.create(twice)), /twice/);
    const reader = open({ apiToken: env.READER });
    const write = () => reader.rulesets.phases.update(PHASE, { zone_id, rules: [] });
    assert.match(await refused(Cloudflare.PermissionDeniedError, write), /scope/);
    const stranger = open({ apiToken: 'mtf_wrong', maxRetries: 0 });
    await refused(Cloudflare.AuthenticationError, () => stranger.user.tokens.verify());
    for (let attempt = 0; ; attempt += 1) {
      assert.ok(attempt < 20, 'RateLimitError was not thrown');
      const thrown = await stranger.user.tokens.verify().catch((error) => error);
      if (thrown instanceof Cloudflare.RateLimitError) break;
      assert.ok(thrown instanceof Cloudflare.AuthenticationError, String(thrown));
    }
    assert.equal((await client.user.tokens.verify()).status, 'active');
  },
};

await scenarios[process.argv[2]]();
