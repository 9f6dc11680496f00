import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.BufferedOutputStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayDeque;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.xml.stream.XMLInputFactory;
import javax.xml.stream.XMLStreamConstants;
import javax.xml.stream.XMLStreamReader;

/**
 * The sample agreement with what comes with Java: StAX, JCE, the HTTP server of the JDK. Strip, pseudonyms, tokens; no log.
 *
 * <pre>
 * java Strip KEYS file INPUT >OUTPUT
 * java Strip KEYS serve PORT CERTIFICATE PRIVATE_KEY LAS_URL
 * </pre>
 */
public final class Strip {
    private static final String NAMESPACE = "http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens";
    private static final String SOAP = "http://schemas.xmlsoap.org/soap/envelope/";
    private static final XMLInputFactory FACTORY = XMLInputFactory.newFactory();

    static {
        FACTORY.setProperty(XMLInputFactory.SUPPORT_DTD, false);
        FACTORY.setProperty(XMLInputFactory.IS_COALESCING, true);
    }

    /** An element that is let through, and where its children lead. */
    private enum Place {
        DOCUMENT, ENVELOPE, BODY, ANSWER, DATA, SCHOOL, GROUPS, GROUP, MIXED_GROUP, PUPILS, PUPIL, PUPIL_GROUPS, TEACHERS,
        TEACHER, TEACHER_GROUPS, TEACHER_GROUP, TEXT, YEAR, REFERENCE;

        private final Map<String, Place> children = new HashMap<>();

        boolean hasLine() {
            return switch (this) {
                case SCHOOL, GROUPS, GROUP, MIXED_GROUP, PUPILS, PUPIL, TEACHERS, TEACHER -> true;
                default -> false;
            };
        }

        private static void lead(Place from, Place to, String... names) {
            for (String name : names) {
                from.children.put(name, to);
            }
        }

        static {
            lead(DOCUMENT, ENVELOPE, "Envelope");
            lead(ENVELOPE, BODY, "Body");
            lead(BODY, ANSWER, "leerlinggegevens_antwoord");
            lead(ANSWER, DATA, "leerlinggegevens");
            lead(DATA, SCHOOL, "school");
            lead(DATA, GROUPS, "groepen");
            lead(DATA, PUPILS, "leerlingen");
            lead(DATA, TEACHERS, "leerkrachten");
            lead(SCHOOL, TEXT, "schooljaar", "brincode", "dependancecode", "xsdversie");
            lead(GROUPS, GROUP, "groep");
            lead(GROUPS, MIXED_GROUP, "samengestelde_groep");
            lead(GROUP, TEXT, "naam", "jaargroep");
            lead(MIXED_GROUP, TEXT, "naam");
            lead(PUPILS, PUPIL, "leerling");
            lead(PUPIL, TEXT, "achternaam", "voorvoegsel", "roepnaam", "jaargroep");
            lead(PUPIL, YEAR, "geboortedatum");
            lead(PUPIL, REFERENCE, "groep");
            lead(PUPIL, PUPIL_GROUPS, "samengestelde_groepen");
            lead(PUPIL_GROUPS, REFERENCE, "samengestelde_groep");
            lead(TEACHERS, TEACHER, "leerkracht");
            lead(TEACHER, TEXT, "achternaam", "voorvoegsel", "roepnaam", "emailadres");
            lead(TEACHER, TEACHER_GROUPS, "groepen");
            lead(TEACHER_GROUPS, TEACHER_GROUP, "groep", "samengestelde_groep");
            lead(TEACHER_GROUP, TEXT, "rol");
        }
    }

    private final StringBuilder out = new StringBuilder(1 << 16);
    private final Pseudonyms pseudonyms;

    private Strip(Pseudonyms pseudonyms) {
        this.pseudonyms = pseudonyms;
    }

