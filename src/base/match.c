/* Globs, and hosts by glob or network. See match.h.
 * Must not know what is matched or why, and resolves nothing: a name is judged by its text alone,
 * so what a resolver or libcurl could turn into another name (percent-encoding, other alphabets)
 * never counts as local. Allocates nothing. Any thread, async-signal-safe. */
#include "base/match.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>

/* The longest text of an address: an IPv6 one that ends in dotted decimals. */
#define ADDRESS_MAX INET6_ADDRSTRLEN

/* IPv4 is kept as IPv4-mapped IPv6: one comparison for both, and mapped literals match as IPv4. */
struct address {
    uint8_t bytes[16];
};

struct network {
    struct address address;
    unsigned bits; /* of 128 */
};

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool glob_byte_match(char pattern, char c, bool nocase)
{
    return pattern == '?' || pattern == c || (nocase && lower(pattern) == lower(c));
}

bool shim_glob_match(struct shim_str pattern, struct shim_str text, bool nocase)
{
    size_t p = 0, t = 0;
    size_t star = SIZE_MAX; /* the last `*` seen, and where its run ends so far */
    size_t run_end = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            run_end = t;
        } else if (p < pattern.len && glob_byte_match(pattern.ptr[p], text.ptr[t], nocase)) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            /* Only the last `*` can be wrong: earlier ones took the shortest run that works. */
            p = star + 1;
            t = ++run_end;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

/* Steps through the members that are not empty, trimmed. */
static bool next_member(struct shim_str *rest, struct shim_str *ret_member)
{
    struct shim_str part;
    while (shim_str_split(rest, ',', &part)) {
        *ret_member = shim_str_trim(part);
        if (ret_member->len > 0)
            return true;
    }
    return false;
}

bool shim_glob_list_match(struct shim_str list, struct shim_str text, bool nocase)
{
    struct shim_str member;
    while (next_member(&list, &member)) {
        if (shim_glob_match(member, text, nocase))
            return true;
    }
    return false;
}

static bool contains_only(struct shim_str text, const char *set)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\0' || !strchr(set, text.ptr[i]))
            return false;
    }
    return true;
}

static bool contains(struct shim_str text, char c)
{
    return text.len > 0 && memchr(text.ptr, c, text.len);
}

static struct shim_str without_brackets(struct shim_str text)
{
    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        return shim_str_n(text.ptr + 1, text.len - 2);
    return text;
}

static bool read_ipv6(struct shim_str text, struct address *ret_address)
{
    char copy[ADDRESS_MAX];
    if (text.len >= sizeof(copy) || !contains(text, ':'))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, ret_address->bytes) == 1;
}

/* `loosely`: as libcurl and the resolver read it, 127.1 and 0x7f000001 too. */
static bool read_ipv4(struct shim_str text, bool loosely, struct address *ret_address)
{
    char copy[64];
    struct in_addr address;
    if (text.len == 0 || text.len >= sizeof(copy) ||
        !contains_only(text, "0123456789abcdefABCDEFxX."))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (loosely ? inet_aton(copy, &address) == 0 : inet_pton(AF_INET, copy, &address) != 1)
        return false;
    memcpy(ret_address->bytes, mapped_prefix, sizeof(mapped_prefix));
    memcpy(ret_address->bytes + sizeof(mapped_prefix), &address, sizeof(address));
    return true;
}

/* A host as it stands in a URL: brackets, zone id and a trailing dot are no part of the address. */
static bool read_host_address(struct shim_str host, struct address *ret_address)
{
    host = without_brackets(host);
    if (!contains(host, ':'))
        return read_ipv4(host, true, ret_address);
    const char *zone = memchr(host.ptr, '%', host.len);
    if (zone)
        host.len = (size_t)(zone - host.ptr);
    return read_ipv6(host, ret_address);
}

static bool read_network(struct shim_str member, struct network *ret_network)
{
    struct shim_str text = member;
    struct shim_str bits_text = {NULL, 0};
    const char *slash = memchr(member.ptr, '/', member.len);
    if (slash) {
        text.len = (size_t)(slash - member.ptr);
        bits_text = shim_str_n(slash + 1, member.len - text.len - 1);
    }
    text = without_brackets(text);
    bool is_ipv4 = read_ipv4(text, false, &ret_network->address);
    if (!is_ipv4 && !read_ipv6(text, &ret_network->address))
        return false;
    unsigned long long bits = is_ipv4 ? 32 : 128;
    unsigned long long given = bits;
    if (slash && (shim_str_to_u64(bits_text, &given) < 0 || given > bits))
        return false;
    ret_network->bits = (unsigned)given + (is_ipv4 ? 96 : 0);
    return true;
}

