// The identity provider of the tests: several issuers of the certified `oidc-provider` in one process, and an
// admin port that rotates their keys, counts key fetches, and makes an issuer fail in the ways that real ones do.
//
//   node server.mjs 'rs:RS256' 'es:ES256' 'cold:RS256:refuse'      NAME:ALG[:FAULT at start]
//
// Prints one JSON line when ready: {"admin_url", "issuers": {NAME: {"issuer", "jwks_url", "introspection_url"}}}.
// Ends on SIGTERM, and when its standard input closes, so that no run leaves it behind.
//
// Admin:
//   GET  /issuers/NAME            counts of fetches (discovery, jwks), fault, kids
//   GET  /issuers/NAME/jwks       public keys, whatever fault is on (the mock workspace's own way to them)
//   GET  /issuers/NAME/private    private keys, with which tests sign forged and odd tokens
//   POST /issuers/NAME/rotate     {"keep": true|false}: a new key signs from now on; the old ones stay listed or go
//   POST /issuers/NAME/fault      {"kind": "none|refuse|status|slow|garbage|empty|close", "status": 500, "delay_ms": 5000}
//   POST /issuers/NAME/cache      {"cache_control": "max-age=300" | null}
//   POST /issuers/NAME/feed       {"text": "…"}: what /revocations of the issuer answers, to those who have the secret; null for 500
//   POST /issuers/NAME/inactive   {"token": "…"}: /introspect of the issuer, which is asked of JWTs too, says from now on that it is none
//   POST /issuers/NAME/count/reset
//
// People sign in at /interaction/ID, by the one form that is there: `sub`, and `claims` (JSON) for their tokens. Consent is taken for granted.

import http from 'node:http';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { generateKeyPair, exportJWK } from 'jose';
import Provider from 'oidc-provider';

const GRANT = 'urn:databricks-kong:test:login';
const JWT_AUDIENCE = 'databricks';
const FEED_SECRET = 'secret-of-the-feed';
const RESOURCES = { 'gateway-elsewhere': 'urn:elsewhere', 'gateway-opaque': 'urn:databricks:opaque' };
const SIGN_IN_SCOPES = 'openid offline_access databricks';
const WORKLOAD_GROUPS = { 'nightly-etl': ['batch'] };

class Issuer {
  constructor(name, alg, fault = 'none') {
    Object.assign(this, { name, alg, fault: { kind: fault }, keys: [], serial: 0, cacheControl: null, feed: '{"subjects":[]}', inactive: new Set(), people: new Map() });
    this.resetCount();
    this.sockets = new Set();
  }

  resetCount() {
    this.count = { jwks: 0, discovery: 0, token: 0, introspection: 0, feed: 0, unchanged: 0, jwks_at_ms: [] };
  }

  async start() {
    await this.newKey();
    await this.listen(0);
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
    this.build();
    if (this.fault.kind === 'refuse') await this.unlisten();
  }

  async listen(port) {
    this.server = http.createServer((req, res) => this.serve(req, res));
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
  }

