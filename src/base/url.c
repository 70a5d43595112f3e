/* Takes URLs apart as libcurl does, since what libcurl will connect to is what counts: one to three
 * slashes behind the scheme, the host ended by / ? or #, userinfo up to the last @ in front of it.
 * Must not know who asks. Allocates nothing. Any thread, async-signal-safe. */
#include "base/url.h"

#include <errno.h>

#define SCHEME_MAX 40
#define REDACTED   "REDACTED"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static struct shim_str skip(struct shim_str text, size_t len)
{
    return shim_str_n(text.ptr + len, text.len - len);
}

/* Cuts *text in front of `c`; what stood behind it goes to *ret_behind. */
static bool cut(struct shim_str *text, char c, struct shim_str *ret_behind)
{
    const char *found = text->len > 0 ? memchr(text->ptr, c, text->len) : NULL;
    if (!found)
        return false;
    size_t len = (size_t)(found - text->ptr);
    *ret_behind = skip(*text, len + 1);
    text->len = len;
    return true;
}

/* Length of the scheme, 0: none. libcurl guesses schemes, so one must be followed by ":/":
 * localhost:8080 has none. */
static size_t scheme_len(struct shim_str text)
{
    size_t len = 0;
    if (text.len == 0 || !is_letter(text.ptr[0]))
        return 0;
    while (len < text.len && len < SCHEME_MAX &&
           (is_letter(text.ptr[len]) || is_digit(text.ptr[len]) || text.ptr[len] == '+' ||
            text.ptr[len] == '-' || text.ptr[len] == '.'))
        len++;
    bool ended = len + 1 < text.len && text.ptr[len] == ':' && text.ptr[len + 1] == '/';
    return ended ? len : 0;
}

static int read_port(struct shim_str text, uint16_t *ret_port)
{
    unsigned long long port = 0;
    if (text.len > 0 && (shim_str_to_u64(text, &port) < 0 || port > UINT16_MAX))
        return -EINVAL;
    *ret_port = (uint16_t)port;
    return 0;
}

/* "[address%zone]" and an optional port. */
static int read_ipv6_host(struct shim_str text, struct shim_url *url)
{
    struct shim_str behind;
    struct shim_str inside = skip(text, 1);
    if (!cut(&inside, ']', &behind) || inside.len < 2)
        return -EINVAL;
    bool in_zone = false;
    for (size_t i = 0; i < inside.len; i++) {
        char c = inside.ptr[i];
        in_zone = in_zone || c == '%';
        if (in_zone ? c == ' ' || c == '[' : !is_hex(c) && c != ':' && c != '.')
            return -EINVAL;
    }
    if (behind.len > 0 && behind.ptr[0] != ':')
        return -EINVAL;
    url->host = inside;
    url->host_is_ipv6 = true;
    return behind.len > 0 ? read_port(skip(behind, 1), &url->port) : 0;
}

static int read_host(struct shim_str text, struct shim_url *url)
{
    struct shim_str port;
    if (text.len > 0 && text.ptr[0] == '[')
        return read_ipv6_host(text, url);
    url->host = text;
    if (cut(&url->host, ':', &port) && read_port(port, &url->port) < 0)
        return -EINVAL;
    if (url->host.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < url->host.len; i++) {
        if (strchr(" /:#?!@{}[]\\$'\"^`*<>=;,+&()", url->host.ptr[i]))
            return -EINVAL;
    }
    return 0;
}

static int read_authority(struct shim_str text, struct shim_url *url)
{
    const char *at = text.len > 0 ? memrchr(text.ptr, '@', text.len) : NULL;
    if (at) {
        url->userinfo = shim_str_n(text.ptr, (size_t)(at - text.ptr));
        text = skip(text, url->userinfo.len + 1);
    }
    return read_host(text, url);
}

int shim_url_parse(struct shim_str text, struct shim_url *ret_url)
{
    struct shim_url url = {0};
    for (size_t i = 0; i < text.len; i++) {
        if (is_control(text.ptr[i]))
            return -EINVAL;
    }
    size_t len = scheme_len(text);
    if (len > 0) {
        url.scheme = shim_str_n(text.ptr, len);
        if (shim_str_equal_nocase(url.scheme, shim_str("file")))
            return -EINVAL;
        text = skip(text, len + 1);
        size_t slashes = 0;
        while (slashes < text.len && slashes < 4 && text.ptr[slashes] == '/')
            slashes++;
        if (slashes > 3)
            return -EINVAL;
        text = skip(text, slashes);
    }
    cut(&text, '#', &url.fragment);
    size_t authority_len = 0;
    while (authority_len < text.len && text.ptr[authority_len] != '/' &&
           text.ptr[authority_len] != '?')
        authority_len++;
    struct shim_str authority = shim_str_n(text.ptr, authority_len);
    if (authority_len < text.len) {
        url.path = skip(text, authority_len);
        cut(&url.path, '?', &url.query);
    }
    int r = read_authority(authority, &url);
    if (r < 0)
        return r;
    *ret_url = url;
    return 0;
}

