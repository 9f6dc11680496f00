"""Scans the ports of a gateway with sslyze, and fails on whatever it finds.

    tls.py CERTIFICATES GATEWAY_PORT REVIEW_PORT OPERATIONS_PORT

Each rule is written out here, so that it can be read what was asked; Mozilla's "intermediate" comes on top.
"""
import datetime
import pathlib
import sys
import warnings

warnings.filterwarnings("ignore", module="sslyze")  # about certificates in the trust stores it brings along

import cryptography.x509 as x509
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID
from sslyze import (
    CertificateInfoExtraArgument,
    ClientAuthenticationCredentials,
    ClientAuthRequirementEnum,
    RobotScanResultEnum,
    ScanCommand,
    ScanCommandAttemptStatusEnum,
    ScanCommandErrorReasonEnum,
    ScanCommandsExtraArguments,
    Scanner,
    ServerConnectivityStatusEnum,
    ServerNetworkConfiguration,
    ServerNetworkLocation,
    ServerScanRequest,
    ServerScanStatusEnum,
    TlsResumptionSupportEnum,
)
from sslyze.mozilla_tls_profile.tls_config_checker import (
    MozillaTlsConfiguration,
    ServerNotCompliantWithTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)

folder = pathlib.Path(sys.argv[1])
gateway, review, operations = map(int, sys.argv[2:5])
STRANGER = "gateway, without a certificate"
# Of what comes back over HTTP nothing is looked at here.
COMMANDS = set(ScanCommand) - {ScanCommand.HTTP_HEADERS}
# Those that go on after the handshake.
WITHIN = {ScanCommand.SESSION_RENEGOTIATION, ScanCommand.SESSION_RESUMPTION, ScanCommand.TLS_1_3_EARLY_DATA}
CERTIFICATE_NEEDED = ScanCommandErrorReasonEnum.CLIENT_CERTIFICATE_NEEDED
CURVES = {"X25519", "secp256r1", "secp384r1"}
wrong = []


def check(holds, words):
    if not holds:
        wrong.append(words)


def of(name, port, client=None):
    location = ServerNetworkLocation("localhost", port, ip_address="127.0.0.1")
    credentials = None
    if client:
        path = folder / client
        credentials = ClientAuthenticationCredentials(path.with_suffix(".pem"), path.with_suffix(".key"))
    network = ServerNetworkConfiguration("localhost", tls_client_auth_credentials=credentials)
    extra = ScanCommandsExtraArguments(
        certificate_info=CertificateInfoExtraArgument(custom_ca_file=folder / "ca.pem")
    )
    return name, ServerScanRequest(location, network, COMMANDS, extra)


def certificate(name, leaf, usage, names):
    """A development certificate: what it is for, whose it is, how long, and who signed it."""
    authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    leaf.verify_directly_issued_by(authority)
    extension = lambda kind: leaf.extensions.get_extension_for_class(kind).value
    usages = extension(x509.KeyUsage)
    others = (usages.key_cert_sign, usages.crl_sign, usages.key_encipherment, usages.data_encipherment)
    check(usages.digital_signature and not any(others), f"{name}: its key is for signing and nothing else")
    check(list(extension(x509.ExtendedKeyUsage)) == [usage], f"{name}: its purpose is {usage._name} alone")
    alternative = extension(x509.SubjectAlternativeName)
    found = set(alternative.get_values_for_type(x509.DNSName))
    found |= {str(address) for address in alternative.get_values_for_type(x509.IPAddress)}
    check(found == names, f"{name}: it is of {names}, not of {found}")
    own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    check(extension(x509.AuthorityKeyIdentifier).key_identifier == own, f"{name}: it names the key of its issuer")
    for what, one in ((name, leaf), ("CA", authority)):
        span = one.not_valid_after_utc - one.not_valid_before_utc
        now = datetime.datetime.now(datetime.timezone.utc)
        check(one.not_valid_before_utc <= now < one.not_valid_after_utc, f"{what}: it is valid now")
        check(span <= datetime.timedelta(days=366), f"{what}: it is valid for {span.days} days")
        check(one.version == x509.Version.v3, f"{what}: it is of X.509 version 3")
        check(one.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256, f"{what}: how it is signed")
        check(0 < one.serial_number.bit_length() <= 159, f"{what}: its serial number is positive and short")
        check(one.public_key().curve.name == "secp256r1", f"{what}: its key is on P-256")
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    check(basic.critical and basic.value.ca and basic.value.path_length == 0, "CA: it issues no other CA")
    signs = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    check(signs.key_cert_sign and not signs.digital_signature, "CA: its key signs certificates and nothing else")


def suites(name, found):
    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        accepted = getattr(found, f"{version}_cipher_suites").result.accepted_cipher_suites
        check(not accepted, f"{name}: it speaks {version}")
    for version in ("tls_1_2", "tls_1_3"):
        accepted = getattr(found, f"{version}_cipher_suites").result.accepted_cipher_suites
        check(accepted, f"{name}: it does not speak {version}")
        for one in accepted:
            suite = one.cipher_suite.name
            exchange = version == "tls_1_3" or suite.startswith("TLS_ECDHE_")
            check(exchange and one.ephemeral_key is not None, f"{name}: {suite} has no forward secrecy")
            check("_GCM_" in suite or "_POLY1305_" in suite, f"{name}: {suite} has no authenticated encryption")
            check(one.cipher_suite.key_size >= 128, f"{name}: {suite} is weak")


