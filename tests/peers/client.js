// A supplier that uses `soap` from npm: pulls a feed with the official WSDL and a client certificate.
const assert = require('assert');
const fs = require('fs');
const https = require('https');
const path = require('path');
const soap = require('soap');

const [wsdl, home, url] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(home, name));
const secrets = Object.fromEntries(
    [...read('secrets/noordzee.toml').toString().matchAll(/^(\w+)\s*=\s*"(.*)"$/gm)].map((m) => [m[1], m[2]]));

async function main() {
    const file = path.join(wsdl, 'UWLR_Leerlinggegevens_v2p2.wsdl');
    const tls = { ca: read('certs/ca.pem'), cert: read('certs/noordzee.pem'), key: read('certs/noordzee.key') };
    const client = await soap.createClientAsync(file, {}, url);
    client.setSecurity(new soap.ClientSSLSecurity(tls.key, tls.cert, tls.ca));
    const ns = 'http://www.edustandaard.nl/leerresultaten/2/autorisatie';
    client.addSoapHeader({ autorisatie: secrets }, '', 'aut', ns);
    const asked = { schooljaar: '2026-2027', brincode: '99DE', xsdversie: '2.2' };
    const [answer] = await client.HaalLeerlinggegevensAsync(asked);
    const data = answer.leerlinggegevens;
    assert.strictEqual(data.school.brincode, '99DE');
    const pupils = [].concat(data.leerlingen.leerling);
    assert.strictEqual(pupils.length, 2);
    assert.strictEqual(pupils[0].roepnaam, 'Jip & Jan');
    assert.match(pupils[0].attributes.eckid, /^https:\/\/sluis\.example\/1\/[0-9a-f]{128}$/);
    assert.strictEqual(pupils[0].groep.attributes.key, [].concat(data.groepen.groep)[0].attributes.key);
    assert(!JSON.stringify(answer).includes('999990019'), 'no BSN');

    client.clearSoapHeaders();
    const fault = await client.HaalLeerlinggegevensAsync(asked).then(() => null, (error) => error);
    assert.match(fault.root.Envelope.Body.Fault.faultcode, /Client\.AutorisatieOngeldig$/);

    await new Promise((resolve) => {
        const plain = https.request(url, { method: 'POST', ca: tls.ca }, () => assert.fail('no certificate, and an answer'));
        plain.on('error', resolve);
        plain.end();
    });
    console.log(`soap ${require('soap/package.json').version} (npm): ${pupils.length} pupils, faults understood`);
}

main().catch((error) => { console.error(error); process.exit(1); });