/* Where redacted text goes; what does not fit is left out. */
struct sink {
    char *dst;
    size_t cap;
    size_t len;
};

static void put_raw(struct sink *sink, struct shim_str text)
{
    size_t room = sink->cap - sink->len;
    size_t len = text.len < room ? text.len : room;
    if (len == 0)
        return;
    memcpy(sink->dst + sink->len, text.ptr, len);
    sink->len += len;
}

/* Control bytes and spaces as %XX, so that the result is one word whatever the input was. A %XX is
 * never cut in two. */
static void put(struct sink *sink, struct shim_str text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t plain = 0; /* bytes up to i that wait to be written as they are */
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c > 0x20 && c != 0x7f) {
            plain++;
            continue;
        }
        put_raw(sink, shim_str_n(text.ptr + i - plain, plain));
        plain = 0;
        if (sink->cap - sink->len < 3) {
            sink->cap = sink->len;
            return;
        }
        char encoded[3] = {'%', digits[c >> 4], digits[c & 15]};
        put_raw(sink, shim_str_n(encoded, sizeof(encoded)));
    }
    if (plain > 0)
        put_raw(sink, shim_str_n(text.ptr + text.len - plain, plain));
}

static unsigned hex_value(char c)
{
    return is_digit(c) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

/* Whether a parameter's name, which the server will percent-decode, is `name`. */
static bool decodes_to(struct shim_str encoded, struct shim_str name)
{
    size_t at = 0;
    for (size_t i = 0; i < encoded.len; i++, at++) {
        unsigned char c = (unsigned char)encoded.ptr[i];
        if (c == '%' && encoded.len - i > 2 && is_hex(encoded.ptr[i + 1]) &&
            is_hex(encoded.ptr[i + 2])) {
            c = (unsigned char)(hex_value(encoded.ptr[i + 1]) << 4 | hex_value(encoded.ptr[i + 2]));
            i += 2;
        }
        if (at >= name.len || c != (unsigned char)name.ptr[at])
            return false;
    }
    return at == name.len;
}

static bool is_secret(struct shim_str parameter, struct shim_str more)
{
    static const char *const always[] = {
        "X-Amz-Signature",  "X-Amz-Credential", "X-Amz-Security-Token",
        "AWSAccessKeyId",   "Signature",        "sig",
        "X-Goog-Signature",
    };
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        if (decodes_to(parameter, shim_str(always[i])))
            return true;
    }
    struct shim_str member;
    while (shim_str_split(&more, ',', &member)) {
        member = shim_str_trim(member);
        if (member.len > 0 && decodes_to(parameter, member))
            return true;
    }
    return false;
}

static void put_query(struct sink *sink, struct shim_str query, struct shim_str more)
{
    struct shim_str parameter;
    bool first = true;
    while (shim_str_split(&query, '&', &parameter)) {
        struct shim_str name = parameter;
        struct shim_str value;
        if (!first)
            put(sink, shim_str("&"));
        first = false;
        if (cut(&name, '=', &value) && is_secret(name, more)) {
            put(sink, name);
            put(sink, shim_str("=" REDACTED));
        } else {
            put(sink, parameter);
        }
    }
}

size_t shim_url_redact(char *dst, size_t cap, struct shim_str text, const struct shim_url *url,
                       struct shim_str scheme, struct shim_str more)
{
    struct sink sink = {.dst = dst, .cap = cap};
    const char *end = text.ptr + text.len;
    const char *query_end = url->fragment.ptr ? url->fragment.ptr - 1 : end;
    const char *path_end = url->query.ptr ? url->query.ptr - 1 : query_end;
    const char *host = url->host.ptr - (url->host_is_ipv6 ? 1 : 0);

    put(&sink, url->scheme.len > 0 ? url->scheme : scheme);
    if (sink.len > 0)
        put(&sink, shim_str("://"));
    if (url->userinfo.len > 0)
        put(&sink, shim_str(REDACTED ":" REDACTED "@"));
    put(&sink, shim_str_n(host, (size_t)(path_end - host)));
    if (url->query.ptr) {
        put(&sink, shim_str("?"));
        put_query(&sink, url->query, more);
    }
    if (url->fragment.ptr) {
        put(&sink, shim_str("#"));
        put(&sink, url->fragment);
    }
    return sink.len;
}