  async unlisten() {
    if (!this.server?.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  async newKey() {
    const { privateKey } = await generateKeyPair(this.alg, { extractable: true, modulusLength: 2048 });
    this.serial += 1;
    const jwk = { ...(await exportJWK(privateKey)), alg: this.alg, use: 'sig', kid: `${this.name}-${this.serial}` };
    this.keys.unshift(jwk);
  }

  async rotate(keep) {
    const old = this.keys;
    this.keys = keep ? [...old] : [];
    await this.newKey();
    this.build();
  }

  // oidc-provider takes its keys once, so a rotation is a new Provider behind the same port.
  build() {
    const { alg, people } = this;
    const kid = this.keys[0].kid;
    const common = { token_endpoint_auth_method: 'client_secret_basic', redirect_uris: [], response_types: [],
      id_token_signed_response_alg: alg };
    // what signs people in: programs on their own machines, of one of which nobody else's tokens are
    const native = { application_type: 'native', token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'], redirect_uris: ['http://localhost:8020', 'http://127.0.0.1/callback'], id_token_signed_response_alg: alg };
    const provider = new Provider(this.url, {
      jwks: { keys: this.keys },
      clients: [
        { client_id: 'tests', client_secret: 'tests-secret', grant_types: [GRANT], ...common },
        { client_id: 'copilot-app', client_secret: 'copilot-secret', grant_types: [GRANT], ...common },
        { client_id: 'nightly-etl', client_secret: 'etl-secret', grant_types: ['client_credentials'], ...common },
        { client_id: 'gateway', client_secret: 'gateway-secret', grant_types: [], ...common },
        { client_id: 'gateway-login', ...native },
        { client_id: 'gateway-elsewhere', ...native },
        { client_id: 'gateway-opaque', ...native },
        { client_id: 'other-app', ...native },
        { client_id: 'gateway-confidential', ...native, client_secret: 'gateway-secret', token_endpoint_auth_method: 'client_secret_basic' },
      ],
      scopes: ['openid', 'offline_access', 'databricks'],
      enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        revocation: { enabled: true },
        introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === 'gateway' },
        resourceIndicators: {
          enabled: true,
          defaultResource: (_ctx, client) => RESOURCES[client.clientId] ?? 'urn:databricks',
          useGrantedResource: () => true,
          getResourceServerInfo: (_ctx, resource) => resourceServer(resource, alg, kid),
        },
      },
      extraTokenClaims(ctx, token) {
        if (token.kind === 'ClientCredentials') return { groups: WORKLOAD_GROUPS[token.clientId] ?? [] };
        if (token.accountId && people.has(token.accountId)) return people.get(token.accountId);
        return ctx?.oidc?.params?.claims ? JSON.parse(ctx.oidc.params.claims) : undefined;
      },
      interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
      async loadExistingGrant(ctx) {
        const { client, session, provider: op } = ctx.oidc;
        const grant = new op.Grant({ clientId: client.clientId, accountId: session.accountId });
        grant.addOIDCScope(SIGN_IN_SCOPES);
        grant.addResourceScope(RESOURCES[client.clientId] ?? 'urn:databricks', 'databricks');
        await grant.save();
        return grant;
      },
      issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
      findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
      ttl: { AccessToken: 3600, ClientCredentials: 3600, Grant: 3600, Session: 3600, Interaction: 3600, IdToken: 3600 },
      // what a provider logs of a bad request is in the answer too
      renderError(ctx, out) { ctx.body = out; },
    });

    // A login without a browser: whoever holds the client's secret names the person and the claims.
    provider.registerGrantType(GRANT, async (ctx) => {
      const { client, params } = ctx.oidc;
      const resource = params.resource ?? 'urn:databricks';
      const token = new provider.AccessToken({
        client, accountId: params.sub, scope: 'databricks', gty: 'login',
        expiresIn: params.ttl ? Number(params.ttl) : undefined,
        resourceServer: new provider.ResourceServer(resource, resourceServer(resource, alg, kid, params.audience)),
      });
      const value = await token.save();
      ctx.body = { access_token: value, token_type: 'Bearer', expires_in: token.expiration, scope: 'databricks' };
    }, ['sub', 'claims', 'ttl', 'audience', 'resource']);

    this.provider = provider;
    this.handler = provider.callback();
  }

  async serve(req, res) {
    const path = req.url.split('?')[0];
    if (path === '/revocations') return this.serveFeed(req, res);
    if (path === '/introspect') return this.serveIntrospection(req, res);
    if (path.startsWith('/interaction/')) return this.serveSignIn(req, res);
    const kind = path === '/jwks' ? 'jwks'
      : path === '/.well-known/openid-configuration' ? 'discovery'
        : path === '/token/introspection' ? 'introspection' : 'token';
    this.count[kind] += 1;
    if (kind === 'jwks') this.count.jwks_at_ms.push(Date.now());

    // Tests go on to get tokens while the gateway cannot get keys.
    if (kind !== 'token') {
      const { kind: fault, status = 500, delay_ms: delay = 5000 } = this.fault;
      if (fault === 'close') return void req.socket.destroy();
      if (fault === 'status') return void res.writeHead(status).end('upstream connect error: CANARY-IDP-BODY');
      if (fault === 'slow') await new Promise((resolve) => { setTimeout(resolve, delay); });
      if (fault === 'garbage') {
        return void res.writeHead(200, { 'content-type': 'application/json' }).end('<html>CANARY-IDP-BODY {"keys":[');
      }
      if (fault === 'empty' && kind === 'jwks') {
        return void res.writeHead(200, { 'content-type': 'application/jwk-set+json' }).end('{"keys":[]}');
      }
    }
    if (kind === 'jwks' && this.cacheControl !== null) {
      const writeHead = res.writeHead.bind(res);
      res.writeHead = (...args) => { res.setHeader('cache-control', this.cacheControl); return writeHead(...args); };
    }
    return this.handler(req, res);
  }

  async serveSignIn(req, res) {
    if (req.method !== 'POST') {
      const form = '<form method="post"><input name="sub"><input name="claims"><button>Sign in</button></form>';
      return void res.writeHead(200, { 'content-type': 'text/html' }).end(form);
    }
    const form = new URLSearchParams(await readText(req));
    this.people.set(form.get('sub'), JSON.parse(form.get('claims')));
    return this.provider.interactionFinished(req, res, { login: { accountId: form.get('sub') }, consent: {} });
  }

  // No part of a provider: the service that collects whom it has cut off.
  serveFeed(req, res) {
    this.count.feed += 1;
    if (req.headers.authorization !== `Bearer ${FEED_SECRET}`) return void res.writeHead(401).end();
    if (this.feed === null) return void res.writeHead(500).end('CANARY-FEED-BODY');
    const etag = `"${createHash('sha256').update(this.feed).digest('hex')}"`;
    if (req.headers['if-none-match'] === etag) {
      this.count.unchanged += 1;
      return void res.writeHead(304, { etag }).end();
    }
    return void res.writeHead(200, { etag, 'content-type': 'application/json' }).end(this.feed);
  }

  // oidc-provider says nothing of JWTs; other providers do, and some say no more than this.
  async serveIntrospection(req, res) {
    this.count.introspection += 1;
    const { kind, status = 500 } = this.fault;
    if (kind === 'status') return void res.writeHead(status).end('CANARY-IDP-BODY');
    const own = `Basic ${Buffer.from('gateway:gateway-secret').toString('base64')}`;
    if (req.method !== 'POST' || req.headers.authorization !== own) return void res.writeHead(401).end();
    const form = new URLSearchParams(await readText(req));
    const active = form.get('token_type_hint') === 'access_token' && !this.inactive.has(form.get('token'));
    return void res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ active }));
  }

  publicKeys() {
    const members = ['kty', 'use', 'alg', 'kid', 'n', 'e', 'crv', 'x', 'y'];
    return { keys: this.keys.map((key) => Object.fromEntries(members.filter((m) => m in key).map((m) => [m, key[m]]))) };
  }

  async admin(method, action, body) {
    if (method === 'GET' && action === '') {
      return { issuer: this.url, alg: this.alg, fault: this.fault, kids: this.keys.map((k) => k.kid), ...this.count };
    }
    if (method === 'GET' && action === 'jwks') return this.publicKeys();
    if (method === 'GET' && action === 'private') return { keys: this.keys };
    if (method !== 'POST') return undefined;
    if (action === 'rotate') await this.rotate(body.keep ?? true);
    else if (action === 'cache') this.cacheControl = body.cache_control ?? null;
    else if (action === 'inactive') this.inactive.add(body.token);
    else if (action === 'feed') this.feed = body.text;
    else if (action === 'count/reset') this.resetCount();
    else if (action === 'fault') {
      this.fault = body;
      if (body.kind === 'refuse') await this.unlisten();
      else if (!this.server.listening) await this.listen(this.port);
    } else return undefined;
    return { kids: this.keys.map((k) => k.kid), fault: this.fault };
  }
}