static bool network_has(const struct network *network, const struct address *address)
{
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (memcmp(network->address.bytes, address->bytes, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return ((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

/* What can only be meant as an address or a network. A mistake in it must not turn it into a glob.
 */
static bool looks_like_network(struct shim_str member)
{
    return contains(member, '/') || contains(member, ':') || contains_only(member, "0123456789.");
}

static struct shim_str without_trailing_dot(struct shim_str host)
{
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    return host;
}

bool shim_host_list_match(struct shim_str list, struct shim_str host)
{
    struct shim_str member;
    struct address address;
    struct network network;
    host = without_trailing_dot(without_brackets(host));
    bool is_address = read_host_address(host, &address);
    while (next_member(&list, &member)) {
        if (!looks_like_network(member)) {
            if (shim_glob_match(without_trailing_dot(member), host, true))
                return true;
        } else if (is_address && read_network(member, &network) &&
                   network_has(&network, &address)) {
            return true;
        }
    }
    return false;
}

static bool glob_is_readable(struct shim_str member)
{
    for (size_t i = 0; i < member.len; i++) {
        unsigned char c = (unsigned char)member.ptr[i];
        bool letter = (lower((char)c) >= 'a' && lower((char)c) <= 'z') || (c >= '0' && c <= '9');
        if (!letter && c < 0x80 && (c == '\0' || !strchr("-._*?", c)))
            return false;
    }
    return true;
}

int shim_host_list_check(struct shim_str list, struct shim_str *ret_bad)
{
    struct shim_str member;
    struct network network;
    while (next_member(&list, &member)) {
        if (looks_like_network(member) ? read_network(member, &network) : glob_is_readable(member))
            continue;
        *ret_bad = member;
        return -EINVAL;
    }
    return 0;
}

static bool address_is_local(const struct address *address)
{
    static const struct network local[] = {
        {{{[10] = 0xff, [11] = 0xff, [12] = 127}}, 104},             /* 127.0.0.0/8 */
        {{{[10] = 0xff, [11] = 0xff, [12] = 10}}, 104},              /* 10.0.0.0/8 */
        {{{[10] = 0xff, [11] = 0xff, [12] = 172, [13] = 16}}, 108},  /* 172.16.0.0/12 */
        {{{[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 168}}, 112}, /* 192.168.0.0/16 */
        {{{[10] = 0xff, [11] = 0xff, [12] = 169, [13] = 254}}, 112}, /* 169.254.0.0/16 */
        {{{[10] = 0xff, [11] = 0xff}}, 128},                         /* 0.0.0.0: this host */
        {{{[15] = 1}}, 128},                                         /* ::1 */
        {{{0}}, 128},                                                /* ::, this host */
        {{{[0] = 0xfc}}, 7},                                         /* fc00::/7 */
        {{{[0] = 0xfe, [1] = 0x80}}, 10},                            /* fe80::/10 */
    };
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        if (network_has(&local[i], address))
            return true;
    }
    return false;
}

static bool ends_with(struct shim_str text, struct shim_str end)
{
    if (text.len <= end.len)
        return false;
    return shim_str_equal_nocase(shim_str_n(text.ptr + text.len - end.len, end.len), end);
}

bool shim_host_is_local(struct shim_str host)
{
    static const char *const domains[] = {".local", ".internal", ".svc", ".cluster.local",
                                          ".localhost"};
    struct address address;
    host = without_trailing_dot(without_brackets(host));
    if (host.len == 0)
        return false;
    if (read_host_address(host, &address))
        return address_is_local(&address);
    /* Not plain ASCII letters: libcurl decodes %2e, and IDNA knows more full stops than one. */
    if (!glob_is_readable(host) || contains(host, '*') || contains(host, '?'))
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if ((unsigned char)host.ptr[i] >= 0x80)
            return false;
    }
    if (!contains(host, '.'))
        return true;
    for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
        if (ends_with(host, shim_str(domains[i])))
            return true;
    }
    return false;
}