    private void document(InputStream source, OutputStream receiver) throws Exception {
        out.setLength(0);
        out.append("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        ArrayDeque<Place> path = new ArrayDeque<>();
        path.push(Place.DOCUMENT);
        // A start tag is closed when it is known whether something follows.
        boolean open = false;
        XMLStreamReader reader = FACTORY.createXMLStreamReader(source);
        while (reader.hasNext()) {
            switch (reader.next()) {
                case XMLStreamConstants.START_ELEMENT -> {
                    Place place = path.peek().children.get(reader.getLocalName());
                    String expected = place == Place.ENVELOPE || place == Place.BODY ? SOAP : NAMESPACE;
                    if (place == null || !expected.equals(reader.getNamespaceURI())) {
                        for (int depth = 1; depth > 0; ) {
                            int event = reader.next();
                            depth += event == XMLStreamConstants.START_ELEMENT ? 1 : event == XMLStreamConstants.END_ELEMENT ? -1 : 0;
                        }
                    } else {
                        if (open) {
                            out.append('>');
                        }
                        start(place, reader);
                        open = true;
                        path.push(place);
                    }
                }
                case XMLStreamConstants.END_ELEMENT -> {
                    Place place = path.pop();
                    if (open) {
                        out.append("/>");
                        open = false;
                    } else {
                        if (place == Place.GROUPS || place == Place.PUPILS || place == Place.TEACHERS || place == Place.DATA) {
                            out.append('\n');
                        }
                        out.append("</");
                        name(place, reader);
                        out.append('>');
                    }
                    if (place == Place.ENVELOPE) {
                        out.append('\n');
                    }
                    if (out.length() > 60_000) {
                        flush(receiver);
                    }
                }
                case XMLStreamConstants.CHARACTERS -> {
                    Place place = path.peek();
                    if (place == Place.TEXT || place == Place.YEAR) {
                        if (open) {
                            out.append('>');
                            open = false;
                        }
                        if (place == Place.YEAR) {
                            out.append(reader.getText().strip(), 0, 4).append("-01-01");
                        } else {
                            escape(reader.getTextCharacters(), reader.getTextStart(), reader.getTextLength());
                        }
                    } else if (open) {
                        // White space between records; an element of records is not empty.
                        if (place != Place.REFERENCE) {
                            out.append('>');
                            open = false;
                        }
                    }
                }
                default -> { }
            }
        }
        flush(receiver);
    }

    private void flush(OutputStream receiver) throws Exception {
        receiver.write(out.toString().getBytes(StandardCharsets.UTF_8));
        out.setLength(0);
    }

    private void name(Place place, XMLStreamReader reader) {
        if (place == Place.ENVELOPE || place == Place.BODY) {
            out.append("soapenv:");
        }
        out.append(reader.getLocalName());
    }

    private void start(Place place, XMLStreamReader reader) throws Exception {
        if (place.hasLine()) {
            out.append('\n');
        }
        out.append('<');
        name(place, reader);
        switch (place) {
            case ENVELOPE -> out.append(" xmlns:soapenv=\"").append(SOAP).append('"');
            case ANSWER -> out.append(" xmlns=\"").append(NAMESPACE).append('"');
            case PUPIL, TEACHER -> {
                String key = reader.getAttributeValue(null, "key").strip();
                String kind = place == Place.PUPIL ? "leerling" : "leerkracht";
                out.append(" eckid=\"").append(pseudonyms.eckid(kind, key));
                out.append("\" key=\"").append(pseudonyms.token(kind, key)).append('"');
            }
            case GROUP, MIXED_GROUP, REFERENCE, TEACHER_GROUP -> {
                String key = reader.getAttributeValue(null, "key").strip();
                out.append(" key=\"").append(pseudonyms.group(reader.getLocalName(), key)).append('"');
            }
            default -> { }
        }
    }

    private void escape(char[] text, int from, int length) {
        for (int at = from; at < from + length; at++) {
            switch (text[at]) {
                case '&' -> out.append("&amp;");
                case '<' -> out.append("&lt;");
                case '>' -> out.append("&gt;");
                default -> out.append(text[at]);
            }
        }
    }

    /** The keyed hash, and AES-SIV (RFC 5297) on the AES of the JDK. One for each thread. */
    private static final class Pseudonyms {
        private final Mac eckid = Mac.getInstance("HmacSHA512");
        private final Cipher mac = Cipher.getInstance("AES/CBC/NoPadding");
        private final Cipher counter = Cipher.getInstance("AES/CTR/NoPadding");
        private final SecretKeySpec macKey;
        private final SecretKeySpec counterKey;
        private final String prefix;
        private final byte[] first;
        private final byte[] second;
        private final Map<String, byte[]> kinds = new HashMap<>();
        private final Map<String, String> groups = new HashMap<>();

        Pseudonyms(List<String> keys) throws Exception {
            eckid.init(new SecretKeySpec(HexFormat.of().parseHex(keys.get(0)), "HmacSHA512"));
            byte[] token = HexFormat.of().parseHex(keys.get(1));
            macKey = new SecretKeySpec(token, 0, 32, "AES");
            counterKey = new SecretKeySpec(token, 32, 32, "AES");
            prefix = keys.get(2);
            mac.init(Cipher.ENCRYPT_MODE, macKey, new IvParameterSpec(new byte[16]));
            first = twice(mac.doFinal(new byte[16]));
            second = twice(first);
        }

        String eckid(String kind, String key) {
            byte[] kindBytes = kind.getBytes(StandardCharsets.UTF_8);
            byte[] keyBytes = key.getBytes(StandardCharsets.UTF_8);
            ByteBuffer message = ByteBuffer.allocate(8 + kindBytes.length + keyBytes.length);
            message.putInt(kindBytes.length).put(kindBytes).putInt(keyBytes.length).put(keyBytes);
            return prefix + HexFormat.of().formatHex(eckid.doFinal(message.array()));
        }

        String group(String kind, String key) throws Exception {
            String name = kind + ' ' + key;
            String known = groups.get(name);
            if (known == null) {
                known = token(kind, key);
                groups.put(name, known);
            }
            return known;
        }

        String token(String kind, String key) throws Exception {
            byte[] sealed = new byte[48];
            byte[] keyBytes = key.getBytes(StandardCharsets.UTF_8);
            if (keyBytes.length > 31) {
                throw new IllegalArgumentException("a key of another length");
            }
            sealed[16] = (byte) keyBytes.length;
            System.arraycopy(keyBytes, 0, sealed, 17, keyBytes.length);
            byte[] sum = kinds.get(kind);
            if (sum == null) {
                // Of the zero block and of what is bound to the text; the same for each key of a kind.
                sum = twice(cmac(new byte[16]));
                xor(sum, cmac(kind.getBytes(StandardCharsets.UTF_8)));
                kinds.put(kind, sum);
            }
            byte[] text = java.util.Arrays.copyOfRange(sealed, 16, 48);
            for (int at = 0; at < 16; at++) {
                text[16 + at] ^= sum[at];
            }
            byte[] vector = cmac(text);
            byte[] start = vector.clone();
            start[8] &= 0x7f;
            start[12] &= 0x7f;
            counter.init(Cipher.ENCRYPT_MODE, counterKey, new IvParameterSpec(start));
            counter.doFinal(sealed, 16, 32, sealed, 16);
            System.arraycopy(vector, 0, sealed, 0, 16);
            return Base64.getUrlEncoder().withoutPadding().encodeToString(sealed).replace('-', '.');
        }

        private byte[] cmac(byte[] message) throws Exception {
            boolean whole = message.length > 0 && message.length % 16 == 0;
            byte[] padded = java.util.Arrays.copyOf(message, whole ? message.length : (message.length / 16 + 1) * 16);
            if (!whole) {
                padded[message.length] = (byte) 0x80;
            }
            byte[] last = whole ? first : second;
            for (int at = 0; at < 16; at++) {
                padded[padded.length - 16 + at] ^= last[at];
            }
            // After doFinal a CBC cipher stands at its first vector, zeros, again.
            byte[] chained = mac.doFinal(padded);
            return java.util.Arrays.copyOfRange(chained, chained.length - 16, chained.length);
        }

        private static byte[] twice(byte[] block) {
            byte[] doubled = new byte[16];
            for (int at = 0; at < 16; at++) {
                doubled[at] = (byte) (block[at] << 1 | (at < 15 ? (block[at + 1] & 0xff) >> 7 : 0));
            }
            if (block[0] < 0) {
                doubled[15] ^= (byte) 0x87;
            }
            return doubled;
        }

        private static void xor(byte[] into, byte[] other) {
            for (int at = 0; at < 16; at++) {
                into[at] ^= other[at];
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        List<String> keys = Files.readAllLines(Path.of(arguments[0]));
        if (arguments[1].equals("file")) {
            try (InputStream source = new FileInputStream(arguments[2]);
                    OutputStream receiver = new BufferedOutputStream(System.out, 1 << 16)) {
                new Strip(new Pseudonyms(keys)).document(source, receiver);
            }
            return;
        }
        ThreadLocal<Strip> strips = ThreadLocal.withInitial(() -> {
            try {
                return new Strip(new Pseudonyms(keys));
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        });
        java.net.URL las = URI.create(arguments[5]).toURL();
        HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[2])), 1024);
        server.setHttpsConfigurator(new HttpsConfigurator(tls(Path.of(arguments[3]), Path.of(arguments[4]))));
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.createContext("/", exchange -> {
            byte[] request = exchange.getRequestBody().readAllBytes();
            HttpURLConnection asked = (HttpURLConnection) las.openConnection();
            asked.setDoOutput(true);
            asked.setRequestProperty("Content-Type", "text/xml; charset=utf-8");
            asked.getOutputStream().write(request);
            ByteArrayOutputStream body = new ByteArrayOutputStream(1 << 18);
            try (InputStream answer = asked.getInputStream()) {
                strips.get().document(new ByteArrayInputStream(answer.readAllBytes()), body);
            } catch (Exception error) {
                throw new java.io.IOException(error);
            }
            exchange.getResponseHeaders().set("Content-Type", "text/xml; charset=utf-8");
            exchange.sendResponseHeaders(200, body.size());
            try (OutputStream receiver = exchange.getResponseBody()) {
                body.writeTo(receiver);
            }
        });
        server.start();
    }

    private static SSLContext tls(Path certificate, Path key) throws Exception {
        Certificate[] chain;
        try (InputStream pem = Files.newInputStream(certificate)) {
            chain = CertificateFactory.getInstance("X.509").generateCertificates(pem).toArray(new Certificate[0]);
        }
        String pem = Files.readString(key).replaceAll("-----[A-Z ]+-----|\\s", "");
        PKCS8EncodedKeySpec encoded = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem));
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        String kind = chain[0].getPublicKey().getAlgorithm();
        store.setKeyEntry("gateway", KeyFactory.getInstance(kind).generatePrivate(encoded), new char[0], chain);
        KeyManagerFactory managers = KeyManagerFactory.getInstance("PKIX");
        managers.init(store, new char[0]);
        SSLContext context = SSLContext.getInstance("TLSv1.3");
        context.init(managers.getKeyManagers(), null, null);
        return context;
    }
}
