// In the place of Keycloak where there is no container engine: the certified `oidc-provider` with the people, groups, clients and
// mappers of compose/realm.json, at Keycloak's paths. It knows only what that file uses, and refuses to start with anything else.
//
//   node keycloak.mjs REALM.json ISSUER ADDRESS PORT
//
// Prints one JSON line when it listens. Ends on SIGTERM, and when its standard input closes.

import http from 'node:http';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { generateKeyPair, exportJWK, createLocalJWKSet, jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';

const [file, issuer, address, port] = process.argv.slice(2);
const realm = JSON.parse(readFileSync(file, 'utf8'));
const mount = new URL(issuer).pathname;
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const RESOURCE = 'urn:realm';

if (!mount.endsWith(`/realms/${realm.realm}`)) throw new Error(`${issuer} is not the issuer of realm ${realm.realm}`);
for (const user of realm.users) user.id = randomUUID();
const clients = new Map(realm.clients.map((client) => [client.clientId, client]));
const people = new Map(realm.users.map((user) => [user.username, user]));

function grants(client) {
  const may = [];
  if (client.directAccessGrantsEnabled) may.push('password');
  if (client.serviceAccountsEnabled) may.push('client_credentials');
  if (client.attributes?.['standard.token.exchange.enabled'] === 'true') may.push(EXCHANGE);
  if (client.publicClient && may.length > (may.includes('password') ? 1 : 0)) {
    throw new Error(`Keycloak lets no public client do this: ${client.clientId}`);
  }
  return may;
}

// What the client's mappers and Keycloak's own client scopes add to a token.
function mapped(client, user) {
  const claims = { azp: client.clientId, preferred_username: user?.username ?? `service-account-${client.clientId}` };
  const audiences = [];
  for (const { protocolMapper: mapper, config } of client.protocolMappers) {
    if (config['access.token.claim'] !== 'true') continue;
    if (mapper === 'oidc-audience-mapper') {
      audiences.push(config['included.custom.audience'] ?? config['included.client.audience']);
    } else if (mapper === 'oidc-group-membership-mapper') {
      const groups = user?.groups ?? [];
      claims[config['claim.name']] = groups.map((path) => (config['full.path'] === 'true' ? path : path.split('/').at(-1)));
    } else throw new Error(`not known here: ${mapper}`);
  }
  return { ...claims, aud: audiences.length === 1 ? audiences[0] : audiences };
}

const { privateKey } = await generateKeyPair('RS256', { extractable: true });
const jwk = { ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: 'realm-1' };
const keys = createLocalJWKSet({ keys: [{ kty: jwk.kty, n: jwk.n, e: jwk.e, alg: jwk.alg, use: jwk.use, kid: jwk.kid }] });
const resourceServer = { scope: 'profile', audience: RESOURCE, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256', kid: jwk.kid } } };

const provider = new Provider(issuer, {
  jwks: { keys: [jwk] },
  clients: realm.clients.map((client) => ({
    client_id: client.clientId,
    ...(client.publicClient ? { token_endpoint_auth_method: 'none' } : { client_secret: client.secret }),
    grant_types: grants(client), redirect_uris: [], response_types: [],
  })),
  routes: { token: '/protocol/openid-connect/token', jwks: '/protocol/openid-connect/certs' },
  scopes: ['openid', 'profile'],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: { enabled: true, defaultResource: () => RESOURCE, getResourceServerInfo: () => resourceServer },
  },
  // Keycloak's default: access tokens live for five minutes
  ttl: { AccessToken: realm.accessTokenLifespan ?? 300, ClientCredentials: realm.accessTokenLifespan ?? 300 },
  formats: {
    customizers: {
      jwt(_ctx, token, jwt) {
        const user = [...people.values()].find(({ id }) => id === token.accountId);
        Object.assign(jwt.payload, mapped(clients.get(token.clientId), user));
      },
    },
  },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  renderError(ctx, out) { ctx.body = out; },
});

async function grant(ctx, user, gty) {
  const { client } = ctx.oidc;
  const token = new provider.AccessToken({
    client, accountId: user.id, scope: 'profile', gty, resourceServer: new provider.ResourceServer(RESOURCE, resourceServer),
  });
  ctx.body = { access_token: await token.save(), expires_in: token.expiration, token_type: 'Bearer', scope: 'profile' };
}

provider.registerGrantType('password', async (ctx) => {
  const { username, password } = ctx.oidc.params;
  const user = people.get(username);
  const right = user?.enabled && user.credentials.some(({ type, value }) => type === 'password' && value === password);
  if (!right) throw new errors.InvalidGrant('Invalid user credentials');
  await grant(ctx, user, 'password');
}, ['username', 'password', 'scope']);

// As of Keycloak 26.2: the token must be for the client that asks.
provider.registerGrantType(EXCHANGE, async (ctx) => {
  const { params, client } = ctx.oidc;
  if (params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('subject_token_type');
  let subject;
  try {
    ({ payload: subject } = await jwtVerify(params.subject_token, keys, { issuer, audience: client.clientId }));
  } catch (error) {
    throw new errors.InvalidRequest(`subject_token: ${error.code}`);
  }
  await grant(ctx, people.get(subject.preferred_username), 'exchange');
  ctx.body.issued_token_type = ACCESS_TOKEN;
}, ['subject_token', 'subject_token_type', 'requested_token_type', 'scope']);

// oidc-provider tells on the console how to configure it for production
console.warn = () => {};
console.info = () => {};

const handle = provider.callback();
const server = http.createServer((req, res) => {
  if (!req.url.startsWith(`${mount}/`)) return void res.writeHead(404).end();
  req.originalUrl = req.url;
  req.url = req.url.slice(mount.length);
  return handle(req, res);
});
server.listen(Number(port), address);
await once(server, 'listening');

process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
process.on('SIGTERM', () => process.exit(0));
process.stdout.write(`${JSON.stringify({ issuer })}\n`);
