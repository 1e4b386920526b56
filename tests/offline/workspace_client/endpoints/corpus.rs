//! The tricks. Each table reads as documentation: what is tried, the URL or address, and what the operator says.

/// What is tried, the endpoint (`PORT` is the port of the sink), and what the operator says about it.
type Row = (&'static str, &'static str, &'static str);

const SHAPE: &str =
    "it must have the form https://HOST or https://HOST:PORT, without user, path, query or fragment";
const SPELLING: &str = "the host must be a DNS name or an address in its usual spelling";
const LABELS: &str = "labels of letters, digits and '-', without a trailing dot";
const NOT_IN_ALLOW_LIST: &str = "is not in the operator's --allowed-endpoints";
const BRACKETS: &str = "the text in brackets is not an IPv6 address";

/// What the operator of these tests allows, so generously that every trick that is read too kindly leads to the sink:
/// both literal addresses of this machine, and names that may lead to it.
pub(super) const ALLOWED: &str = "127.0.0.1=127.0.0.0/8;::1=::1/128;\
                                  allowed.example=127.0.0.0/8,::1/128;\
                                  workspace.*.myhuaweicloud.com=127.0.0.0/8,::1/128";

/// Refused as they are written: nothing is resolved, nothing is connected to.
#[rustfmt::skip]
pub(super) const WRITTEN: &[Row] = &[
    // An address in disguise, though 127.0.0.1 itself is allowed.
    ("decimal address", "https://2130706433:PORT", SPELLING),
    ("decimal address of the metadata service", "https://2852039166:PORT", SPELLING),
    ("decimal address beyond 32 bits", "https://6425673729:PORT", SPELLING),
    ("hexadecimal address", "https://0x7f000001:PORT", SPELLING),
    ("hexadecimal address, capital X", "https://0X7F000001:PORT", SPELLING),
    ("hexadecimal address of the metadata service", "https://0xa9fea9fe:PORT", SPELLING),
    ("hexadecimal parts", "https://0x7f.0x0.0x0.0x1:PORT", SPELLING),
    ("one hexadecimal part", "https://127.0.0.0x1:PORT", SPELLING),
    ("octal address", "https://017700000001:PORT", SPELLING),
    ("octal parts", "https://0177.0.0.01:PORT", SPELLING),
    ("octal parts with many zeros", "https://0000177.0000.0000.0001:PORT", SPELLING),
    ("octal address of the metadata service", "https://0251.0376.0251.0376:PORT", SPELLING),
    ("short address of two parts", "https://127.1:PORT", SPELLING),
    ("short address of three parts", "https://127.0.1:PORT", SPELLING),
    ("zero, which many take for this machine", "https://0:PORT", SPELLING),
    ("address with a dot at its end", "https://127.0.0.1.:PORT", SPELLING),
    ("address with a part of 256", "https://127.0.0.256:PORT", SPELLING),
    ("address of five parts", "https://127.0.0.1.1:PORT", SPELLING),
    ("IPv4 address in brackets", "https://[127.0.0.1]:PORT", BRACKETS),
    ("nothing in brackets", "https://[]:PORT", BRACKETS),
    ("brackets that do not close", "https://[::1", SHAPE),
    ("IPv6 address without brackets", "https://::1", SHAPE),
    ("zone id", "https://[fe80::1%eth0]:PORT", SHAPE),
    ("zone id of loopback, encoded", "https://[::1%25lo]:PORT", SHAPE),

    // An address that no entry names, though the network of another entry holds it.
    ("another loopback address", "https://127.0.0.2:PORT", NOT_IN_ALLOW_LIST),
    ("the last loopback address", "https://127.255.255.254:PORT", NOT_IN_ALLOW_LIST),
    ("the unspecified address", "https://0.0.0.0:PORT", NOT_IN_ALLOW_LIST),
    ("broadcast", "https://255.255.255.255:PORT", NOT_IN_ALLOW_LIST),
    ("private 10/8", "https://10.0.0.1:PORT", NOT_IN_ALLOW_LIST),
    ("private 172.16/12", "https://172.31.255.254:PORT", NOT_IN_ALLOW_LIST),
    ("private 192.168/16", "https://192.168.0.1:PORT", NOT_IN_ALLOW_LIST),
    ("usual address of the API server in a cluster", "https://10.96.0.1:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of most clouds", "https://169.254.169.254:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of Alibaba Cloud", "https://100.100.100.200:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of Azure", "https://168.63.129.16:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of Oracle Cloud", "https://192.0.0.192:PORT", NOT_IN_ALLOW_LIST),
    ("task metadata of containers", "https://169.254.170.2:PORT", NOT_IN_ALLOW_LIST),
    ("a public address", "https://8.8.8.8:PORT", NOT_IN_ALLOW_LIST),
    ("unspecified IPv6 address", "https://[::]:PORT", NOT_IN_ALLOW_LIST),
    ("IPv4 mapped into IPv6", "https://[::ffff:127.0.0.1]:PORT", NOT_IN_ALLOW_LIST),
    ("IPv4 mapped into IPv6, hexadecimal", "https://[::ffff:7f00:1]:PORT", NOT_IN_ALLOW_LIST),
    ("IPv4 mapped into IPv6, in full", "https://[0:0:0:0:0:ffff:7f00:0001]:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service mapped into IPv6", "https://[::ffff:169.254.169.254]:PORT", NOT_IN_ALLOW_LIST),
    ("IPv4-compatible IPv6", "https://[::127.0.0.1]:PORT", NOT_IN_ALLOW_LIST),
    ("IPv4-translated IPv6", "https://[::ffff:0:127.0.0.1]:PORT", NOT_IN_ALLOW_LIST),
    ("NAT64", "https://[64:ff9b::127.0.0.1]:PORT", NOT_IN_ALLOW_LIST),
    ("NAT64 of the metadata service", "https://[64:ff9b::a9fe:a9fe]:PORT", NOT_IN_ALLOW_LIST),
    ("NAT64 for local use", "https://[64:ff9b:1::7f00:1]:PORT", NOT_IN_ALLOW_LIST),
    ("6to4", "https://[2002:7f00:1::]:PORT", NOT_IN_ALLOW_LIST),
    ("Teredo", "https://[2001:0:7f00:1::]:PORT", NOT_IN_ALLOW_LIST),
    ("link-local IPv6", "https://[fe80::1]:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of OpenStack", "https://[fe80::a9fe:a9fe]:PORT", NOT_IN_ALLOW_LIST),
    ("unique-local IPv6", "https://[fc00::1]:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of AWS over IPv6", "https://[fd00:ec2::254]:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of Google over IPv6", "https://[fd20:ce::254]:PORT", NOT_IN_ALLOW_LIST),
    ("multicast IPv6", "https://[ff02::1]:PORT", NOT_IN_ALLOW_LIST),

    // A name of this machine, of the cluster or of a metadata service.
    ("this machine", "https://localhost:PORT", NOT_IN_ALLOW_LIST),
    ("this machine, in capitals", "https://LOCALHOST:PORT", NOT_IN_ALLOW_LIST),
    ("this machine, with a domain", "https://localhost.localdomain:PORT", NOT_IN_ALLOW_LIST),
    ("this machine over IPv6", "https://ip6-localhost:PORT", NOT_IN_ALLOW_LIST),
    ("this machine, with a dot at the end", "https://localhost.:PORT", LABELS),
    ("API server, in its namespace", "https://kubernetes:PORT", NOT_IN_ALLOW_LIST),
    ("API server, short", "https://kubernetes.default:PORT", NOT_IN_ALLOW_LIST),
    ("API server", "https://kubernetes.default.svc:PORT", NOT_IN_ALLOW_LIST),
    ("API server, in full", "https://kubernetes.default.svc.cluster.local:PORT", NOT_IN_ALLOW_LIST),
    ("any service of the cluster", "https://vault.security.svc.cluster.local:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of Google", "https://metadata.google.internal:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of Google, short", "https://metadata:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of AWS", "https://instance-data.ec2.internal:PORT", NOT_IN_ALLOW_LIST),
    ("metadata service of Tencent Cloud", "https://metadata.tencentyun.com:PORT", NOT_IN_ALLOW_LIST),
    ("public name for an address within it", "https://127.0.0.1.nip.io:PORT", NOT_IN_ALLOW_LIST),
    ("public name for the metadata service", "https://169-254-169-254.sslip.io:PORT", NOT_IN_ALLOW_LIST),

    // A name that resembles an allowed one.
    ("allowed host as the beginning", "https://allowed.example.evil.com:PORT", NOT_IN_ALLOW_LIST),
    ("allowed host as the beginning, a dash", "https://allowed.example-evil.com:PORT", NOT_IN_ALLOW_LIST),
    ("allowed host as the end", "https://evil-allowed.example:PORT", NOT_IN_ALLOW_LIST),
    ("below an allowed host", "https://evil.allowed.example:PORT", NOT_IN_ALLOW_LIST),
    ("above an allowed host", "https://example:PORT", NOT_IN_ALLOW_LIST),
    ("allowed host with a dot at the end", "https://allowed.example.:PORT", LABELS),
    ("allowed host with a dot at the beginning", "https://.allowed.example:PORT", LABELS),
    ("vendor's host as the beginning", "https://workspace.cn-north-4.myhuaweicloud.com.evil.example:PORT", NOT_IN_ALLOW_LIST),
    ("vendor's domain as the end of a label", "https://workspace.cn-north-4.evilmyhuaweicloud.com:PORT", NOT_IN_ALLOW_LIST),
    ("vendor's host as the end of a label", "https://evil-workspace.cn-north-4.myhuaweicloud.com:PORT", NOT_IN_ALLOW_LIST),
    ("two labels for a region", "https://workspace.a.b.myhuaweicloud.com:PORT", NOT_IN_ALLOW_LIST),
    ("no label for a region", "https://workspace.myhuaweicloud.com:PORT", NOT_IN_ALLOW_LIST),
    ("an empty label for a region", "https://workspace..myhuaweicloud.com:PORT", LABELS),
    ("a label that begins with a dash", "https://workspace.-a.myhuaweicloud.com:PORT", LABELS),
    ("a customer's host in the vendor's domain", "https://bucket.obs.cn-north-4.myhuaweicloud.com:PORT", NOT_IN_ALLOW_LIST),
    ("another end of the vendor's domain", "https://workspace.cn-north-4.myhuaweicloud.net:PORT", NOT_IN_ALLOW_LIST),
    ("punycode of a letter that looks alike", "https://xn--llowed-4nf.example:PORT", NOT_IN_ALLOW_LIST),

    // Something beside host and port.
    ("allowed host as user", "https://allowed.example@127.0.0.2:PORT", SHAPE),
    ("allowed host and port as user and password", "https://allowed.example:443@127.0.0.2:PORT", SHAPE),
    ("user at an allowed host", "https://user@allowed.example:PORT", SHAPE),
    ("an empty user", "https://@allowed.example:PORT", SHAPE),
    ("user, encoded", "https://allowed.example%40127.0.0.2:PORT", SHAPE),
    ("a path", "https://allowed.example:PORT/v2", SHAPE),
    ("a path of a slash too many", "https://allowed.example:PORT//", SHAPE),
    ("a host after a path", "https://allowed.example:PORT/@127.0.0.2", SHAPE),
    ("a query", "https://allowed.example:PORT?a=b", SHAPE),
    ("a fragment", "https://allowed.example:PORT#a", SHAPE),
    ("a backslash, which some read as a slash", "https://127.0.0.2:PORT\\@allowed.example", SHAPE),
    ("a dot, encoded", "https://allowed%2eexample:PORT", SHAPE),
    ("a digit, encoded", "https://%3127.0.0.1:PORT", SHAPE),
    ("a zero byte, encoded", "https://allowed.example%00.evil.example:PORT", SHAPE),
    ("a zero byte", "https://allowed.example\0.evil.example:PORT", SHAPE),
    ("a line feed, which some drop", "https://allowed\n.example:PORT", SHAPE),
    ("a carriage return and another header", "https://allowed.example:PORT\r\nX-Evil: 1", SHAPE),
    ("a tab, which some drop", "https://allowed\t.example:PORT", SHAPE),
    ("a blank before", " https://allowed.example:PORT", SHAPE),
    ("a blank after", "https://allowed.example:PORT ", SHAPE),
    ("an underscore", "https://allowed_.example:PORT", SHAPE),
    ("a star", "https://*.example:PORT", SHAPE),
    ("nothing", "", SHAPE),
    ("no host", "https://:PORT", SHAPE),

    // Another scheme.
    ("in the clear", "http://allowed.example:PORT", SHAPE),
    ("a scheme in capitals", "HTTPS://allowed.example:PORT", SHAPE),
    ("one slash", "https:/allowed.example:PORT", SHAPE),
    ("no slash", "https:allowed.example:PORT", SHAPE),
    ("three slashes", "https:///allowed.example:PORT", SHAPE),
    ("no scheme", "//allowed.example:PORT", SHAPE),
    ("a file", "file:///etc/passwd", SHAPE),
    ("gopher", "gopher://allowed.example:PORT", SHAPE),
    ("a Unix socket", "unix:///var/run/docker.sock", SHAPE),

    // A port that is none.
    ("an empty port", "https://allowed.example:", SHAPE),
    ("port 0", "https://allowed.example:0", SHAPE),
    ("port 65536", "https://allowed.example:65536", SHAPE),
    ("a port of six digits", "https://allowed.example:000443", SHAPE),
    ("a port with a sign", "https://allowed.example:+443", SHAPE),
    ("a negative port", "https://allowed.example:-1", SHAPE),
    ("two ports", "https://allowed.example:443:PORT", SHAPE),
    ("a hexadecimal port", "https://allowed.example:0x1bb", SHAPE),

    // Letters and digits beyond ASCII.
    ("full-width digits", "https://１２７.０.０.１:PORT", SHAPE),
    ("digits in circles", "https://①②⑦.⓪.⓪.①:PORT", SHAPE),
    ("Arabic digits", "https://١٢٧.٠.٠.١:PORT", SHAPE),
    ("a full stop of East Asia", "https://allowed。example:PORT", SHAPE),
    ("a Cyrillic letter that looks alike", "https://\u{430}llowed.example:PORT", SHAPE),
    ("full-width letters", "https://ａｌｌｏｗｅｄ.example:PORT", SHAPE),
    ("a full-width slash", "https://allowed.example／.evil.example:PORT", SHAPE),
    ("a space of no width", "https://allowed\u{200b}.example:PORT", SHAPE),
    ("a soft hyphen", "https://al\u{ad}lowed.example:PORT", SHAPE),
    ("text from right to left", "https://allowed.example\u{202e}:PORT", SHAPE),
];

/// A literal address whose entry has no network that holds it: what it is, the entry, the endpoint.
#[rustfmt::skip]
pub(super) const NAMED: &[Row] = &[
    ("loopback, no network", "127.0.0.1", "https://127.0.0.1:PORT"),
    ("loopback, another network", "127.0.0.1=10.0.0.0/8", "https://127.0.0.1:PORT"),
    ("loopback over IPv6, no network", "::1", "https://[::1]:PORT"),
    ("loopback over IPv6, in full", "::1", "https://[0:0:0:0:0:0:0:1]:PORT"),
    ("mapped loopback, the IPv4 network", "::ffff:127.0.0.1=127.0.0.0/8", "https://[::ffff:127.0.0.1]:PORT"),
    ("unspecified address", "0.0.0.0", "https://0.0.0.0:PORT"),
    ("metadata service", "169.254.169.254", "https://169.254.169.254:PORT"),
    ("private address", "10.0.0.1", "https://10.0.0.1:PORT"),
    ("unique-local address", "fd00::1", "https://[fd00::1]:PORT"),
    ("public address", "8.8.8.8", "https://8.8.8.8:PORT"),
];

/// What an allowed name leads to, and what the operator calls it.
#[rustfmt::skip]
pub(super) const RESOLVED: &[(&str, &str)] = &[
    ("0.0.0.0", "an unspecified address"),
    ("10.0.0.1", "a private address"),
    ("10.96.0.1", "a private address"),
    ("100.100.100.200", "an address of a metadata service"),
    ("127.0.0.1", "a loopback address"),
    ("127.1.2.3", "a loopback address"),
    ("127.255.255.254", "a loopback address"),
    ("168.63.129.16", "an address of a metadata service"),
    ("169.254.169.254", "a link-local address, as metadata services have"),
    ("169.254.170.2", "a link-local address, as metadata services have"),
    ("172.16.0.1", "a private address"),
    ("172.31.255.255", "a private address"),
    ("192.0.0.192", "a reserved address"),
    ("192.0.2.1", "an address for documentation"),
    ("192.88.99.1", "a 6to4 relay"),
    ("192.168.255.255", "a private address"),
    ("198.18.0.1", "a benchmarking address"),
    ("224.0.0.1", "a multicast address"),
    ("255.255.255.255", "a reserved address"),
    ("::", "an unspecified address"),
    ("::1", "a loopback address"),
    ("::127.0.0.1", "an IPv4 address in a deprecated IPv6 form"),
    ("::ffff:127.0.0.1", "a loopback address"),
    ("::ffff:10.0.0.1", "a private address"),
    ("::ffff:169.254.169.254", "a link-local address, as metadata services have"),
    ("::ffff:0:127.0.0.1", "an IPv4 address in an IPv6 translation form"),
    ("64:ff9b::127.0.0.1", "a NAT64 address of an IPv4 address that is not public"),
    ("64:ff9b:1::10.0.0.1", "a NAT64 address for local use"),
    ("2001:0:7f00:1::", "a Teredo address"),
    ("2002:7f00:1::", "a 6to4 address"),
    ("fc00::1", "a unique-local address"),
    ("fd00:ec2::254", "a unique-local address"),
    ("fe80::a9fe:a9fe", "a link-local address"),
    ("fec0::1", "a site-local address"),
    ("ff02::1", "a multicast address"),
];
