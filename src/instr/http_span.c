/* HTTP semantic conventions; see http_span.h. */
#include "instr/http_span.h"

#include "base/match.h"
#include "base/url.h"
#include "config/config.h"

#include <stdlib.h>

/* A longer url.full is cut: it would crowd out the rest of the span. */
#define URL_FULL_MAX    8192
#define HEADER_NAME_MAX 96

static bool scheme_is(struct shim_str scheme, const char *name)
{
    return shim_str_equal_nocase(scheme, shim_str(name));
}

static bool scheme_is_http(struct shim_str scheme)
{
    return scheme_is(scheme, "http") || scheme_is(scheme, "https") || scheme_is(scheme, "ws") ||
           scheme_is(scheme, "wss");
}

/* libcurl guesses a missing scheme from how the host's name begins; anything else is http. */
static bool host_is_guessed_otherwise(struct shim_str host)
{
    static const char *const prefixes[] = {"ftp.", "dict.", "ldap.", "imap.", "smtp.", "pop3."};
    for (unsigned i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
        if (shim_str_starts_nocase(host, shim_str(prefixes[i])))
            return true;
    return false;
}

static uint16_t default_port(struct shim_str scheme)
{
    return scheme_is(scheme, "https") || scheme_is(scheme, "wss") ? 443 : 80;
}

static bool make_room(struct shim_http_target *target, size_t size)
{
    if (size <= target->encoded_cap)
        return true;
    uint8_t *memory = realloc(target->encoded, size);
    if (!memory)
        return false;
    target->encoded = memory;
    target->encoded_cap = size;
    return true;
}

static void append(struct shim_http_target *target, size_t written)
{
    if (written == 0)
        return;
    target->encoded_len += written;
    target->attribute_count++;
}

static bool encode(struct shim_http_target *target, struct shim_str text,
                   const struct shim_url *url, struct shim_str scheme)
{
    size_t full_cap = text.len * 3 + scheme.len + 64;
    if (full_cap > URL_FULL_MAX)
        full_cap = URL_FULL_MAX;
    char *full = malloc(full_cap);
    size_t cap = full_cap + url->host.len + 128;
    if (!full || !make_room(target, cap)) {
        free(full);
        return false;
    }
    size_t full_len =
        shim_url_redact(full, full_cap, text, url, scheme, shim_str(shim_config.redact_query));
    target->encoded_len = 0;
    target->attribute_count = 0;
    append(target, shim_span_encode_str(target->encoded, cap, shim_str("url.full"),
                                        shim_str_n(full, full_len)));
    free(full);
    append(target,
           shim_span_encode_str(target->encoded + target->encoded_len, cap - target->encoded_len,
                                shim_str("server.address"), url->host));
    append(target, shim_span_encode_int(target->encoded + target->encoded_len,
                                        cap - target->encoded_len, shim_str("server.port"),
                                        url->port ? url->port : default_port(scheme)));
    return true;
}

static struct shim_http_policy policy_of_host(struct shim_str host)
{
    struct shim_str context_to = shim_str(shim_config.propagate_to);
    struct shim_str baggage_to = shim_str(shim_config.baggage_to);
    bool context = context_to.len == 0 || shim_host_list_match(context_to, host);
    return (struct shim_http_policy){
        .context = context,
        .baggage = context && (shim_host_is_local(host) || shim_host_list_match(baggage_to, host)),
    };
}

bool shim_http_target_set(struct shim_http_target *target, struct shim_str text,
                          struct shim_str default_scheme)
{
    target->is_http = target->is_traced = false;
    struct shim_url url;
    if (shim_url_parse(text, &url) != 0)
        return true;
    struct shim_str scheme = url.scheme.len ? url.scheme : default_scheme;
    if (scheme.len == 0) {
        if (host_is_guessed_otherwise(url.host))
            return true;
        scheme = shim_str("http");
    }
    if (!scheme_is_http(scheme))
        return true;
    target->is_http = true;
    target->policy = policy_of_host(url.host);
    if (shim_glob_list_match(shim_str(shim_config.ignore_urls), text, false) ||
        shim_glob_list_match(shim_str(shim_config.ignore_urls), url.host, true))
        return true;
    target->is_traced = encode(target, text, &url, scheme);
    return target->is_traced;
}

void shim_http_target_fini(struct shim_http_target *target)
{
    free(target->encoded);
    *target = (struct shim_http_target){0};
}

struct shim_http_policy shim_http_policy_of_url(struct shim_str text)
{
    struct shim_url url;
    if (shim_url_parse(text, &url) != 0)
        return (struct shim_http_policy){.context = false};
    return policy_of_host(url.host);
}

bool shim_http_policy_is_restricted(const struct shim_headers *headers)
{
    if (shim_config.propagate_to[0])
        return true;
    for (unsigned i = 0; i < headers->count; i++)
        if (headers->header[i].is_baggage)
            return true;
    return false;
}

/* The lists of known methods are short and almost every method is among the first of it. */
bool shim_http_method_is_known(struct shim_str method)
{
    struct shim_str rest = shim_str(shim_config.http_known_methods), known;
    while (shim_str_split(&rest, ',', &known))
        if (shim_str_equal(shim_str_trim(known), method))
            return true;
    return false;
}

struct shim_str shim_http_span_name(struct shim_str method, bool known)
{
    return known ? method : shim_str("HTTP");
}

void shim_http_add_method(struct shim_span *span, struct shim_str method, bool known)
{
    if (known) {
        shim_span_add_str(span, "http.request.method", method);
        return;
    }
    shim_span_add_str(span, "http.request.method", shim_str("_OTHER"));
    shim_span_add_str(span, "http.request.method_original", method);
}

void shim_http_add_client_error(struct shim_span *span, long status)
{
    if (status < 400)
        return;
    char text[4] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                    (char)('0' + status % 10), 0};
    shim_span_add_str(span, "error.type", shim_str_n(text, 3));
    shim_span_set_status(span, SHIM_STATUS_ERROR, shim_str(""));
}

void shim_http_add_header(struct shim_span *span, const char *prefix, struct shim_str name,
                          const struct shim_str *values, unsigned count)
{
    char key[HEADER_NAME_MAX + 32];
    size_t prefix_len = strlen(prefix);
    if (name.len > HEADER_NAME_MAX || count == 0)
        return;
    memcpy(key, prefix, prefix_len);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        key[prefix_len + i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    shim_span_add_str_array_n(span, key, prefix_len + name.len, values, count);
}