function resourceServer(resource, alg, kid, audience) {
  const opaque = resource === 'urn:databricks:opaque';
  return {
    scope: 'databricks',
    audience: audience ?? (resource === 'urn:elsewhere' ? 'elsewhere' : JWT_AUDIENCE),
    accessTokenFormat: opaque ? 'opaque' : 'jwt',
    jwt: { sign: { alg, kid } },
  };
}

async function readText(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return text;
}

async function readJson(req) {
  const text = await readText(req);
  return text ? JSON.parse(text) : {};
}

// oidc-provider tells on the console how to configure it for production
console.warn = () => {};
console.info = () => {};

const issuers = new Map();
for (const spec of process.argv.slice(2)) {
  const [name, alg, fault] = spec.split(':');
  issuers.set(name, new Issuer(name, alg, fault));
}
await Promise.all([...issuers.values()].map((issuer) => issuer.start()));

const admin = http.createServer(async (req, res) => {
  const [, root, name, ...rest] = req.url.split('?')[0].split('/');
  let status = 404;
  let answer;
  try {
    if (root === 'issuers' && issuers.has(name)) answer = await issuers.get(name).admin(req.method, rest.join('/'), await readJson(req));
    if (answer !== undefined) status = 200;
  } catch (error) {
    status = 500;
    answer = { error: String(error.stack ?? error) };
  }
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer ?? { error: 'not found' }));
});
admin.listen(0, '127.0.0.1');
await once(admin, 'listening');

process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
process.on('SIGTERM', () => process.exit(0));

process.stdout.write(`${JSON.stringify({
  admin_url: `http://127.0.0.1:${admin.address().port}`,
  issuers: Object.fromEntries([...issuers.values()].map((issuer) => [issuer.name, {
    issuer: issuer.url,
    jwks_url: `${issuer.url}/jwks`,
    introspection_url: `${issuer.url}/token/introspection`,
  }])),
})}\n`);