def vulnerabilities(name, found):
    check(not found.tls_compression.result.supports_compression, f"{name}: compression")
    check(not found.tls_1_3_early_data.result.supports_early_data, f"{name}: early data")
    check(not found.openssl_ccs_injection.result.is_vulnerable_to_ccs_injection, f"{name}: CCS injection")
    check(not found.heartbleed.result.is_vulnerable_to_heartbleed, f"{name}: Heartbleed")
    robot = found.robot.result.robot_result
    check(robot == RobotScanResultEnum.NOT_VULNERABLE_RSA_NOT_SUPPORTED, f"{name}: ROBOT, {robot}")
    check(found.tls_fallback_scsv.result.supports_fallback_scsv, f"{name}: a downgrade goes unnoticed")
    renegotiation = found.session_renegotiation.result
    check(renegotiation.supports_secure_renegotiation, f"{name}: renegotiation is not secure")
    check(not renegotiation.is_vulnerable_to_client_renegotiation_dos, f"{name}: clients may renegotiate")
    check(found.tls_extended_master_secret.result.supports_ems_extension, f"{name}: no extended master secret")
    curves = {curve.name for curve in found.elliptic_curves.result.supported_curves}
    check(curves == CURVES, f"{name}: curves {curves}")
    # Sessions are remembered, for a while and not by a ticket: its key would open every session it was given to.
    tickets = found.session_resumption.result.tls_ticket_resumption_result
    check(tickets == TlsResumptionSupportEnum.NOT_SUPPORTED, f"{name}: session tickets, {tickets}")


def trust(name, result):
    for deployment in result.certificate_deployments:
        for validation in deployment.path_validation_results:
            if validation.trust_store.name == "Supplied CA file":
                check(validation.was_validation_successful, f"{name}: {validation.validation_error}")
            else:
                # No browser may come to trust it.
                check(not validation.was_validation_successful, f"{name}: {validation.trust_store.name} trusts it")
        check(deployment.verified_certificate_chain, f"{name}: no chain that can be verified")
        check(deployment.received_chain_has_valid_order, f"{name}: the order of the chain")
        check(not deployment.received_chain_contains_anchor_certificate, f"{name}: the CA is sent along")
        check(not deployment.verified_chain_has_sha1_signature, f"{name}: SHA-1")
        leaf = deployment.received_certificate_chain[0]
        certificate(name, leaf, ExtendedKeyUsageOID.SERVER_AUTH, {"localhost", "127.0.0.1", "::1"})


scans = [
    of("gateway", gateway, "noordzee"),
    of(STRANGER, gateway),
    of("review", review),
    of("operations", operations),
]
names = {request.uuid: name for name, request in scans}
scanner = Scanner()
scanner.queue_scans([request for _, request in scans])
seen = set()
for scan in scanner.get_results():
    name = names[scan.uuid]
    seen.add(name)
    before = len(wrong)
    if name == "operations":
        # Plain HTTP: sslyze gets no handshake out of it.
        check(scan.connectivity_status == ServerConnectivityStatusEnum.ERROR, "operations: it speaks TLS")
        print("operations: no TLS")
        continue
    if scan.scan_status != ServerScanStatusEnum.COMPLETED:
        wrong.append(f"{name}: {scan.scan_status} {scan.connectivity_error_trace}")
        continue
    found = scan.scan_result
    attempts = {command: getattr(found, command.value) for command in COMMANDS}
    unfinished = [
        f"{name}: {command.value} {attempt.status} {attempt.error_reason} {attempt.error_trace}"
        for command, attempt in attempts.items()
        if attempt.status != ScanCommandAttemptStatusEnum.COMPLETED
    ]
    if name == STRANGER:
        required = scan.connectivity_result.client_auth_requirement
        check(required == ClientAuthRequirementEnum.REQUIRED, f"{name}: a client certificate is {required}")
        refused = {command for command, attempt in attempts.items() if attempt.error_reason == CERTIFICATE_NEEDED}
        check(refused == WITHIN, f"{name}: was refused {refused}")
        print(f"{name}: refused")
        continue
    if unfinished:
        wrong += unfinished
        continue
    suites(name, found)
    vulnerabilities(name, found)
    trust(name, found.certificate_info.result)
    try:
        intermediate = MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
        check_server_against_tls_configuration(scan, intermediate)
    except ServerNotCompliantWithTlsConfiguration as error:
        wrong.append(f"{name}: not intermediate: {error.issues}")
    accepted = sum(
        len(getattr(found, f"{version}_cipher_suites").result.accepted_cipher_suites)
        for version in ("tls_1_2", "tls_1_3")
    )
    print(f"{name}: {accepted} cipher suites, {len(wrong) - before} findings")
client = x509.load_pem_x509_certificate((folder / "noordzee.pem").read_bytes())
certificate("noordzee", client, ExtendedKeyUsageOID.CLIENT_AUTH, {"noordzee.example"})
check(seen == set(names.values()), f"scanned: {sorted(seen)}")
for line in wrong:
    print(line)
sys.exit(bool(wrong))
