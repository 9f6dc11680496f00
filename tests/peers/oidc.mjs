// An identity provider that is not ours: `oidc-provider` (npm) with its own log-in page for development, over TLS. New
// keys at each start. What follows a plus sign in the name somebody logs in with says how: `mfa`, `acr`, or nothing.
//
//   node oidc.mjs NODE_MODULES PORT ALGORITHM REDIRECT_URI CERTIFICATE KEY
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { pathToFileURL } from 'node:url';

const [modules, port, algorithm, redirect, certificate, key] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(`${modules}/${path}`));
const { Provider } = await load('oidc-provider/lib/index.js');
const { exportJWK, generateKeyPair } = await load('jose/dist/webapi/index.js');

const keys = await Promise.all(['RS256', 'ES256'].map(async (alg) => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig' };
}));
const provider = new Provider(`https://localhost:${port}`, {
  acrValues: ['https://refeds.org/profile/mfa'],
  claims: { openid: ['sub', 'amr', 'acr'] },
  clients: [{
    client_id: 'sluis',
    client_secret: 'geheim van +sluis: 100% & meer',
    id_token_signed_response_alg: algorithm,
    redirect_uris: [redirect],
  }],
  cookies: { keys: ['for tests'] },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
  features: { devInteractions: { enabled: true } },
  jwks: { keys },
});
const finished = provider.interactionFinished.bind(provider);
provider.interactionFinished = (request, response, result, options) => {
  if (result.login) {
    const [name, how] = result.login.accountId.split('+');
    result.login.accountId = name;
    result.login.amr = how === 'mfa' ? ['pwd', 'otp', 'mfa'] : ['pwd'];
    if (how === 'acr') result.login.acr = 'https://refeds.org/profile/mfa';
  }
  return finished(request, response, result, options);
};
createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, provider.callback())
  .listen(Number(port), 'localhost', () => console.log('listening'));
